"""Quotas of tenants: what was used of them today, and the refusal of what would exceed one.

A day's counts are rows that are locked while they grow, so that calls at the same moment can't exceed a quota
together. `session` is a `tenant_transaction` of the tenant throughout.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from securetag.db.models import QuotaUsage, Task, Tenant
from securetag.db.states import TERMINAL, State
from securetag.errors import QuotaError
from securetag.wire.tenants import Quotas, UsageAnswer, Used

SCANS, BYTES, TOKENS = "scans_a_day", "bytes_a_day", "model_tokens_a_day"
#: Seconds after which a scan may be sent again where too many are open: one of them may have ended.
OPEN_RETRY_S = 30.0

#: (metric, amount, day) → what is used with that amount.
Count = Callable[[str, int, date], Awaitable[int]]


async def charge_scan(session: AsyncSession, tenant_id: UUID, default: Quotas, size: int) -> None:
    """Count one more scan, of `size` uploaded bytes, on the tenant's quotas. Raises QuotaError."""

    async def count(metric: str, amount: int, day: date) -> int:
        return await add_use(session, tenant_id, metric, amount, day)

    await _check_scan(session, default, size, count)


async def check_scan(session: AsyncSession, default: Quotas, size: int) -> None:
    """Raise QuotaError where one more scan would exceed a quota now; count nothing, lock nothing."""

    async def count(metric: str, amount: int, day: date) -> int:
        return await _find_used(session, day, metric) + amount

    await _check_scan(session, default, size, count)


async def _check_scan(session: AsyncSession, default: Quotas, size: int, count: Count) -> None:
    quotas = await find_quotas(session, default)
    now = await _now(session)
    until_midnight = (_midnight_after(now) - now).total_seconds()
    for metric, amount in ((SCANS, 1), (BYTES, size)):
        used = await count(metric, amount, now.date())
        limit: int | None = getattr(quotas, metric)
        if limit is not None and used > limit:
            raise _exceeded(f"{limit:,} {metric.removesuffix('_a_day')} a day", until_midnight)
    if quotas.model_tokens_a_day is not None:
        tokens = await _find_used(session, now.date(), TOKENS)
        if tokens >= quotas.model_tokens_a_day:
            raise _exceeded(f"{quotas.model_tokens_a_day:,} tokens of models a day", until_midnight)
    # The row of the day's scans is locked, so that no other call counts meanwhile.
    if quotas.open is not None and await _count_open(session) >= quotas.open:
        raise _exceeded(f"{quotas.open:,} scans that wait or run", OPEN_RETRY_S)


async def add_use(
    session: AsyncSession, tenant_id: UUID, metric: str, amount: int, day: date | None = None
) -> int:
    """Add to what was used of a metric on a day, by default today (UTC); return the sum."""
    day = day or (await _now(session)).date()
    row = upsert(QuotaUsage).values(tenant_id=tenant_id, period=day, metric=metric, used=amount)
    used: int | None = await session.scalar(
        row.on_conflict_do_update(
            index_elements=["tenant_id", "period", "metric"], set_={"used": QuotaUsage.used + amount}
        ).returning(QuotaUsage.used)
    )
    return used or 0


async def get_usage(session: AsyncSession, default: Quotas) -> UsageAnswer:
    """What the session's tenant has used today, with its limits."""
    quotas, now = await find_quotas(session, default), await _now(session)
    running = await session.scalar(select(func.count(Task.id)).where(Task.state == State.RUNNING.value))
    used = {metric: await _find_used(session, now.date(), metric) for metric in (SCANS, BYTES, TOKENS)}
    used |= {"open": await _count_open(session), "running": running or 0}
    return UsageAnswer(
        day=now.date(),
        calls_a_minute=quotas.calls_a_minute,
        resets_at=_midnight_after(now),
        **{name: Used(used=number, limit=getattr(quotas, name)) for name, number in used.items()},
    )


async def find_quotas(session: AsyncSession, default: Quotas) -> Quotas:
    """The quotas of the session's tenant: its own before `default`."""
    of_tenant = await session.scalar(select(Tenant.quotas))
    return default.model_copy(update=Quotas.model_validate(of_tenant or {}).model_dump(exclude_none=True))


async def _find_used(session: AsyncSession, day: date, metric: str) -> int:
    query = select(QuotaUsage.used).where(QuotaUsage.period == day, QuotaUsage.metric == metric)
    return await session.scalar(query) or 0


async def _count_open(session: AsyncSession) -> int:
    ended = [state.value for state in TERMINAL]
    return await session.scalar(select(func.count(Task.id)).where(Task.state.not_in(ended))) or 0


async def _now(session: AsyncSession) -> datetime:
    now: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return now.astimezone(UTC)


def _midnight_after(now: datetime) -> datetime:
    return datetime.combine(now.date() + timedelta(days=1), time(), UTC)


def _exceeded(quota: str, retry_after_s: float) -> QuotaError:
    error = QuotaError(
        f"the quota is used up: {quota}", hint="GET /usage shows what is used and how much is allowed."
    )
    error.retry_after_s = retry_after_s
    return error
