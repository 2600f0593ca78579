"""Run one tool, bounded in CPU and wall time, memory and output, and leave no process of it behind."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from securetag.system.clock import utc_now
from securetag.system.processes import POLL_SECONDS, ChildProcess, Limits
from securetag.system.resources import peak_memory_mb

#: Names the folder that a tool works for; by it the sweep knows a killed worker's orphans.
SANDBOX_VARIABLE = "SECURETAG_SANDBOX"
#: Bytes that each file written by a tool may have.
MAX_OUTPUT = 200 * 1024 * 1024
#: Characters of a path; longer arguments are none.
MAX_PATH = 1_024
#: What holds keys and passwords in the folder of the worker's user; no tool sees it.
PERSONAL = (
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".config",
    ".kube",
    ".docker",
    ".semgrep",
    ".huggingface",
    ".local/share/keyrings",
    ".netrc",
    ".pgpass",
    ".pypirc",
    ".npmrc",
    ".git-credentials",
    ".cache/huggingface/token",
    ".bash_history",
    ".python_history",
    ".psql_history",
)
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
    gateway: Path | None = None,
    hidden: Sequence[Path] = (),
) -> ProcessResult:
    """Run `argv` in a session of its own with `env` and nothing else of our environment.

    Where the kernel allows it (`securetag.system.isolation`) the tool has no network but what `gateway`
    leads to (`securetag.system.gateway`). It writes below the folder of `stdout` and the one that
    SANDBOX_VARIABLE names in `env` alone. It reads everything but /tmp, /run, `hidden`, which is the
    installation's, and PERSONAL, of which it sees its own folders and what `argv` and `env` name.
    `on_start` gets the process group. On time-out, on `stop` and on any exception here the whole
    group is ended; what the tool leaves running after its own end is killed too. A tool that can't
    be run at all ends with 127 and its reason in `stderr`.

    `timeout_s` is wall time, a guard against hangs: on a busy machine it says little about the work.
    `cpu_limit_s` is what the work may cost. The kernel counts it for each process with all its threads,
    in whole seconds; a child gets a count of its own.
    """
    limits = Limits(
        memory_bytes=memory_mb << 20,
        file_bytes=max_output,
        cpu_seconds=cpu_limit_s,
        confined=True,
        writable=(stdout.parent, *(Path(env[name]) for name in (SANDBOX_VARIABLE,) if name in env)),
        readable=tuple(_list_needed(argv, env)),
        hidden=(*hidden, *(Path.home() / name for name in PERSONAL)),
        ours=tuple(hidden),
        gateway=gateway,
    )
    started_at, began = utc_now(), time.monotonic()
    with stdout.open("wb") as out, stderr.open("wb") as err:
        child = ChildProcess(argv, cwd=cwd, env=env, stdout=out, stderr=err, limits=limits)
    timed_out = stopped = False
    try:
        if on_start:
            on_start(child.pid)
        while child.running:
            stopped = stop is not None and stop.is_set()
            timed_out = not stopped and time.monotonic() - began > timeout_s
            if stopped or timed_out:
                break
            time.sleep(POLL_SECONDS)
    finally:
        exit_code = child.end()
    assert child.usage is not None
    cpu_s = child.usage.ru_utime + child.usage.ru_stime
    return ProcessResult(
        exit_code=exit_code,
        timed_out=timed_out,
        stopped=stopped,
        cpu_exceeded=(
            cpu_limit_s is not None
            and exit_code in {-signal.SIGKILL, -signal.SIGXCPU}
            and not (timed_out or stopped)
            and cpu_limit_s <= cpu_s + _CPU_ROUNDING_S
        ),
        started_at=started_at,
        duration_s=time.monotonic() - began,
        cpu_s=cpu_s,
        peak_mb=peak_memory_mb(child.usage),
    )


def _list_needed(argv: Sequence[str], env: Mapping[str, str]) -> Iterator[Path]:
    """Yield what a command names by absolute paths, and the environment of Python that its program is in."""
    for text in (*argv, *env.values()):
        path = text.partition("=")[2] if text.startswith("--") else text
        if path.startswith("/") and len(path) < MAX_PATH and Path(path).exists():
            yield Path(path)
    program = Path(argv[0])
    if program.is_absolute():
        environment = program.parent.parent / "pyvenv.cfg"
        yield environment.parent if environment.exists() else program.parent
        if environment.exists():
            # The installation whose library it uses, which may be below a home that others can't enter.
            settings = dict(
                line.split(" = ", 1) for line in environment.read_text().splitlines() if " = " in line
            )
            yield Path(settings.get("home", "/usr/bin")).parent


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
