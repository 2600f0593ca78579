"""A tag is released when package, images and changelog agree with it; this checkout will be able to."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """This checkout as of a release 3.1.4."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "deploy").mkdir()
    shutil.copy(CHECKOUT / "tools" / "release_notes.py", tmp_path / "tools")
    for name, pattern, new in (
        ("pyproject.toml", r'^version = ".*"', 'version = "3.1.4"'),
        ("deploy/compose.yaml", r"image: (securetag/\w+):\S+", r"image: \1:3.1.4"),
        ("CHANGELOG.md", r"^## \[Unreleased\]", "## [Unreleased]\n\n## [3.1.4] - 2026-12-01"),
    ):
        text = (CHECKOUT / name).read_text("utf-8")
        (tmp_path / name).write_text(re.sub(pattern, new, text, flags=re.MULTILINE))
    return tmp_path


def notes(checkout: Path, tag: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "tools" / "release_notes.py"), tag]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_notes_are_the_section_of_the_version(release: Path) -> None:
    done = notes(release, "v3.1.4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("### Added")
    assert "## [" not in done.stdout


@pytest.mark.parametrize(
    ("tag", "file", "old", "new", "says"),
    [
        pytest.param("v3.1.5", "pyproject.toml", "", "", "pyproject.toml has 3.1.4", id="another version"),
        pytest.param("3.1.4", "pyproject.toml", "", "", "tag v3.1.4", id="a tag without v"),
        pytest.param(
            "v3.1.4", "deploy/compose.yaml", "api:3.1.4", "api:3.1.3", "securetag/api:3.1.3", id="an image"
        ),
        pytest.param("v3.1.4", "CHANGELOG.md", "[3.1.4]", "[3.1.3]", "no section of 3.1.4", id="no section"),
    ],
)
def test_what_disagrees_is_refused(release: Path, tag: str, file: str, old: str, new: str, says: str) -> None:
    path = release / file
    path.write_text(path.read_text("utf-8").replace(old, new) if old else path.read_text("utf-8"))
    done = notes(release, tag)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
