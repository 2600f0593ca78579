"""What runs between `fork` and a tool: limits, then `exec` in the same process.

`python -I -m securetag.scanning.launch PARENT_PID MEMORY_BYTES OUTPUT_BYTES [CPU_SECONDS] -- PROGRAM ARG…`,
where a limit of -1 is none. A service without a memory limit isn't marked as the first to end either.

A `preexec_fn` would run Python between fork and exec of a process with threads, which may
deadlock; this program has none. It exits with 126 when a limit can't be set and 127 when the tool
can't be run. On Linux the kernel kills the tool when the thread that started it dies, also by
SIGKILL; elsewhere the sweep at the worker's next start does.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

# <linux/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
#: A tool is what the kernel should end when memory runs out, not the worker.
_OOM_SCORE = "500"


def main(argv: list[str]) -> int:
    """Set the limits and become the tool; returns an exit code only when that fails."""
    numbers, command = argv[: argv.index("--")], argv[argv.index("--") + 1 :]
    parent, memory, output, cpu = (int(number) for number in [*numbers, "-1"][:4])
    try:
        # What our parent ignores, we would: a shell that starts it in the background has SIGINT ignored,
        # and where Dagster runs, SIGTERM follows SIGINT.
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, signal.SIG_DFL)
        _limit(memory, output, cpu)
        if sys.platform == "linux":
            _bind_to_parent(parent)
            if memory > 0:
                _volunteer()
    except (OSError, ValueError) as error:
        print(f"securetag: the limits can't be set: {error}", file=sys.stderr)
        return 126
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"securetag: {command[0]} can't be run: {error}", file=sys.stderr)
        return 127


def _limit(memory: int, output: int, cpu: int) -> None:
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (output, output))
    if cpu > 0:
        # Both limits alike: the kernel then kills at once, where SIGXCPU of a lower soft limit would let
        # a tool with a handler end with an exit code that says something else.
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    if sys.platform != "darwin":  # macOS refuses RLIMIT_AS
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _bind_to_parent(parent: int) -> None:
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for option, value in ((_PR_SET_PDEATHSIG, int(signal.SIGKILL)), (_PR_SET_NO_NEW_PRIVS, 1)):
        if prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), f"prctl {option}")
    if os.getppid() != parent:  # it died before the request was in place
        os.kill(os.getpid(), signal.SIGKILL)


def _volunteer() -> None:
    try:
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    except OSError:
        # Some containers mount /proc read-only; the tool runs as well without.
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
