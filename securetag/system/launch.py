"""What runs between `fork` and a child program: limits, then `exec` in the same process.

`python -I -m securetag.system.launch OPTIONS -- PROGRAM ARG…`, where OPTIONS is JSON of `Options`. A
`preexec_fn` would run Python between fork and exec of a process with threads, which may deadlock; this
program has no threads. It exits with 126 when a limit can't be set and with 127 when the program can't be
run. It imports little, since every child pays for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TypedDict

#: <linux/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
#: The kernel ends the processes with the highest score first when memory runs out: a tool, not its parent.
_OOM_SCORE = "500"


class Options(TypedDict, total=False):
    """How the child is bound. Without an entry there is no limit."""

    #: PID of the process that starts it: on Linux the kernel kills the child when the thread that
    #: started it ends, also by SIGKILL.
    parent: int
    #: Bytes of address space of each process; such a child is also the first to end without memory.
    memory: int
    #: Bytes of each file that it writes.
    file_size: int
    #: Seconds of CPU time of each process.
    cpu: int
    #: Its files are private (umask 077) and it can't gain privileges.
    confined: bool
    #: What stays of the machine (`securetag.system.isolation`): folders that it may write, paths that it
    #: needs of folders which are emptied, what it mustn't see, and how many processes and threads it may
    #: have. Limits alone if the kernel refuses.
    writable: list[str]
    needed: list[str]
    hidden: list[str]
    #: Folders whose files may be given to the tool's user.
    ours: list[str]
    processes: int
    #: A Unix socket that its one port of the network leads to (`securetag.system.gateway`).
    gateway: str


def main(argv: list[str]) -> int:
    """Set the limits and become the program; return an exit code only when that fails."""
    options: Options = json.loads(argv[0])
    command = argv[argv.index("--") + 1 :]
    try:
        restore_signals()
        set_limits(options)
        if "parent" in options:
            die_with_parent(options["parent"])
        if options.get("writable"):
            from securetag.system.isolation import isolate, limit_processes

            if "gateway" in options:
                # Before: the library of this Python may be in a folder that is then emptied.
                from securetag.system.gateway import open_gateway

            with contextlib.suppress(OSError):
                isolate(options["writable"], options["needed"], options["hidden"], options["ours"])
                if "parent" in options:
                    # Whoever becomes another user is asked anew.
                    die_with_parent(options["parent"])
                limit_processes(options["processes"])
                if "gateway" in options:
                    open_gateway(options["gateway"])
    except (OSError, ValueError) as error:
        print(f"securetag: the limits can't be set: {error}", file=sys.stderr)
        return 126
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"securetag: {command[0]} can't be run: {error}", file=sys.stderr)
        return 127


def restore_signals() -> None:
    """Let SIGINT and SIGTERM end what runs next in this process.

    What our parent ignores, the program would ignore too: a shell that starts us in the background has SIGINT
    ignored, and Dagster turns SIGTERM into SIGINT.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def set_limits(options: Options) -> None:
    """Apply the limits of `options` to this process and its children. Raises OSError, ValueError."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if "file_size" in options:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options["file_size"],) * 2)
    if "cpu" in options:
        # Soft and hard limit alike: the kernel kills at once, where SIGXCPU of a lower soft limit would let
        # a program with a handler end with an exit code that says something else.
        resource.setrlimit(resource.RLIMIT_CPU, (options["cpu"],) * 2)
    if options.get("confined"):
        os.umask(0o077)
        if sys.platform == "linux":
            set_process_option(_PR_SET_NO_NEW_PRIVS, 1)
    if "memory" in options:
        if sys.platform != "darwin":  # macOS refuses RLIMIT_AS
            resource.setrlimit(resource.RLIMIT_AS, (options["memory"],) * 2)
        if sys.platform == "linux":
            _prefer_to_be_killed()


def die_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send us `number` when the thread of process `parent` that started us ends.

    Linux only; elsewhere nothing happens. Ends this process at once when `parent` has ended before.
    """
    if sys.platform != "linux":
        return
    set_process_option(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def set_process_option(option: int, value: int) -> None:
    """Set an option of prctl(2). Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def _prefer_to_be_killed() -> None:
    try:
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    except OSError:
        # Some containers mount /proc read-only; the program runs as well without.
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
