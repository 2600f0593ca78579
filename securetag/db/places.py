"""Places at the database: as many as the pool has connections, given in the order of asking.

Whoever waits for a connection inside the pool has a clock running, and under load that clock counts what the
event loop was busy with: everybody times out, and all the work was for nothing. Here the clock of a
transaction begins when it has its place. How many may wait is the api's to say (`securetag.api.admission`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar


class Places:
    """A number of places, and a queue of those who wait for one. Belongs to one event loop."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[asyncio.Future[None]] = deque()
        #: Set where a caller, or whoever started it, has a place: what it does inside needs no second one.
        self._has_place: ContextVar[bool] = ContextVar("has_place", default=False)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Hold a place, waiting for it as long as it takes. Raises what `refuse_waiting` was given."""
        if self._has_place.get():
            yield
            return
        await self._wait()
        token = self._has_place.set(True)
        try:
            yield
        finally:
            self._has_place.reset(token)
            self._leave()

    def refuse_waiting(self, error: Exception) -> None:
        """Raise this error in everybody who waits now."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)

    async def _wait(self) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                # The place came at the same moment: it goes to the next one.
                self._leave()
            raise
        finally:
            if future in self._waiting:
                self._waiting.remove(future)

    def _leave(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self._free += 1
