"""Progress of long steps as a handful of log lines, since each line is a row in Dagster's storage."""

from __future__ import annotations

from collections.abc import Callable

#: Lines that one piece of work writes at most.
LINES = 5


class Progress:
    """Called with (what, done, of); says so `lines` times, each after an equal part."""

    def __init__(self, say: Callable[[str], object], *, lines: int = LINES) -> None:
        self._say = say
        self._lines = lines
        self._said: dict[str, int] = {}

    def __call__(self, what: str, done: int, of: int, note: str = "") -> None:
        part = done * self._lines // of if of else 0
        if part > self._said.get(what, 0 if of else -1):
            self._said[what] = part
            self._say(f"{what}: {done:,} of {of:,}{note}" if of else what)
