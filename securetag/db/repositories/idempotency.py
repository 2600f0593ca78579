"""A POST under an Idempotency-Key happens once; a repetition gets the first answer again.

The row is written in the transaction of the work itself: a crash leaves both or neither. A second
call with the same key waits at the unique index for the first one's end.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from securetag.db.models import IdempotencyKey
from securetag.errors import ConflictError, InputError
from securetag.records import JsonObject


@dataclass(frozen=True)
class Stored:
    """The first call's answer."""

    status: int
    response: JsonObject


async def is_used(session: AsyncSession, *, operation: str, key: str | None) -> bool:
    """Has a call under this key been answered?"""
    query = select(IdempotencyKey.id).where(IdempotencyKey.operation == operation, IdempotencyKey.key == key)
    return key is not None and await session.scalar(query) is not None


async def begin(
    session: AsyncSession, tenant_id: UUID, *, operation: str, key: str, request_sha256: str
) -> Stored | None:
    """None: the key is new and taken now. Else the answer of the call that had it.

    Raises InputError where that call meant something else.
    """
    taken = await session.execute(
        insert(IdempotencyKey)
        .values(tenant_id=tenant_id, operation=operation, key=key, request_sha256=request_sha256)
        .on_conflict_do_nothing(index_elements=["tenant_id", "operation", "key"])
        .returning(IdempotencyKey.id)
    )
    if taken.scalar_one_or_none() is not None:
        return None
    row = (
        await session.execute(
            select(IdempotencyKey.request_sha256, IdempotencyKey.status, IdempotencyKey.response).where(
                IdempotencyKey.operation == operation, IdempotencyKey.key == key
            )
        )
    ).one()
    if row.request_sha256 != request_sha256:
        raise InputError(
            "this Idempotency-Key was used for another request",
            hint="Repeat a request with its own key and body; give a new request a new key.",
        )
    if row.status is None or row.response is None:
        raise ConflictError(
            "the first call under this Idempotency-Key left no answer", hint="Use a new Idempotency-Key."
        )
    return Stored(status=row.status, response=row.response)


async def finish(
    session: AsyncSession, *, operation: str, key: str, status: int, response: JsonObject
) -> None:
    """Keep the answer, in the transaction that `begin` took the key in."""
    await session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.operation == operation, IdempotencyKey.key == key)
        .values(status=status, response=response)
    )
