"""API keys: `stk_<12>_<43>`, kept as an HMAC-SHA256 of the whole key under the pepper.

The 12 characters are the public prefix by which a key is found and named; the 43 are 32 random
bytes in base64url. A stolen table without the pepper opens nothing, and 256 random bits need no
slow hash. `peppers` says how the pepper is replaced.

Scopes:

- `read`      see scans, findings, projects, consent;
- `scan`      upload, make projects, cancel;
- `feedback`  give verdicts, suppress, change a project's settings;
- `admin`     all of the above within the tenant, its keys and its consent;
- `worker`    lease tasks of every tenant. Only an operator gives it out.

A key that has both `admin` and `worker` is an operator's: it makes tenants, and keys for them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from uuid_utils.compat import uuid7

from securetag.db.engine import cross_tenant_transaction, tenant_transaction
from securetag.db.models import SCOPES, ApiKey, Tenant
from securetag.db.plain import PlainRow
from securetag.db.repositories import audit
from securetag.db.repositories.peppers import Peppers, pepper_version, rehash
from securetag.errors import (
    AuthenticationError,
    ConflictError,
    InputError,
    NotFoundError,
    PermissionDeniedError,
)
from securetag.records import JsonObject

_KEY = re.compile(r"stk_([A-Za-z0-9_-]{12})_([A-Za-z0-9_-]{43})")
#: Compared with where the prefix is unknown, so that both cases take the same path.
_NO_DIGEST = bytes(32)


@dataclass(frozen=True)
class Principal:
    """Who calls."""

    tenant_id: UUID
    key_id: UUID
    #: Name of the key: the reviewer of its feedback, the actor in the audit log.
    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """True where the key has the scope, or `admin`, which includes all of its tenant's own."""
        return scope in self.scopes or (scope != "worker" and "admin" in self.scopes)

    @property
    def operator(self) -> bool:
        return {"admin", "worker"} <= self.scopes


def generate_key() -> tuple[str, str]:
    """(prefix, whole key)."""
    # 9 bytes are 12 characters of base64url, 32 are 43.
    prefix = secrets.token_urlsafe(9)
    return prefix, f"stk_{prefix}_{secrets.token_urlsafe(32)}"


def hash_key(key: str, pepper: str) -> bytes:
    """32 bytes: what is stored of a key."""
    return hmac.new(pepper.encode(), key.encode(), hashlib.sha256).digest()


def check_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes in their order, each once. Raises InputError."""
    wanted = set(scopes)
    if not wanted or not wanted <= set(SCOPES):
        raise InputError("unknown or no scopes", hint=f"Choose from {', '.join(SCOPES)}.")
    return [scope for scope in SCOPES if scope in wanted]


async def create_key(
    engine: AsyncEngine, tenant_id: UUID, name: str, scopes: Iterable[str], pepper: str
) -> str:
    """A new key of a tenant, in plain text: the only time that it can be read.

    For the command line and the demo, which own the machine. Raises InputError for unknown scopes
    and DatabaseUnavailableError.
    """
    async with tenant_transaction(engine, tenant_id) as session:
        return (await add_key(session, tenant_id, name, scopes, pepper, actor="operator"))[1]


async def register_key(
    engine: AsyncEngine, tenant_id: UUID, name: str, scopes: Iterable[str], pepper: str, key: str
) -> bool:
    """Store a key that was made elsewhere; return whether it wasn't stored yet. Raises InputError."""
    matched = _KEY.fullmatch(key)
    if matched is None:
        raise InputError("this is no API key", hint="A key is stk_, 12 and 43 characters of base64url.")
    async with tenant_transaction(engine, tenant_id) as session:
        is_new = await session.scalar(select(ApiKey.id).where(ApiKey.prefix == matched[1])) is None
        if is_new:
            given = (matched[1], key)
            await add_key(session, tenant_id, name, scopes, pepper, actor="operator", given=given)
    return is_new


async def add_key(
    session: AsyncSession,
    tenant_id: UUID,
    name: str,
    scopes: Iterable[str],
    pepper: str,
    *,
    actor: str,
    expires_at: datetime | None = None,
    given: tuple[str, str] | None = None,
) -> tuple[ApiKey, str]:
    """The row and the plain key, in a session of the tenant that it belongs to.

    `given` is a key that was made elsewhere, with its prefix.
    """
    prefix, key = given or generate_key()
    row = ApiKey(
        id=uuid7(),
        tenant_id=tenant_id,
        name=name,
        prefix=prefix,
        digest=hash_key(key, pepper),
        pepper_version=pepper_version(pepper),
        scopes=check_scopes(scopes),
        expires_at=expires_at,
    )
    detail: JsonObject = {"name": name, "scopes": row.scopes}
    await audit.add(session, row, actor=actor, action="key.create", detail=detail)
    return row, key


async def authenticate(engine: AsyncEngine, key: str, peppers: Peppers) -> Principal:
    """Who this key is. Raises AuthenticationError, DatabaseUnavailableError, and
    PermissionDeniedError where the key or its tenant is suspended.

    A key that was hashed under the previous pepper is hashed under the current one.
    """
    prefix = find_prefix(key)
    row = None
    if prefix is not None:
        async with cross_tenant_transaction(engine) as session:
            result = await session.execute(
                text(
                    "SELECT key_id, tenant_id, name, digest, scopes, pepper_version, suspended "
                    "FROM securetag.authenticate(:prefix)"
                ),
                {"prefix": prefix},
            )
            row = result.one_or_none()
    caller = check_key(key, tuple(row) if row is not None else None, peppers)
    current = pepper_version(peppers.current)
    if row is not None and row.pepper_version != current:
        new = hash_key(key, peppers.current)
        old = bytes(row.digest)
        await rehash(engine, caller.tenant_id, caller.key_id, old=old, new=new, version=current)
    return caller


def find_prefix(key: str | None) -> str | None:
    """Return the public part of a key; None where it has not the form of one."""
    matched = _KEY.fullmatch(key) if key is not None else None
    return matched[1] if matched is not None else None


def check_key(key: str, row: PlainRow | None, peppers: Peppers) -> Principal:
    """Return whom the key's row (id, tenant, name, digest, scopes, version of the pepper, suspended) is of.

    Raises AuthenticationError where there is no row, or where it is another key's; PermissionDeniedError
    where the key or its tenant is suspended.
    """
    key_id, tenant_id, name, digest, scopes, version, suspended = row or (
        None,
        None,
        "",
        _NO_DIGEST,
        (),
        None,
        None,
    )
    candidates = list(peppers.candidates(version))
    pepper = next(
        (pepper for pepper in candidates if hmac.compare_digest(bytes(digest), hash_key(key, pepper))), None
    )
    if row is None or (pepper is None and candidates):
        raise AuthenticationError(
            "this API key isn't known",
            hint="Send a key of yours in X-API-Key; `securetag key create` makes one.",
        )
    if pepper is None or not peppers.allows(pepper):
        raise AuthenticationError(
            "this API key ended with the pepper that it was made under, since nobody used it in time",
            hint="Ask your operator for a new key; `securetag key create` makes one.",
        )
    if suspended is not None:
        raise PermissionDeniedError(
            f"this {'API key' if suspended == 'key' else 'tenant'} is suspended",
            hint="Ask the operator of this installation; nothing was deleted.",
        )
    return Principal(tenant_id=tenant_id, key_id=key_id, name=name, scopes=frozenset(scopes))


async def find_valid_key(session: AsyncSession, key_id: UUID) -> ApiKey | None:
    """Return the key, unless it was revoked, has expired, or it or its tenant is suspended."""
    is_unexpired = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.clock_timestamp())
    key: ApiKey | None = await session.scalar(
        select(ApiKey)
        .join(Tenant, Tenant.id == ApiKey.tenant_id)
        .where(
            ApiKey.id == key_id,
            ApiKey.revoked_at.is_(None),
            ApiKey.suspended_at.is_(None),
            Tenant.suspended_at.is_(None),
            is_unexpired,
        )
    )
    return key


async def record_use(session: AsyncSession, key_id: UUID) -> None:
    """Note that the key was used now."""
    await session.execute(
        update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=func.clock_timestamp())
    )


async def rotate_key(
    session: AsyncSession, old: ApiKey, pepper: str, *, overlap: timedelta, actor: str
) -> tuple[ApiKey, str]:
    """Return a new key with the name, scopes and expiry of an old one, which ends after `overlap`.

    The row and the plain key, in a session of the tenant that it belongs to. Raises ConflictError for a key
    that opens nothing any more.
    """
    if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= datetime.now(UTC)):
        state = "revoked" if old.revoked_at is not None else "expired"
        raise ConflictError(f"key {old.prefix} is {state}", hint="Make another key.")
    row, plain = await add_key(
        session, old.tenant_id, old.name, old.scopes, pepper, actor=actor, expires_at=old.expires_at
    )
    if overlap:
        end = func.least(ApiKey.expires_at, func.clock_timestamp() + overlap)
        await session.execute(update(ApiKey).where(ApiKey.id == old.id).values(expires_at=end))
    else:
        await revoke_key(session, old.tenant_id, old.id, actor=actor)
    return row, plain


async def revoke_key(session: AsyncSession, tenant_id: UUID, key_id: UUID, *, actor: str) -> None:
    """The key opens nothing from now on. Raises NotFoundError; a second time is no error."""
    revoked_id = await session.scalar(
        update(ApiKey)
        .where(ApiKey.id == key_id)
        .values(revoked_at=func.coalesce(ApiKey.revoked_at, func.clock_timestamp()))
        .returning(ApiKey.id)
    )
    if revoked_id is None:
        raise NotFoundError("there is no such key", hint="GET /keys lists yours.")
    await audit.record(session, tenant_id, actor=actor, action="key.revoke", subject=str(key_id))


async def suspend_key(
    session: AsyncSession, tenant_id: UUID, key_id: UUID, *, is_suspended: bool, actor: str
) -> ApiKey:
    """Return the key, which from now on opens nothing, or again what it did. Raises NotFoundError."""
    moment = func.coalesce(ApiKey.suspended_at, func.clock_timestamp()) if is_suspended else None
    key: ApiKey | None = await session.scalar(
        update(ApiKey).where(ApiKey.id == key_id).values(suspended_at=moment).returning(ApiKey)
    )
    if key is None:
        raise NotFoundError("there is no such key", hint="GET /keys lists yours.")
    action = "key.suspend" if is_suspended else "key.resume"
    await audit.record(session, tenant_id, actor=actor, action=action, subject=str(key_id))
    return key
