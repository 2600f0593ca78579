"""The peppers under which API keys are hashed, and their rotation.

A pepper's version is a short digest of the pepper itself, so nobody has to number peppers. The row of a key
says under which version it was hashed. While `pepper_previous` is valid, keys of both peppers open, and a key
of the previous one is hashed anew at its next use. After that it is refused.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db.engine import cross_tenant_transaction, tenant_transaction
from securetag.db.models import ApiKey, Tenant
from securetag.db.repositories.tenants import list_tenants
from securetag.settings import Settings
from securetag.system.clock import utc_now

_DOMAIN = b"securetag-pepper-version"


def pepper_version(pepper: str) -> str:
    """Return the 8 hex digits that name a pepper."""
    return hmac.new(pepper.encode(), _DOMAIN, hashlib.sha256).hexdigest()[:8]


@dataclass(frozen=True)
class Peppers:
    """The current pepper, and the one that it replaces until a stated time."""

    current: str
    previous: str | None = None
    previous_until: datetime | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises SettingsError for the default pepper in production."""
        previous = settings.pepper_previous
        return cls(
            settings.require_pepper(),
            previous.get_secret_value() if previous is not None else None,
            settings.pepper_previous_until,
        )

    @property
    def has_valid_previous(self) -> bool:
        """True while keys of the previous pepper open."""
        return (
            self.previous is not None and self.previous_until is not None and utc_now() < self.previous_until
        )

    def candidates(self, version: str | None) -> Iterator[str]:
        """Yield the peppers, ended ones too, under which a key of this version may be hashed.

        None is a key from before versions: any.
        """
        for pepper in (self.current, self.previous):
            if pepper is not None and version in (None, pepper_version(pepper)):
                yield pepper

    def allows(self, pepper: str) -> bool:
        """Return whether keys under this one of the two peppers still open."""
        return pepper == self.current or self.has_valid_previous


async def rehash(
    engine: AsyncEngine, tenant_id: UUID, key_id: UUID, *, old: bytes, new: bytes, version: str
) -> None:
    """Store a key's digest under another pepper, unless a call at the same moment has done so."""
    async with tenant_transaction(engine, tenant_id) as session:
        await session.execute(
            update(ApiKey)
            .where(ApiKey.id == key_id, ApiKey.digest == old)
            .values(digest=new, pepper_version=version)
        )


@dataclass(frozen=True)
class KeyVersion:
    """An API key that opens, and the version of its pepper; None from before versions."""

    tenant: str
    name: str
    prefix: str
    version: str | None
    last_used_at: datetime | None


async def list_versions(engine: AsyncEngine) -> Sequence[KeyVersion]:
    """Return every key that is neither revoked nor expired, tenant by tenant. For operators."""
    async with cross_tenant_transaction(engine) as session:
        # A page of NULL is every tenant.
        tenants = await list_tenants(session, after=None, limit=None)
    query = (
        select(Tenant.name, ApiKey.name, ApiKey.prefix, ApiKey.pepper_version, ApiKey.last_used_at)
        .join(Tenant, Tenant.id == ApiKey.tenant_id)
        .where(
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.clock_timestamp()),
        )
        .order_by(ApiKey.id)
    )
    keys: list[KeyVersion] = []
    for tenant in tenants:
        async with tenant_transaction(engine, tenant.id) as session:
            keys += [KeyVersion(*row) for row in await session.execute(query)]
    return keys
