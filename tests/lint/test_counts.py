"""The counts see each thing that they count, in a small tree that has it once."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

CHECKOUT = Path(__file__).parents[2]
TOOL = CHECKOUT / "tools" / "lint_counts.py"


@pytest.fixture(scope="module")
def counts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lint_counts", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        pytest.param("atomic_write", "part.replace(path)\n", id="Path.replace"),
        pytest.param("atomic_write", "os.replace(a, b)\n", id="os.replace"),
        pytest.param("file_lock", "fcntl.flock(handle, 2)\n", id="flock"),
        pytest.param("prctl", "libc.prctl(1, 9)\n", id="prctl"),
        pytest.param("file_hash", "hashlib.file_digest(handle, 'sha256')\n", id="file_digest"),
        pytest.param("dynamic_import", "importlib.import_module('x')\n", id="import_module"),
        pytest.param("fmt_skip", "x = 1  # fmt: skip\n", id="fmt skip"),
        pytest.param("any", "x: Any = 1\n", id="Any"),
        pytest.param("vague_name", "found = 1\n", id="assigned"),
        pytest.param("vague_name", "for one in rows:\n    pass\n", id="loop variable"),
        pytest.param("vague_name", "lambda own: own\n", id="parameter"),
        pytest.param("vague_name", "[1 for said in rows]\n", id="comprehension"),
        pytest.param("private_word", "class Lesson:\n    pass\n", id="class"),
        pytest.param("private_word", "def settle():\n    pass\n", id="function"),
        pytest.param("private_word", "MOST = 3\n", id="constant"),
    ],
)
def test_each_thing_is_counted_once(tmp_path: Path, counts: ModuleType, rule: str, code: str) -> None:
    (tmp_path / "securetag").mkdir()
    (tmp_path / "securetag" / "module.py").write_text(code)
    places = counts.count(tmp_path)
    assert {name: where for name, where in places.items() if where} == {rule: ["securetag/module.py:1"]}


@pytest.mark.parametrize("code", ["text.replace('a', 'b')\n", "moment.replace(tzinfo=UTC)\n"])
def test_a_text_is_no_file(tmp_path: Path, counts: ModuleType, code: str) -> None:
    (tmp_path / "securetag").mkdir()
    (tmp_path / "securetag" / "module.py").write_text(code)
    assert not any(counts.count(tmp_path).values())


def test_an_exceeded_limit_fails_and_names_the_places(tmp_path: Path) -> None:
    (tmp_path / "securetag").mkdir()
    (tmp_path / "securetag" / "module.py").write_text("fcntl.flock(a, 2)\nfcntl.flock(b, 2)\n")
    done = subprocess.run(
        [sys.executable, str(TOOL), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "securetag/module.py:2" in done.stdout
