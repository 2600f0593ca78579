"""The lint finds each fault in a small tree that has it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

CHECKOUT = Path(__file__).parents[2]
TOOL = CHECKOUT / "tools" / "lint_structure.py"


@pytest.fixture(scope="module")
def lint() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lint_structure", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def function(lines: int, name: str = "f") -> str:
    return f"def {name}():\n" + "    x = 1\n" * (lines - 1)


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        pytest.param(
            "securetag/a.py",
            "x = 1\n" * 501,
            "securetag/a.py:501: 501 lines, at most 500",
            id="module over 500 lines",
        ),
        pytest.param(
            "securetag/utils.py",
            "",
            "securetag/utils.py:1: a module called 'utils'",
            id="module called utils",
        ),
        pytest.param(
            "securetag/text_helpers.py",
            "",
            "securetag/text_helpers.py:1: a module called 'text_helpers'",
            id="module called helpers",
        ),
        pytest.param(
            "securetag/utils/__init__.py",
            "",
            "securetag/utils/__init__.py:1: a module called 'utils'",
            id="package called utils",
        ),
        pytest.param(
            "securetag/a.py",
            "class QueueManager:\n    pass\n",
            "securetag/a.py:1: class QueueManager",
            id="class called Manager",
        ),
        pytest.param(
            "securetag/a.py",
            "\nclass _HTTPProcessor: ...\n",
            "securetag/a.py:2: class _HTTPProcessor",
            id="class called Processor",
        ),
        pytest.param(
            "securetag/a.py",
            "import torch\n",
            "securetag/a.py:1: torch is imported at module level",
            id="import of torch",
        ),
        pytest.param(
            "securetag/a.py",
            "from trl.x import y\n",
            "securetag/a.py:1: trl is imported",
            id="import from trl",
        ),
        pytest.param(
            "securetag/a.py",
            "try:\n    import peft\nexcept ImportError:\n    pass\n",
            "securetag/a.py:2: peft",
            id="import in a try block",
        ),
        pytest.param(
            "securetag/api/a.py",
            "import dagster as dg\n",
            "securetag/api/a.py:1: dagster is imported",
            id="import of Dagster in the API",
        ),
        pytest.param(
            "securetag/assets.py",
            "import dagster as dg\n",
            "securetag/assets.py:1: dagster is imported",
            id="import of Dagster in a module called assets",
        ),
        pytest.param("tools/a.py", "def f(:\n", "tools/a.py:1: ", id="syntax error"),
        pytest.param(
            "benchmarks/a.py",
            function(61),
            "benchmarks/a.py:1: f (61 lines): longer than 60 lines",
            id="function over 60 lines",
        ),
    ],
)
def test_each_fault_is_found_with_its_place(
    lint: ModuleType, tmp_path: Path, name: str, text: str, fault: str
) -> None:
    report = lint.inspect(write(tmp_path, {name: text}))
    assert len(report.faults) == 1
    assert report.faults[0].startswith(fault)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("securetag/a.py", "x = 1\n" * 500, id="module of 500 lines"),
        pytest.param("securetag/a.py", function(60), id="function of 60 lines"),
        pytest.param("securetag/a.py", "def f():\n    import torch\n", id="import inside a function"),
        pytest.param(
            "securetag/a.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n",
            id="import for type checking",
        ),
        pytest.param(
            "securetag/a.py", "from . import datasets\nimport torchless\n", id="similar module name"
        ),
        pytest.param(
            "securetag/a.py", "class Utility: ...\nclass Management: ...\n", id="similar class names"
        ),
        pytest.param("securetag/assets/a.py", "import dagster as dg\n", id="Dagster in assets"),
        pytest.param(
            "securetag/orchestration/a.py", "from dagster import job\n", id="Dagster in orchestration"
        ),
        pytest.param("securetag/rules/cases/utils.py", "import torch\n" * 501, id="rule case"),
        pytest.param("securetag/examples/shop/utils.py", "import torch\n" * 501, id="example application"),
        pytest.param("elsewhere/utils.py", "import torch\n", id="outside the checked folders"),
        pytest.param("securetag/empty.py", "", id="empty module"),
    ],
)
def test_what_is_allowed_is_let_be(lint: ModuleType, tmp_path: Path, name: str, text: str) -> None:
    assert lint.inspect(write(tmp_path, {name: text})).faults == []


def test_a_few_long_functions_among_many_are_allowed(lint: ModuleType, tmp_path: Path) -> None:
    short = {f"securetag/s{i}.py": "".join(function(3, f"f{j}") for j in range(10)) for i in range(5)}
    report = lint.inspect(write(tmp_path, {**short, "securetag/a.py": function(61)}))
    assert report.long == ["securetag/a.py:1: f (61 lines)"]
    assert report.long_share == pytest.approx(1 / 51)
    assert report.faults == []


def test_exit_code_and_the_printed_share(tmp_path: Path) -> None:
    def run(root: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(TOOL), str(root)], capture_output=True, text=True, check=False
        )

    good = run(write(tmp_path / "good", {"securetag/a.py": function(2)}))
    assert (good.returncode, good.stdout) == (
        0,
        "structure: 1 modules, 1 functions, 0 of them over 60 lines (0.0%, under 3% allowed), 0 faults\n",
    )
    bad = run(write(tmp_path / "bad", {"securetag/utils.py": ""}))
    assert bad.returncode == 1
