"""Child processes that are bounded, supervised and never left behind.

Each child has a session of its own, so that Ctrl-C in the terminal reaches only this process, which
then stops its children in order. Should this process be killed, the kernel ends the child (Linux).
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from securetag.system.launch import Options

#: Seconds between SIGTERM and SIGKILL.
GRACE_SECONDS = 1.0
#: Seconds between two looks at a child.
POLL_SECONDS = 0.02

Stream = int | IO[bytes]


@dataclass(frozen=True)
class Limits:
    """What a child may use; None is no limit. The kernel applies each to every process of the child."""

    memory_bytes: int | None = None
    #: Of each file that it writes.
    file_bytes: int | None = None
    #: Rounded up to whole seconds.
    cpu_seconds: float | None = None
    #: New files are private (umask 077), and no privileges can be gained by a setuid program.
    confined: bool = False
    #: Where the kernel allows it, the child has no network and can write below these folders alone
    #: (`securetag.system.isolation`); it sees `readable` even below /tmp and `hidden`, of which it sees
    #: nothing else. Empty: it isn't isolated.
    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    #: Folders whose files may be given to the user that an isolated child of root becomes.
    ours: tuple[Path, ...] = ()
    #: The Unix socket that an isolated child's way to the network leads to (`securetag.system.gateway`).
    gateway: Path | None = None
    #: Processes and threads of an isolated child, at once. Not counted where this process is root.
    processes: int = 1_024


class ChildProcess:
    """A running child and the process group that it leads. As a context manager it ends with the block.

    `argv[0]` is looked up in PATH. A program that can't be run ends with 127, one whose limits can't be
    set with 126, each with the reason on its stderr. `dies_with_parent=False` is for a child that is started
    by a thread which ends before it.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = subprocess.DEVNULL,
        stderr: Stream = subprocess.DEVNULL,
        limits: Limits | None = None,
        dies_with_parent: bool = True,
    ) -> None:
        options = json.dumps(_options(limits or Limits(), dies_with_parent))
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "securetag.system.launch", options, "--", *argv],
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        #: What the child and the children that it waited for used; set when it has been reaped.
        self.usage: resource.struct_rusage | None = None

    @property
    def pid(self) -> int:
        """Of the child, and the number of its process group."""
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes] | None:
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes] | None:
        return self._process.stdout

    @property
    def stderr(self) -> IO[bytes] | None:
        return self._process.stderr

    @property
    def exit_code(self) -> int | None:
        """As the parent sees it, negative for a signal; None until the child was reaped by `end`."""
        return self._process.returncode

    @property
    def running(self) -> bool:
        """Whether the child has not ended. It stays unreaped, so that its number keeps naming its group."""
        if self._process.returncode is not None:
            return False
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def wait(self, timeout_s: float) -> bool:
        """Wait until the child has ended; return False where it still runs after `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        while self.running:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def terminate(self) -> None:
        """Send SIGTERM to the child alone, without waiting; nothing where it has ended."""
        if self.running:
            _signal(self.pid, signal.SIGTERM, group=False)

    def end(self, grace_s: float = GRACE_SECONDS, *, whole_group: bool = True) -> int:
        """End the child and whatever its group still runs; return its exit code. Idempotent.

        A running child gets SIGTERM (with `whole_group`, its group does) and `grace_s` seconds; then the
        group gets SIGKILL. Closes the pipes.
        """
        if self._process.returncode is None:
            if self.running:
                _signal(self.pid, signal.SIGTERM, group=whole_group)
                self.wait(grace_s)
            # The leader runs or is unreaped here, so the group can't be a stranger's.
            _signal(self.pid, signal.SIGKILL, group=True)
            _, status, self.usage = os.wait4(self.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                if stream is not None:
                    _close(stream)
        return self._process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


@dataclass(frozen=True)
class Completed:
    """How a program ended that was run to its end."""

    exit_code: int
    stdout: bytes
    #: The last lines that aren't empty, joined by " | ".
    stderr_tail: str


def run_to_end(
    argv: Sequence[str],
    *,
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    tail_lines: int = 8,
) -> Completed:
    """Run a program and return its output. Raises TimeoutError after `timeout_s` seconds of wall time."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        with ChildProcess(argv, cwd=cwd, env=env, stdout=stdout, stderr=stderr, limits=limits) as child:
            if not child.wait(timeout_s):
                raise TimeoutError(f"{argv[0]} did not end within {timeout_s:g} s")
            exit_code = child.end()
        stdout.seek(0)
        stderr.seek(0)
        return Completed(exit_code, stdout.read(), last_lines(stderr.read(), tail_lines))


def last_lines(text: bytes, lines: int = 5) -> str:
    """Return the last lines that aren't empty, stripped and joined by " | "."""
    stripped = (line.strip() for line in text.decode(errors="replace").splitlines())
    return " | ".join([line for line in stripped if line][-lines:])


def log_tail(path: Path, lines: int = 5) -> str:
    """Return the `last_lines` of a log file; empty where it can't be read."""
    try:
        return last_lines(path.read_bytes(), lines)
    except OSError:
        return ""


def _options(limits: Limits, dies_with_parent: bool) -> Options:
    options = Options()
    if dies_with_parent:
        options["parent"] = os.getpid()
    if limits.memory_bytes is not None:
        options["memory"] = limits.memory_bytes
    if limits.file_bytes is not None:
        options["file_size"] = limits.file_bytes
    if limits.cpu_seconds is not None:
        options["cpu"] = math.ceil(limits.cpu_seconds)
    if limits.confined:
        options["confined"] = True
    if limits.writable:
        options["writable"] = [str(path.absolute()) for path in limits.writable]
        options["needed"] = [str(path.absolute()) for path in limits.readable]
        options["hidden"] = [str(path.absolute()) for path in limits.hidden]
        options["ours"] = [str(path.absolute()) for path in limits.ours]
        options["processes"] = limits.processes
        if limits.gateway is not None:
            options["gateway"] = str(limits.gateway.absolute())
    return options


def _signal(pid: int, number: signal.Signals, *, group: bool) -> None:
    try:
        if group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        # macOS answers so when the group holds nothing but a zombie.
        return


def _close(stream: IO[bytes]) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        return  # what was still buffered for a child that has ended
