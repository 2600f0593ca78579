"""Keys of all tenants, for the operator of an installation: listed, found, replaced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db.engine import cross_tenant_transaction, tenant_transaction
from securetag.db.models import ApiKey
from securetag.db.repositories import keys
from securetag.db.repositories.tenants import list_tenants
from securetag.errors import ConflictError, NotFoundError

#: Who the audit log names for a command of an installation's operator.
OPERATOR = "operator"


@dataclass(frozen=True)
class TenantKey:
    """A key, without its secret, and whose it is."""

    tenant_id: UUID
    #: Name of the tenant.
    tenant: str
    id: UUID
    name: str
    #: The key begins `stk_<prefix>_`.
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    suspended_at: datetime | None

    @property
    def state(self) -> str:
        """`valid`, `revoked`, `expired` or `suspended`."""
        if self.revoked_at is not None:
            return "revoked"
        is_over = self.expires_at is not None and self.expires_at <= datetime.now(UTC)
        if is_over:
            return "expired"
        return "suspended" if self.suspended_at is not None else "valid"


async def list_tenant_keys(engine: AsyncEngine, tenant: str | None = None) -> list[TenantKey]:
    """Return the keys of every tenant, or of the one with this name or id, oldest first.

    Raises NotFoundError for an unknown tenant, DatabaseUnavailableError.
    """
    found_tenant = False
    rows: list[TenantKey] = []
    async with cross_tenant_transaction(engine) as session:
        tenants = await list_tenants(session, after=None, limit=None)
    for item in tenants:
        if tenant is None or tenant in {item.name, str(item.id)}:
            found_tenant = True
            rows += [key async for key in _keys_of(engine, item.id, item.name)]
    if tenant is not None and not found_tenant:
        raise NotFoundError(f"there is no tenant {tenant!r}", hint="`securetag tenant list` names them.")
    return rows


async def _keys_of(engine: AsyncEngine, tenant_id: UUID, tenant: str) -> AsyncIterator[TenantKey]:
    async with tenant_transaction(engine, tenant_id) as session:
        for row in await session.scalars(select(ApiKey).order_by(ApiKey.id)):
            fields = {name: getattr(row, name) for name in TenantKey.__dataclass_fields__ if name != "tenant"}
            yield TenantKey(tenant=tenant, **fields)


async def find_tenant_key(engine: AsyncEngine, wanted: str) -> TenantKey:
    """Return the key with this id, with this prefix, or, where only one has it, with this name.

    Raises NotFoundError, ConflictError where several keys have the name.
    """
    wanted = wanted.strip().removeprefix("stk_")[:200]
    rows = await list_tenant_keys(engine)
    exact = [
        key for key in rows if wanted in {str(key.id), key.prefix} or wanted.startswith(f"{key.prefix}_")
    ]
    named = [key for key in rows if key.name == wanted and key.revoked_at is None]
    matching = exact or named
    if not matching:
        raise NotFoundError(f"there is no key {wanted[:12]!r}", hint="`securetag key list` names them.")
    if len(matching) > 1:
        raise ConflictError(
            f"{len(matching)} keys have the name {wanted!r}",
            hint="Name the one that is meant by its prefix; `securetag key list` shows it.",
        )
    return matching[0]


async def revoke_tenant_key(engine: AsyncEngine, key: TenantKey) -> None:
    """The key opens nothing from now on; a second time is no error."""
    async with tenant_transaction(engine, key.tenant_id) as session:
        await keys.revoke_key(session, key.tenant_id, key.id, actor=OPERATOR)


async def suspend_tenant_key(engine: AsyncEngine, key: TenantKey, *, is_suspended: bool) -> None:
    """The key opens nothing from now on, or again what it did. Raises NotFoundError."""
    async with tenant_transaction(engine, key.tenant_id) as session:
        await keys.suspend_key(session, key.tenant_id, key.id, is_suspended=is_suspended, actor=OPERATOR)


async def rotate_tenant_key(engine: AsyncEngine, key: TenantKey, pepper: str, *, overlap: timedelta) -> str:
    """Return a new key in place of an old one, which ends after `overlap`. Raises ConflictError."""
    async with tenant_transaction(engine, key.tenant_id) as session:
        old = await session.get_one(ApiKey, key.id)
        _, plain = await keys.rotate_key(session, old, pepper, overlap=overlap, actor=OPERATOR)
    return plain
