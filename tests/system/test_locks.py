"""One holder at a time, between processes and threads; the kernel releases a dead holder's lock."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from securetag.system.locks import FileLock, try_lock

#: Takes the lock on argv[1], says so, and waits to be killed.
HOLD = """
import sys, time
from pathlib import Path
from securetag.system.locks import FileLock
with FileLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
#: Adds one to the number in argv[1], argv[2] times, each time under the lock beside it.
COUNT = """
import sys
import threading
from pathlib import Path
from securetag.system.locks import FileLock
path = Path(sys.argv[1])
for _ in range(int(sys.argv[2])):
    with FileLock(path.with_suffix(".lock")):
        path.write_text(str(int(path.read_text()) + 1))
"""


def test_two_processes_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("0")
    children = [subprocess.Popen([sys.executable, "-c", COUNT, str(path), "200"]) for _ in range(2)]
    assert [child.wait(120) for child in children] == [0, 0]
    assert path.read_text() == "400"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_dead_holders_lock_is_free(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lock"
    if kind == "folder":
        path.mkdir()
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    assert try_lock(path) is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    lock = try_lock(path)
    assert lock is not None
    lock.release()


def test_a_lock_that_is_given_back_within_the_timeout_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = try_lock(path)
    assert holder is not None
    timer = threading.Timer(0.3, holder.release)
    timer.start()
    lock = try_lock(path, timeout_s=60)
    timer.join()
    assert lock is not None
    assert try_lock(path, timeout_s=0.1) is None
    lock.release()


def test_a_lock_keeps_the_content_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("4711")
    with FileLock(path):
        assert try_lock(path) is None, "another object of the same process waits too"
    assert path.read_text() == "4711"


def test_a_lock_is_not_reentrant(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    with lock, pytest.raises(RuntimeError, match="already held"):
        lock.acquire()
    assert lock.acquire(wait=False), "leaving the block has released it"
    lock.release()
    lock.release()


def test_a_lock_file_is_private_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "lock"
    with FileLock(path):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_missing_path_is_an_error_where_it_may_not_be_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        try_lock(tmp_path / "gone", create=False)
    assert list(tmp_path.iterdir()) == []
