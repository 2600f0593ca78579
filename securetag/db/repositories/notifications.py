"""Hear of new tasks at once (LISTEN), so that a waiting worker needn't ask again and again."""

from __future__ import annotations

import asyncio
import logging

import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db.queue import CHANNEL

log = logging.getLogger(__name__)

#: Seconds between attempts to connect again; meanwhile polling carries on.
RETRY_S = 2.0


class Bell:
    """Rings for everybody who waits, whenever a task may be there."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        ringing, self._event = self._event, asyncio.Event()
        ringing.set()

    def next_ring(self) -> asyncio.Event:
        """Set at the next ring. Taken before a look for work, so that no ring falls in between."""
        return self._event


async def heard(ring: asyncio.Event, seconds: float) -> bool:
    """Wait for a ring, at most so long. True = it rang."""
    try:
        await asyncio.wait_for(ring.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def listen(engine: AsyncEngine, bell: Bell) -> None:
    """Ring at every notification, on a connection of its own, for ever: cancel it to stop.

    A lost connection is made again; nothing is lost but time, since waiters poll besides.
    """
    dialect = engine.sync_engine.dialect
    while True:
        try:
            args, options = dialect.create_connect_args(engine.url)
            connection = await psycopg.AsyncConnection.connect(*args, **{**options, "autocommit": True})
            async with connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                # What came while nobody listened.
                bell.ring()
                async for _ in connection.notifies():
                    bell.ring()
        except (psycopg.Error, OSError) as error:
            log.info("listening for tasks failed, polling meanwhile: %s", error)
        await asyncio.sleep(RETRY_S)
