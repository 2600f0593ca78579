"""A child is bounded, ends with its group and with its parent, and tells what it used."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from securetag.system.processes import ChildProcess, Limits, last_lines, log_tail, run_to_end

SLEEP = "import time; time.sleep(60)"
#: Ignores SIGTERM and has a child of its own, whose PID it prints.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(60)"]).pid, flush=True)
time.sleep(60)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


def is_gone(pid: int) -> bool:
    """Whether there is no such process, or a zombie, within five seconds."""
    for _ in range(250):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_a_stubborn_child_ends_with_its_whole_group() -> None:
    with ChildProcess(python(STUBBORN), stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        assert child.running
        assert child.exit_code is None
        assert child.end(0.2) == -signal.SIGKILL
        assert not child.running
        assert child.end() == -signal.SIGKILL, "ending twice changes nothing"
    assert is_gone(grandchild)
    assert child.usage is not None
    assert child.usage.ru_utime + child.usage.ru_stime > 0


def test_a_child_that_ends_by_itself_leaves_nothing_behind() -> None:
    code = STUBBORN.replace("time.sleep(60)\n", "sys.exit(3)\n")
    with ChildProcess(python(code), stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        assert child.wait(20)
        assert child.end() == 3
    assert is_gone(grandchild)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
def test_kill_9_of_the_parent_ends_the_child() -> None:
    code = f"""
        import time
        from securetag.system.processes import ChildProcess
        print(ChildProcess({python(SLEEP)!r}).pid, flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.5)
    parent.kill()
    parent.communicate()
    assert is_gone(child)


def test_a_child_may_outlive_the_thread_that_started_it() -> None:
    children: list[ChildProcess] = []
    starter = threading.Thread(
        target=lambda: children.append(ChildProcess(python(SLEEP), dies_with_parent=False))
    )
    starter.start()
    starter.join()
    with children[0] as child:
        assert not child.wait(1.0)
        assert child.running


@pytest.mark.parametrize(
    ("limits", "code", "expected"),
    [
        pytest.param(Limits(memory_bytes=300 << 20), "bytes(600 << 20)", 1, id="memory"),
        pytest.param(Limits(cpu_seconds=0.5), "while True: pass", -signal.SIGKILL, id="CPU time"),
    ],
)
def test_a_limit_ends_the_child(limits: Limits, code: str, expected: int) -> None:
    done = run_to_end(python(code), timeout_s=60, limits=limits)
    assert done.exit_code == expected


def test_files_are_capped_and_private(tmp_path: Path) -> None:
    limits = Limits(file_bytes=1 << 20, confined=True)
    code = "handle = open('big', 'wb')\nwhile True: handle.write(b'x' * 100_000)"
    assert run_to_end(python(code), timeout_s=60, limits=limits, cwd=tmp_path).exit_code != 0
    assert (tmp_path / "big").stat().st_size == 1 << 20
    assert (tmp_path / "big").stat().st_mode & 0o777 == 0o600


def test_a_child_can_be_interrupted_whatever_its_parent_ignores() -> None:
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = run_to_end(python("import os; os.kill(os.getpid(), 2); print('ran on')"), timeout_s=20)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert (done.exit_code, done.stdout) == (-signal.SIGINT, b"")


def test_output_code_and_the_last_lines_of_stderr() -> None:
    code = "import sys\nprint('out')\nfor n in range(9): print(f' line {n}\\n', file=sys.stderr)\nsys.exit(4)"
    done = run_to_end(python(code), timeout_s=60, tail_lines=2)
    assert (done.exit_code, done.stdout, done.stderr_tail) == (4, b"out\n", "line 7 | line 8")


def test_a_program_that_takes_too_long_is_ended() -> None:
    with pytest.raises(TimeoutError, match=r"within 0\.3 s"):
        run_to_end(python(SLEEP), timeout_s=0.3)


def test_a_missing_program_says_so() -> None:
    done = run_to_end(["/nowhere/program"], timeout_s=60)
    assert done.exit_code == 127
    assert "can't be run" in done.stderr_tail


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"", "", id="nothing"),
        pytest.param(b"\n\n", "", id="blank lines"),
        pytest.param(b"a\n \nb\xff\n", "a | b\ufffd", id="bytes that are no text"),
    ],
)
def test_last_lines(text: bytes, expected: str) -> None:
    assert last_lines(text) == expected


def test_the_tail_of_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert log_tail(tmp_path / "log") == ""
