"""`make` works in any folder, one with blanks in its name too."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
READ = (
    "Makefile",
    "pyproject.toml",
    "constraints.txt",
    "constraints-semgrep.txt",
    "constraints-wapiti.txt",
    "constraints-bandit.txt",
    "constraints-openapi.txt",
    "requirements-data.txt",
)


def plan(folder: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    # Without what a `make test` around this test hands down.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    return subprocess.run(
        ["make", "-n", "-C", str(folder), *targets],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )


def test_a_checkout_may_lie_in_a_folder_with_blanks(tmp_path: Path) -> None:
    folder = tmp_path / "a path with blanks"
    folder.mkdir()
    for name in READ:
        shutil.copy(ROOT / name, folder / name)
    planned = plan(folder, "demo", "test", "system")
    assert planned.stderr == ""
    assert planned.stdout.count(" -m venv ") == 5
    assert ".venv/bin/securetag demo --size" in planned.stdout
    for environment in (".venv", ".venv-semgrep", ".venv-wapiti", ".venv-bandit", ".venv-openapi"):
        (folder / environment).mkdir()
        (folder / environment / "installed").touch()
    assert "pip" not in plan(folder, "demo", "wapiti", "bandit", "openapi").stdout
