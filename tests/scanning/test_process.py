"""A tool is bounded in time, memory and output, and nothing of it survives."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from securetag.scanning.process import SANDBOX_VARIABLE, ProcessResult, minimal_environment, run


@pytest.fixture
def tool(tmp_path: Path) -> Callable[..., ProcessResult]:
    """Runs Python code as a tool."""

    def start(code: str, **options: object) -> ProcessResult:
        given: dict[str, object] = {
            "cwd": tmp_path,
            "timeout_s": 20.0,
            "memory_mb": 1024,
            "stdout": tmp_path / "out",
            "stderr": tmp_path / "err",
            "env": minimal_environment(tmp_path, tmp_path),
            **options,
        }
        return run([sys.executable, "-I", "-c", textwrap.dedent(code)], **given)  # type: ignore[arg-type]

    return start


def gone(pid: int) -> bool:
    """Within a second: no such process, or a zombie that its parent hasn't read yet."""
    for _ in range(50):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_its_output_code_and_costs(tool: Callable[..., ProcessResult], tmp_path: Path) -> None:
    result = tool(
        "import sys; print('a'); print('b', file=sys.stderr); x = sum(range(3_000_000)); sys.exit(3)"
    )
    assert (result.exit_code, result.timed_out, result.stopped) == (3, False, False)
    assert ((tmp_path / "out").read_text(), (tmp_path / "err").read_text()) == ("a\n", "b\n")
    assert result.cpu_s > 0.01
    assert result.peak_mb > 5
    assert 0 < result.duration_s < 20


def test_it_sees_nothing_of_our_environment(
    tool: Callable[..., ProcessResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECURETAG_WORKER__API_KEY", "stk_secret")
    tool("import os; print(sorted(os.environ))")
    seen = (tmp_path / "out").read_text()
    assert "SECURETAG_WORKER__API_KEY" not in seen
    assert SANDBOX_VARIABLE in seen


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    result = run(
        [str(tmp_path / "nothing")],
        cwd=tmp_path,
        timeout_s=5,
        memory_mb=512,
        stdout=tmp_path / "out",
        stderr=tmp_path / "err",
        env=minimal_environment(tmp_path, tmp_path),
    )
    assert result.exit_code == 127
    assert "can't be run" in (tmp_path / "err").read_text()


STUBBORN = """
    import os, signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    {then}
"""


def test_time_out_ends_the_whole_group(tool: Callable[..., ProcessResult], tmp_path: Path) -> None:
    groups: list[int] = []
    result = tool(STUBBORN.format(then="time.sleep(60)"), timeout_s=1.0, on_start=groups.append)
    assert result.timed_out
    assert result.exit_code == -signal.SIGKILL
    assert result.duration_s < 10
    assert gone(int((tmp_path / "out").read_text()))
    assert gone(groups[0])


def test_cpu_time_is_limited_whatever_the_wall_clock_says(tool: Callable[..., ProcessResult]) -> None:
    """Two threads' time counts together; time spent asleep counts for nothing."""
    spin = """
        import hashlib, threading
        def work():
            block = bytes(1 << 20)
            while True:
                hashlib.sha256(block)
        for _ in range(2):
            threading.Thread(target=work).start()
    """
    result = tool(spin, cpu_limit_s=1.5, timeout_s=120.0)
    assert (result.cpu_exceeded, result.timed_out, result.stopped) == (True, False, False)
    assert 1.7 < result.cpu_s < 4
    result = tool("import time; time.sleep(2.5)", cpu_limit_s=1)
    assert (result.cpu_exceeded, result.exit_code) == (False, 0)


def test_a_killed_tool_did_not_exceed_its_cpu_time(tool: Callable[..., ProcessResult]) -> None:
    result = tool("import os; os.kill(os.getpid(), 9)", cpu_limit_s=30)
    assert (result.cpu_exceeded, result.exit_code) == (False, -signal.SIGKILL)


def test_what_a_tool_leaves_behind_is_ended(tool: Callable[..., ProcessResult], tmp_path: Path) -> None:
    result = tool(STUBBORN.format(then="sys.exit(0)"))
    assert result.exit_code == 0
    assert gone(int((tmp_path / "out").read_text()))


@pytest.mark.parametrize(
    "ours",
    [pytest.param(signal.SIG_DFL, id="default handler"), pytest.param(signal.SIG_IGN, id="ignored signal")],
)
def test_stop(tool: Callable[..., ProcessResult], tmp_path: Path, ours: signal.Handlers) -> None:
    """Also where we ourselves ignore the signal, which a child inherits."""
    stop, begun = threading.Event(), tmp_path / "begun"

    def stop_when_begun() -> None:
        while not begun.exists():
            time.sleep(0.02)
        stop.set()

    threading.Thread(target=stop_when_begun, daemon=True).start()
    before = signal.signal(signal.SIGTERM, ours)
    try:
        result = tool(
            f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(60)", stop=stop
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert result.stopped
    assert not result.timed_out
    assert result.exit_code == -signal.SIGTERM


def test_an_exception_in_between_leaves_nothing(tool: Callable[..., ProcessResult]) -> None:
    seen: list[int] = []

    def fail(group: int) -> None:
        seen.append(group)
        raise KeyError

    with pytest.raises(KeyError):
        tool("import time; time.sleep(60)", on_start=fail)
    assert gone(seen[0])


def test_memory_and_output_are_capped(tool: Callable[..., ProcessResult], tmp_path: Path) -> None:
    assert tool("x = bytes(600 << 20)", memory_mb=300).exit_code == 1
    assert "MemoryError" in (tmp_path / "err").read_text()
    result = tool("import sys\nwhile True: sys.stdout.write('x' * 100_000)", max_output=1 << 20)
    assert result.exit_code != 0
    assert (tmp_path / "out").stat().st_size <= 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is Linux's")
def test_kill_9_of_the_parent_ends_the_tool(tmp_path: Path) -> None:
    code = f"""
        import sys
        from pathlib import Path
        from securetag.scanning.process import run
        here = Path({str(tmp_path)!r})
        run([sys.executable, "-I", "-c", "import time; time.sleep(60)"], cwd=here, timeout_s=60,
            memory_mb=512, stdout=here / "out", stderr=here / "err", env={{}},
            on_start=lambda group: print(group, flush=True))
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    group = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.kill()
    parent.communicate()
    assert gone(group)
