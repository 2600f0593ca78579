"""Labels from execution: run synthetic functions in sandboxed processes, read off what they are worth.

Functions go to the processes in batches, one process a core. A process answers function by function,
so that one which ends early costs a single function: that function is run again by itself, and only
if its process ends once more is it given up, with the reason. What limits a function is CPU time,
which a busy machine doesn't change.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import msgspec

from securetag.datasets.synthetic.child import OUT_OF_TIME, READY, Outcome, Trial
from securetag.datasets.synthetic.outcome_cache import OutcomeCache
from securetag.errors import ToolError
from securetag.records import Label
from securetag.settings import cores
from securetag.system.processes import ChildProcess, last_lines

#: Stands in every synthetic row, in the lineage of its function and in the release's digest. Raise it
#: with every change of a label: `tools/label_table.py` says when one changed, and a test asks it.
ORACLE_VERSION = "oracle-7"
#: Functions in a batch: about 5 CPU-seconds, of which the process's start is 0.4.
BATCH_SIZE = 2_000
#: Seconds without an outcome after which a process is ended. A function takes milliseconds of CPU
#: time and is stopped by its CPU limit, so this only ends what waits for something, and it is long
#: enough for a machine that is busy or a process that somebody stopped.
HANG_SECONDS = 900.0
#: Functions between two reports of progress: 20 to 60 seconds on two cores.
PROGRESS_STEP = 20_000
#: Bytes of a process's standard error that are kept for the message.
_STDERR_BYTES = 4_096

Progress = Callable[[str], None]


def run_trials(
    trials: Sequence[Trial],
    *,
    progress: Progress | None = None,
    hang_s: float = HANG_SECONDS,
    cache: Path | None = None,
) -> list[Outcome]:
    """Run every trial in a sandboxed process and return the outcomes in the trials' order.

    Those that the file `cache` holds aren't run again, and the others are added to it. A function that
    exhausts its CPU limit, waits for ever or ends its process has an outcome with an error; the others
    are not affected. Raises ToolError when the sandbox can't be started.
    """
    kept = OutcomeCache(cache, ORACLE_VERSION) if cache is not None else None
    outcomes = kept.load(trials) if kept is not None else {}
    missing = [number for number in range(len(trials)) if number not in outcomes]
    judged = _run([trials[number] for number in missing], progress, hang_s)
    if kept is not None:
        kept.store((trials[number], outcome) for number, outcome in zip(missing, judged, strict=True))
    outcomes.update(zip(missing, judged, strict=True))
    return [outcomes[number] for number in range(len(trials))]


def _run(trials: Sequence[Trial], progress: Progress | None, hang_s: float) -> list[Outcome]:
    if not trials:
        return []
    with tempfile.TemporaryDirectory(prefix="securetag-oracle-") as folder:
        return _Run(trials, Path(folder), progress or (lambda _: None), hang_s).outcomes()


def label_of(outcome: Outcome) -> Label | None:
    """true_positive where a payload did harm, false_positive where only honest values got through.

    None where the sink can't be reached by honest values either, or the function couldn't be judged:
    such a function shows nothing.
    """
    if outcome.error:
        return None
    if outcome.witness is not None:
        return "true_positive"
    return "false_positive" if outcome.honest else None


class _Batch:
    """A process of its own and the trials that it was given; its answers as they come."""

    def __init__(self, numbers: Sequence[int], trials: Sequence[Trial], folder: Path, *, alone: bool) -> None:
        #: Positions of the trials in the run.
        self.numbers = numbers
        #: Is this the second try of a function at which a process ended?
        self.alone = alone
        self.answered, self.is_ready, self.hung = 0, False, False
        self.errors = b""
        self._rest = b""
        self.last_sign = time.monotonic()
        # A file, since a pipe would block until the process has read it.
        with tempfile.TemporaryFile(dir=folder) as given:
            given.writelines(msgspec.json.encode(trials[number]) + b"\n" for number in numbers)
            given.seek(0)
            self._child = ChildProcess(
                [sys.executable, "-I", "-B", "-m", "securetag.datasets.synthetic.child"],
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            )
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self.stdout, self.stderr = self._child.stdout, self._child.stderr
        #: Streams that aren't at their end.
        self.open_streams = {self.stdout, self.stderr}

    def read(self, data: bytes) -> list[bytes]:
        """Take what the process wrote; return the outcomes that are whole, in order."""
        self.last_sign = time.monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines and not self.is_ready:
            self.is_ready = lines.pop(0) == READY
        return lines

    def end(self) -> str:
        """End the process and return why it ended before its last outcome."""
        code = self._child.end(0)
        if self.hung:
            return "no answer"
        return OUT_OF_TIME if code == -signal.SIGXCPU else f"ended its process with {code}"


class _Run:
    """All batches of one call of `run`, so many at once as there are cores."""

    def __init__(self, trials: Sequence[Trial], folder: Path, progress: Progress, hang_s: float) -> None:
        self._trials, self._folder, self._progress, self._hang_s = trials, folder, progress, hang_s
        self._outcomes: dict[int, Outcome] = {}
        size = max(1, min(BATCH_SIZE, -(-len(trials) // cores())))
        numbers = range(len(trials))
        self._waiting: deque[tuple[Sequence[int], bool]] = deque(
            (numbers[at : at + size], False) for at in range(0, len(trials), size)
        )
        self._running: set[_Batch] = set()
        self._selector = selectors.DefaultSelector()

    def outcomes(self) -> list[Outcome]:
        """Run everything. No process outlives the call, however it ends."""
        try:
            while self._waiting or self._running:
                while self._waiting and len(self._running) < cores():
                    self._start(*self._waiting.popleft())
                self._take()
                self._end_hung()
        finally:
            self._selector.close()
            for batch in self._running:
                batch.end()
        return [self._outcomes[number] for number in range(len(self._trials))]

    def _start(self, numbers: Sequence[int], alone: bool) -> None:
        batch = _Batch(numbers, self._trials, self._folder, alone=alone)
        self._running.add(batch)
        for stream in batch.open_streams:
            self._selector.register(stream, selectors.EVENT_READ, batch)

    def _take(self) -> None:
        """Wait for a process to write or end, and take what it wrote."""
        for key, _ in self._selector.select(timeout=min(self._hang_s, 60.0)):
            batch: _Batch = key.data
            data = os.read(key.fd, 1 << 16)
            stream: IO[bytes] = key.fileobj  # type: ignore[assignment]
            if not data:
                self._selector.unregister(stream)
                batch.open_streams.remove(stream)
                if not batch.open_streams:
                    self._finish(batch)
            elif stream is batch.stderr:
                batch.errors = (batch.errors + data)[-_STDERR_BYTES:]
            else:
                self._add(batch, batch.read(data))

    def _add(self, batch: _Batch, lines: list[bytes]) -> None:
        before = len(self._outcomes) // PROGRESS_STEP
        for line in lines:
            number = batch.numbers[batch.answered]
            self._outcomes[number] = msgspec.json.decode(line, type=Outcome)
            batch.answered += 1
        if len(self._outcomes) // PROGRESS_STEP > before:
            self._progress(f"{len(self._outcomes):,} of {len(self._trials):,} synthetic functions executed")

    def _finish(self, batch: _Batch) -> None:
        """Deal with a process that has ended or hangs: what it left unanswered runs again."""
        self._running.remove(batch)
        why = batch.end()
        if not batch.is_ready and not batch.hung:
            raise ToolError(f"the execution oracle can't start: {why}: {last_lines(batch.errors, 1)}")
        left = batch.numbers[batch.answered :]
        if not left:
            return
        # The kernel's CPU limit is a function's own, so that it says whose fault it was.
        if batch.alone or why == OUT_OF_TIME:
            self._outcomes[left[0]] = Outcome(honest=0, tried=0, error=why)
        else:
            self._waiting.append((left[:1], True))
        if left[1:]:
            self._waiting.append((left[1:], False))

    def _end_hung(self) -> None:
        now = time.monotonic()
        for batch in [batch for batch in self._running if now - batch.last_sign > self._hang_s]:
            batch.hung = True
            for stream in batch.open_streams:
                self._selector.unregister(stream)
            self._finish(batch)
