"""After SIGKILL at any step of writing, a release is complete or absent."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from securetag.datasets.releases import release
from securetag.errors import ReleaseError

pytestmark = pytest.mark.system

WRITER = Path(__file__).with_name("release_writer.py")


def start(folder: Path, *, rows: int = 9, stop: int = 0, consent: str = "c") -> subprocess.Popen[str]:
    arguments = [sys.executable, str(WRITER), str(folder), str(rows), str(stop), consent]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate()
    return process.returncode, output.splitlines()[-1]


def finished(folder: Path) -> list[Path]:
    """Return every visible release; each must be complete."""
    seen = [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.exists() else []
    for path in seen:
        release.verify_release(path)
    return seen


@pytest.mark.long
def test_killed_at_every_single_step(tmp_path: Path) -> None:
    code, output = finish(start(tmp_path / "whole"))
    name, steps = output.split()
    assert (code, int(steps) > 20) == (0, True)
    whole = {file.name: file.read_bytes() for file in (tmp_path / "whole" / name).iterdir()}
    killed, _ = start(tmp_path / "killed", stop=-int(steps)).communicate()
    assert killed.split() == ["writing", *[str(-int(signal.SIGKILL))] * int(steps)]
    appeared = []
    for stop in range(1, int(steps) + 1):
        folder = tmp_path / "killed" / str(stop)
        appeared.append(bool(finished(folder)))
        # The next build makes the same release and removes the leftovers of the killed one.
        if stop % 40 == 0 or stop > int(steps) - 2:
            assert finish(start(folder))[0] == 0
            (path,) = finished(folder)
            assert {file.name: file.read_bytes() for file in path.iterdir()} == whole
            assert [entry.name for entry in folder.iterdir()] == [name]
    # No release after an early kill, one after a late kill: it appears at one step.
    assert appeared[0] is False
    assert appeared[-1] is True
    assert appeared == sorted(appeared)


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Kill at random times while many rows are written, with an earlier release in the folder."""
    drawn = random.Random(11)
    for turn in range(8):
        process = start(tmp_path, rows=6_000, consent=f"consent-{turn % 3}")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(drawn.uniform(0.0, 0.6))
        process.kill()
        process.communicate()
        finished(tmp_path)
    code, output = finish(start(tmp_path, rows=6_000))
    (path,) = finished(tmp_path)
    assert (code, path.name) == (0, output.split()[0])
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_two_concurrent_builds_make_one_release(tmp_path: Path) -> None:
    racers = [start(tmp_path, rows=300, consent=f"consent-{n % 2}") for n in range(4)]
    ends = [finish(process) for process in racers]
    assert {code for code, _ in ends} == {0}
    assert len({output.split()[0] for _, output in ends}) == 1
    (path,) = finished(tmp_path)
    assert len(list(path.glob("lineage*.parquet"))) == 2  # both consents are remembered
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_an_interrupted_draft_is_not_a_release(tmp_path: Path) -> None:
    code, _ = finish(start(tmp_path, stop=10))
    (draft,) = tmp_path.iterdir()
    assert (code, draft.name.startswith(".draft-")) == (-signal.SIGKILL, True)
    (draft / "manifest.json").touch()
    with pytest.raises(ReleaseError):
        release.verify_release(draft)
    os.chmod(draft, 0o700)
