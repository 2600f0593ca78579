"""Workers forked from a process that has imported all of it: each starts in milliseconds, to be killed.

`python tests/plugins/forked_workers.py` reads commands from stdin, a line each, and answers with a line:
`start` → the worker's process id; `kill PID` and `stop PID` → how it has ended, as `waitpid` says.
At the end of stdin it kills those that live.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class ForkedWorkers:
    """The other end of that process."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._server = server

    def _ask(self, command: str) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(f"{command}\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def start(self) -> int:
        """Return the process id of a new worker."""
        return self._ask("start")

    def kill(self, pid: int) -> int:
        """Send SIGKILL, wait for the end; return the signal that ended it, negative, or its exit code."""
        return self._ask(f"kill {pid}")

    def stop(self, pid: int) -> int:
        """As `kill`, by SIGTERM."""
        return self._ask(f"stop {pid}")


@contextmanager
def run_forked_workers(environment: Mapping[str, str], log: Path) -> Iterator[ForkedWorkers]:
    """Start the process; it ends with the block, and its workers with it."""
    with log.open("ab") as out:
        server = subprocess.Popen(
            [sys.executable, __file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=out,
            text=True,
        )
    try:
        yield ForkedWorkers(server)
    finally:
        server.communicate(timeout=60)


def serve() -> None:
    """Answer commands until there are no more."""
    from securetag.system.isolation import has_process_limit, probe
    from securetag.worker.__main__ import main

    # Both start processes and are asked once a process.
    probe()
    has_process_limit()
    pids: set[int] = set()
    while line := sys.stdin.readline():
        command, _, number = line.partition(" ")
        if command.strip() == "start":
            answer = os.fork()
            if not answer:
                os.dup2(2, 1)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os._exit(main([]))
            pids.add(answer)
        else:
            pid = int(number)
            os.kill(pid, signal.SIGKILL if command == "kill" else signal.SIGTERM)
            answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            pids.remove(pid)
        print(answer, flush=True)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    serve()
