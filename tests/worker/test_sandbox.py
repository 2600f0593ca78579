"""A task's folder goes with the task; a dead worker's folder and tools go at the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from securetag.scanning.process import SANDBOX_VARIABLE
from securetag.worker.sandbox import Workspace, end_processes_of, sweep


@pytest.fixture
def sleeper() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def sleep_for(folder: Path | None) -> subprocess.Popen[bytes]:
    """A tool of `folder` in a session of its own, which nothing ties to us."""
    environment = {SANDBOX_VARIABLE: str(folder)} if folder else {}
    return subprocess.Popen(
        [sys.executable, "-I", "-c", "import time; time.sleep(60)"], env=environment, start_new_session=True
    )


def test_a_task_folder_is_private_and_goes(tmp_path: Path) -> None:
    with Workspace(tmp_path) as workspace:
        seen = []

        def fails() -> None:
            with workspace.task() as folder:
                assert folder.stat().st_mode & 0o777 == 0o700
                (folder / "x").write_text("secret")
                seen.append(folder)
                raise KeyError

        with pytest.raises(KeyError):
            fails()
        assert not seen[0].exists()
        assert workspace.folder.is_dir()
    assert not workspace.folder.exists()


def test_two_workers_leave_each_other_alone(tmp_path: Path, sleeper: list[subprocess.Popen[bytes]]) -> None:
    with Workspace(tmp_path) as first, first.task() as folder:
        sleeper.append(sleep_for(folder))
        with Workspace(tmp_path) as second:
            assert second.folder != first.folder
        assert folder.is_dir()
        assert sleeper[0].poll() is None


def test_the_sweep_ends_a_dead_workers_tools_and_no_others(
    tmp_path: Path, sleeper: list[subprocess.Popen[bytes]]
) -> None:
    code = f"""
import time
from pathlib import Path
from securetag.worker.sandbox import Workspace
with Workspace(Path({str(tmp_path)!r})) as workspace, workspace.task() as folder:
    print(folder, flush=True)
    time.sleep(60)
"""
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    folder = Path(worker.stdout.readline().strip())
    sleeper += [sleep_for(folder / "semgrep"), sleep_for(None), sleep_for(tmp_path / "worker-2")]
    time.sleep(0.2)
    assert sweep(tmp_path / "worker") == 0
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    with Workspace(tmp_path):
        assert not folder.exists()
        sleeper[0].wait(5)  # psutil has reaped it, so how it ended is no longer known
        assert [process.poll() for process in sleeper[1:]] == [None, None]


def test_our_own_process_is_never_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SANDBOX_VARIABLE, str(tmp_path))
    assert end_processes_of(tmp_path) == 0
    assert psutil.pid_exists(os.getpid())
