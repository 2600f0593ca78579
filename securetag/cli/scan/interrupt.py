"""Signals that end a command, as an exception that names the signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """SIGINT (Ctrl-C) or SIGTERM (a canceled CI job)."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = signal.Signals(number)

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells report it: 130 or 143."""
        return 128 + self.signal


@contextmanager
def raise_on_signals() -> Iterator[None]:
    """Raise Interrupted in the block at SIGINT and SIGTERM.

    A shell that starts a command in the background has SIGINT ignored; whoever sends it means it.
    """

    def interrupt(number: int, _: FrameType | None) -> None:
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
