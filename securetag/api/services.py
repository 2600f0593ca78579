"""What a running api holds: settings, database, storage, metrics, the notifier of new tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from securetag.api.metrics import Metrics
from securetag.api.rates import CallRates
from securetag.api.streams import Streams
from securetag.db.engine import tenant_transaction
from securetag.db.repositories.notifications import Notifier
from securetag.db.repositories.peppers import Peppers
from securetag.db.upgrade import is_at_head
from securetag.errors import DatabaseUnavailableError
from securetag.scanning.unpack import Limits
from securetag.settings import Settings
from securetag.storage import Storage
from securetag.system.sealing import SecretBox
from securetag.wire.tenants import Quotas

#: Seconds that a look at the schema's revision holds: a migration under way is noticed within them.
REVISION_HOLDS_S = 5.0
#: Seconds between two notes of a key's use: good enough to find keys that nobody uses.
USE_NOTED_S = 300.0


@dataclass
class ApiServices:
    """Made once a process, in the lifespan."""

    settings: Settings
    engine: AsyncEngine
    storage: Storage
    metrics: Metrics
    notifier: Notifier = field(default_factory=Notifier)
    streams: Streams = field(default_factory=Streams)
    rates: CallRates = field(default_factory=CallRates)
    _revision_good_until: float = 0.0
    _check: asyncio.Task[None] | None = None
    _last_use: dict[UUID, float] = field(default_factory=dict)
    _noted_keys: dict[str, float] = field(default_factory=dict)

    @property
    def peppers(self) -> Peppers:
        return Peppers.of(self.settings)

    @property
    def quotas(self) -> Quotas:
        """Those of tenants that have none of their own."""
        return Quotas.model_validate(self.settings.api.quotas)

    @property
    def lease_keys(self) -> list[str]:
        """The keys of lease tokens: the first signs, the others are those that it replaces."""
        settings, peppers = self.settings, self.peppers
        previous = [settings.lease_key_previous.get_secret_value()] if settings.lease_key_previous else []
        if settings.lease_key is not None:
            return [settings.lease_key.get_secret_value(), *previous]
        if peppers.previous is not None and peppers.has_valid_previous:
            previous.append(peppers.previous)
        return [peppers.current, *previous]

    @property
    def secret_box(self) -> SecretBox:
        """Seals the secrets of webhooks under their key; opens those under what it replaces too."""
        settings, peppers = self.settings, self.peppers
        given = [settings.webhook_key, settings.webhook_key_previous]
        current, previous = [key.get_secret_value() if key is not None else None for key in given]
        # Those of before there was a key of their own are sealed under the pepper.
        replaced = [previous, peppers.current, peppers.previous]
        return SecretBox([current or peppers.current, *filter(None, replaced)])

    @property
    def incoming_dir(self) -> Path:
        """Where bodies lie while they arrive."""
        return self.settings.run_dir / "incoming"

    @property
    def archive_limits(self) -> Limits:
        """The worker's limits: what the api accepts, a worker unpacks."""
        worker = self.settings.worker
        return Limits(
            max_files=worker.max_files, max_unpacked=worker.max_unpacked, max_ratio=worker.max_ratio
        )

    @asynccontextmanager
    async def tenant(self, tenant_id: UUID, *, limit_s: float | None = None) -> AsyncIterator[AsyncSession]:
        """One transaction as a tenant, of at most `limit_s` seconds. Raises DatabaseUnavailableError."""
        async with tenant_transaction(self.engine, tenant_id, limit_s=limit_s) as session:
            yield session

    def use_is_news(self, key_id: UUID) -> bool:
        """True once every `USE_NOTED_S` for a key: then its use is to be written down."""
        now = time.monotonic()
        if now - self._last_use.get(key_id, -USE_NOTED_S) < USE_NOTED_S:
            return False
        self._last_use[key_id] = now
        return True

    def key_is_news(self, prefix: str) -> bool:
        """True once every `USE_NOTED_S` for the prefix of a key, until it is noted."""
        return time.monotonic() - self._noted_keys.get(prefix, -USE_NOTED_S) >= USE_NOTED_S

    def note_key(self, prefix: str) -> None:
        """Note that a key was used, under its prefix."""
        self._noted_keys[prefix] = time.monotonic()

    def forget_revision(self) -> None:
        """Ask the database at the next `check_revision`, whatever it said before."""
        self._revision_good_until = 0.0

    async def check_soon(self, within_s: float) -> None:
        """As `check_revision`, asked anew, for whoever can't wait. Raises DatabaseUnavailableError in time.

        A frozen database leaves one question open, however many ask: the next ones wait for its answer.
        """
        if self._check is None or self._check.done():
            self.forget_revision()
            self._check = asyncio.create_task(self.check_revision(), name="health")
            self._check.add_done_callback(_read_error)
        done, _ = await asyncio.wait({self._check}, timeout=within_s)
        if not done:
            raise DatabaseUnavailableError(
                "the database didn't answer in time", hint="See that PostgreSQL runs and has room to work."
            )
        await self._check

    async def check_revision(self) -> None:
        """Raises DatabaseUnavailableError where the schema isn't the one that this code was written for."""
        if time.monotonic() < self._revision_good_until:
            return
        if not await is_at_head(self.engine):
            raise DatabaseUnavailableError(
                "the database's schema is at another revision than this api needs",
                hint="Run `securetag db upgrade` with the api's own version.",
            )
        self._revision_good_until = time.monotonic() + REVISION_HOLDS_S


def _read_error(task: asyncio.Task[None]) -> None:
    """Read how a check has ended, so that an error which nobody waits for isn't reported as lost."""
    if not task.cancelled():
        task.exception()


async def services_of(request: Request) -> ApiServices:
    """Return what the process holds. A coroutine, since FastAPI runs any other dependency in a thread."""
    services: ApiServices = request.app.state.services
    return services


Services = Annotated[ApiServices, Depends(services_of)]
