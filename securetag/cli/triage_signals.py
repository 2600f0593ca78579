"""Signals that end work early, with what is done so far."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Received:
    """The signal that came, if any."""

    #: 130 or 143, as shells report it; None while none has come.
    exit_code: int | None = None


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[Received]:
    """Set `stop` at the first SIGINT or SIGTERM in the block; a second one ends the program."""
    received = Received()
    before: dict[signal.Signals, object] = {}

    def handle(number: int, _: FrameType | None) -> None:
        if received.exit_code is not None:
            raise KeyboardInterrupt
        received.exit_code = 128 + number
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, handle)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what it was before
