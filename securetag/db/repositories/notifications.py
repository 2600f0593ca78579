"""Listen for new tasks (LISTEN), so that a waiting worker need not poll at a high rate."""

from __future__ import annotations

import asyncio
import logging

import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db.queue import CHANNEL

log = logging.getLogger(__name__)

#: Seconds between attempts to connect again; meanwhile polling carries on.
RETRY_S = 2.0


class Notifier:
    """Wake every waiting call whenever a task may be ready."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Wake whoever waits for the current notification, and begin the next one."""
        current, self._event = self._event, asyncio.Event()
        current.set()

    def next_notification(self) -> asyncio.Event:
        """Return the event that the next `notify` sets.

        Take it before looking for work, so that no notification falls in between.
        """
        return self._event


async def wait_for(notification: asyncio.Event, seconds: float) -> bool:
    """Wait for a notification, at most `seconds`. Return whether it came."""
    try:
        await asyncio.wait_for(notification.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def listen(engine: AsyncEngine, notifier: Notifier) -> None:
    """Notify at every message of the database, on a separate connection, until canceled.

    A lost connection is opened again; that costs only time, since waiting calls poll as well.
    """
    dialect = engine.sync_engine.dialect
    while True:
        try:
            args, options = dialect.create_connect_args(engine.url)
            connection = await psycopg.AsyncConnection.connect(*args, **{**options, "autocommit": True})
            async with connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                # Tasks may have come while nothing listened.
                notifier.notify()
                async for _ in connection.notifies():
                    notifier.notify()
        except (psycopg.Error, OSError) as error:
            log.info("listening for tasks failed, polling meanwhile: %s", error)
        await asyncio.sleep(RETRY_S)
