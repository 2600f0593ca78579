"""Run one tool, bounded in CPU and wall time, memory and output, and leave no process of it behind."""

from __future__ import annotations

import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

#: Names the folder that a tool works for; by it the sweep knows a killed worker's orphans.
SANDBOX_VARIABLE = "SECURETAG_SANDBOX"
#: Bytes that each file written by a tool may have.
MAX_OUTPUT = 200 * 1024 * 1024
#: Seconds between SIGTERM and SIGKILL.
GRACE_S = 1.0
_POLL_S = 0.02
#: The kernel compares its limit with another clock than the one that it reports afterwards.
_CPU_ROUNDING_S = 0.2


@dataclass(frozen=True)
class ProcessResult:
    """How a tool ended."""

    #: As the shell's parent sees it: negative for a signal.
    exit_code: int
    timed_out: bool
    #: True when `stop` was set while it ran.
    stopped: bool
    #: True when it was killed at its limit of CPU time.
    cpu_exceeded: bool
    started_at: datetime
    #: Seconds of wall time.
    duration_s: float
    #: User and system seconds of the tool and of its children that it waited for.
    cpu_s: float
    #: MiB of the largest single process, and never less than this process held when it forked:
    #: Linux carries that figure over `exec`. A worker rests at 50.
    peak_mb: float


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    timeout_s: float,
    memory_mb: int,
    stdout: Path,
    stderr: Path,
    env: Mapping[str, str],
    stop: threading.Event | None = None,
    on_start: Callable[[int], None] | None = None,
    max_output: int = MAX_OUTPUT,
    cpu_limit_s: float | None = None,
) -> ProcessResult:
    """Run `argv` in a session of its own with `env` and nothing else of our environment.

    `on_start` gets the process group. On time-out, on `stop` and on any exception here the whole
    group is ended; what the tool leaves running after its own end is killed too. A tool that can't
    be run at all ends with 127 and its reason in `stderr`.

    `timeout_s` is wall time, a guard against hangs: on a busy machine it says little about the work.
    `cpu_limit_s` is what the work may cost. The kernel counts it for each process with all its threads,
    in whole seconds; a child gets a count of its own.
    """
    cpu_limit = math.ceil(cpu_limit_s) if cpu_limit_s is not None else -1
    launch = [
        sys.executable, "-I", "-m", "securetag.scanning.launch",
        str(os.getpid()), str(memory_mb << 20), str(max_output), str(cpu_limit), "--", *argv,
    ]  # fmt: skip
    started_at, began = datetime.now(UTC), time.monotonic()
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(
            launch, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True,
        )  # fmt: skip
    timed_out = stopped = False
    try:
        if on_start:
            on_start(process.pid)
        while not _exited(process.pid):
            stopped = stop is not None and stop.is_set()
            timed_out = not stopped and time.monotonic() - began > timeout_s
            if stopped or timed_out:
                break
            time.sleep(_POLL_S)
    finally:
        usage = _end(process)
    cpu_s = usage.ru_utime + usage.ru_stime
    killed = process.returncode in {-signal.SIGKILL, -signal.SIGXCPU}
    return ProcessResult(
        exit_code=process.returncode, timed_out=timed_out, stopped=stopped, started_at=started_at,
        cpu_exceeded=killed and not (timed_out or stopped) and 0 < cpu_limit <= cpu_s + _CPU_ROUNDING_S,
        duration_s=time.monotonic() - began, cpu_s=cpu_s,
        peak_mb=usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10),
    )  # fmt: skip


def combine(results: Sequence[ProcessResult]) -> ProcessResult:
    """Return several runs of one tool as if they were one: times added, the last bad exit code."""
    bad = [result.exit_code for result in results if result.exit_code]
    return ProcessResult(
        exit_code=bad[-1] if bad else 0,
        timed_out=any(result.timed_out for result in results),
        stopped=any(result.stopped for result in results),
        cpu_exceeded=any(result.cpu_exceeded for result in results),
        started_at=results[0].started_at,
        duration_s=sum(result.duration_s for result in results),
        cpu_s=sum(result.cpu_s for result in results),
        peak_mb=max(result.peak_mb for result in results),
    )


def minimal_environment(home: Path, sandbox: Path) -> dict[str, str]:
    """What a tool needs of an environment, without anything of ours: no key, no proxy, no PYTHONPATH."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        SANDBOX_VARIABLE: str(sandbox),
    }


def _exited(pid: int) -> bool:
    """Has the process ended? It stays unreaped, so that its number keeps naming its group."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    """End the group, reap its leader, and say what it used."""
    if not _exited(process.pid):
        _signal_group(process.pid, signal.SIGTERM)
        limit = time.monotonic() + GRACE_S
        while time.monotonic() < limit and not _exited(process.pid):
            time.sleep(_POLL_S)
    # The leader is alive or unreaped here, so the group can't be a stranger's.
    _signal_group(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
    except PermissionError:
        # macOS answers so when the group holds nothing but a zombie.
        return
