"""A folder in which a test follows a page: a project on Python's path, and a shell for its commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RunCommands = Callable[[list[str]], str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def run_commands(project: Path) -> RunCommands:
    """Run the commands of a page in one shell inside the project, and return what they print."""

    def run(commands: list[str]) -> str:
        path = os.pathsep.join([str(project), *filter(None, [os.environ.get("PYTHONPATH")])])
        shell_function = (
            f"""securetag() {{ "{sys.executable}" -c 'from securetag.cli import app; app()' "$@"; }}"""
        )
        script = "\n".join(["set -e", shell_function, *commands])
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=project,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
