"""Webhooks and their deliveries. The database itself writes events down as deliveries (revision 0021)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from uuid_utils.compat import uuid7

from securetag.db.engine import cross_tenant_transaction
from securetag.db.models import Webhook, WebhookDelivery
from securetag.db.repositories import audit
from securetag.errors import ConflictError, NotFoundError
from securetag.records import JsonObject
from securetag.system.sealing import SealError, SecretBox

#: Webhooks of one tenant.
MAX_WEBHOOKS = 10
#: Attempts at one message: over a day with the pauses of `securetag.api.webhooks.sender`.
MAX_ATTEMPTS = 8
#: Messages given up in a row after which a webhook is disabled.
DISABLE_AFTER = 5
#: As Standard Webhooks has it.
SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32


@dataclass(frozen=True)
class ClaimedDelivery:
    """A message that this process sends now."""

    id: UUID
    tenant_id: UUID
    webhook_id: UUID
    event: str
    payload: JsonObject
    #: 1 at the first time.
    attempt: int


@dataclass(frozen=True)
class Outcome:
    """How one attempt at a message has ended: it has arrived where `error` is empty."""

    #: HTTP status of the answer; None where there was none.
    status: int | None
    error: str = ""
    #: Does the receiver want no further message?
    is_gone: bool = False


@dataclass(frozen=True)
class WebhookCounts:
    """Webhooks and messages of all tenants."""

    disabled: int
    failing: int
    waiting: int
    oldest_s: float


def generate_secret() -> str:
    """Return a new secret in the form of Standard Webhooks."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


async def add_webhook(
    session: AsyncSession, tenant_id: UUID, url: str, events: Sequence[str], *, sealed: str, actor: str
) -> Webhook:
    """Add a webhook with a `sealed` secret. Raises ConflictError where the tenant has MAX_WEBHOOKS."""
    # Two calls at once must not both take the last place.
    lock = "SELECT pg_advisory_xact_lock(hashtextextended('webhooks ' || :tenant, 0))"
    await session.execute(text(lock), {"tenant": str(tenant_id)})
    if (await session.scalar(select(func.count(Webhook.id))) or 0) >= MAX_WEBHOOKS:
        raise ConflictError(
            f"a tenant has at most {MAX_WEBHOOKS} webhooks", hint="Delete one that isn't needed any more."
        )
    row = Webhook(id=uuid7(), tenant_id=tenant_id, url=url, secret=sealed, events=list(events))
    await audit.add(
        session, row, actor=actor, action="webhook.create", detail={"url": url, "events": list(events)}
    )
    return row


async def get_webhook(session: AsyncSession, webhook_id: UUID) -> Webhook:
    """Return a webhook of the session's tenant. Raises NotFoundError."""
    webhook = await session.get(Webhook, webhook_id)
    if webhook is None:
        raise NotFoundError("there is no such webhook", hint="The list of webhooks has the ids.")
    return webhook


async def change_webhook(
    session: AsyncSession, webhook_id: UUID, changes: JsonObject, *, actor: str
) -> Webhook:
    """Change `url`, `events` or `active`; one that is activated begins anew. Raises NotFoundError."""
    webhook = await get_webhook(session, webhook_id)
    for name, value in changes.items():
        setattr(webhook, name, value)
    if changes.get("active"):
        webhook.failures, webhook.disabled_reason = 0, ""
    await session.flush()
    await _record(session, webhook, "webhook.change", actor, changes)
    return webhook


async def rotate_secret(
    session: AsyncSession, webhook_id: UUID, *, sealed: str, overlap: timedelta, actor: str
) -> Webhook:
    """Give a webhook a new `sealed` secret; the old one signs too for `overlap`. Raises NotFoundError."""
    webhook = await get_webhook(session, webhook_id)
    webhook.previous_secret = webhook.secret if overlap else None
    webhook.previous_until = (
        await session.scalar(select(func.clock_timestamp() + overlap)) if overlap else None
    )
    webhook.secret = sealed
    await session.flush()
    await _record(session, webhook, "webhook.rotate", actor, {"overlap_s": overlap.total_seconds()})
    return webhook


async def remove_webhook(session: AsyncSession, webhook_id: UUID, *, actor: str) -> None:
    """Delete a webhook with its log. Raises NotFoundError."""
    webhook = await get_webhook(session, webhook_id)
    await session.execute(delete(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id))
    await _record(session, webhook, "webhook.delete", actor, {"url": webhook.url})
    await session.delete(webhook)


async def list_deliveries(
    session: AsyncSession, webhook_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[WebhookDelivery]:
    """Return up to `limit + 1` messages to a webhook, newest first. Raises NotFoundError."""
    await get_webhook(session, webhook_id)
    query = select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id)
    if after is not None:
        query = query.where(WebhookDelivery.id < after)
    return (await session.scalars(query.order_by(WebhookDelivery.id.desc()).limit(limit + 1))).all()


async def redeliver(
    session: AsyncSession, webhook_id: UUID, delivery_id: UUID, *, actor: str
) -> WebhookDelivery:
    """Have a message that has ended sent again, under its id. Raises NotFoundError, ConflictError."""
    webhook = await get_webhook(session, webhook_id)
    delivery = await session.get(WebhookDelivery, delivery_id, with_for_update=True)
    if delivery is None or delivery.webhook_id != webhook_id:
        raise NotFoundError("there is no such delivery", hint="The webhook's list of deliveries has the ids.")
    if delivery.finished_at is None:
        raise ConflictError("this message is still to be sent", hint="Wait until it has ended.")
    if not webhook.active:
        raise ConflictError("this webhook isn't active", hint="Activate it first.")
    delivery.attempt, delivery.status, delivery.error, delivery.finished_at = 0, None, "", None
    delivery.not_before = func.clock_timestamp()
    await session.flush()
    await session.refresh(delivery)
    await _record(session, webhook, "webhook.redeliver", actor, {"delivery_id": str(delivery_id)})
    return delivery


async def claim_deliveries(engine: AsyncEngine, most: int, lease_s: float) -> list[ClaimedDelivery]:
    """Take up to `most` messages that are due, of all tenants. Raises DatabaseUnavailableError.

    Each counts as an attempt, and is due again after `lease_s` where nobody says how it has ended.
    """
    query = text(
        "SELECT id, tenant_id, webhook_id, event, payload, attempt"
        " FROM securetag.claim_deliveries(:most, :lease_s)"
    )
    async with cross_tenant_transaction(engine) as session:
        rows = await session.execute(query, {"most": most, "lease_s": float(lease_s)})
        return [ClaimedDelivery(*row) for row in rows]


async def record_outcome(
    session: AsyncSession, claimed: ClaimedDelivery, outcome: Outcome, *, wait_s: float
) -> bool:
    """Write down how an attempt has ended; return whether the message is given up.

    `wait_s`: seconds until the next attempt. Of an attempt that was taken for dead meanwhile nothing is
    written. `session` is of the webhook's tenant.
    """
    is_last = bool(outcome.error) and (outcome.is_gone or claimed.attempt >= MAX_ATTEMPTS)
    now = func.clock_timestamp()
    query = update(WebhookDelivery).where(
        WebhookDelivery.id == claimed.id,
        WebhookDelivery.attempt == claimed.attempt,
        WebhookDelivery.finished_at.is_(None),
    )
    written = await session.scalar(
        query.values(
            status=outcome.status,
            error=outcome.error,
            finished_at=now if is_last or not outcome.error else None,
            not_before=now + timedelta(seconds=wait_s),
        ).returning(WebhookDelivery.id)
    )
    webhook = await session.get(Webhook, claimed.webhook_id, with_for_update=True)
    if written is None or webhook is None:
        return False
    webhook.busy_until = now
    if not outcome.error:
        webhook.failures = 0
    elif is_last:
        webhook.failures += 1
        if outcome.is_gone or webhook.failures >= DISABLE_AFTER:
            webhook.active = False
            webhook.disabled_reason = (
                "the receiver has answered 410 Gone"
                if outcome.is_gone
                else f"{webhook.failures} messages were given up in a row; the last one: {outcome.error}"
            )
            await _record(
                session, webhook, "webhook.disable", "securetag", {"reason": webhook.disabled_reason}
            )
    return is_last


async def renew_seals(session: AsyncSession, box: SecretBox) -> int:
    """Seal the tenant's secrets that aren't sealed under the current key anew; return how many.

    What no key opens stays as it is.
    """
    renewed = 0
    columns = (Webhook.secret, Webhook.previous_secret)
    is_due = or_(*(~column.startswith(box.prefix) for column in columns))
    query = select(Webhook.id, *columns).where(is_due)
    for webhook_id, *stored in await session.execute(query.with_for_update()):
        values: JsonObject = {}
        for name, text_of in zip(("secret", "previous_secret"), stored, strict=True):
            if text_of is not None and not text_of.startswith(box.prefix):
                with suppress(SealError):
                    values[name] = box.seal(box.open(text_of))
        if values:
            await session.execute(update(Webhook).where(Webhook.id == webhook_id).values(values))
            renewed += len(values)
    return renewed


async def expire_deliveries(session: AsyncSession, days: int) -> int:
    """Delete the tenant's messages that are older than `days`; return how many."""
    old = WebhookDelivery.created_at < func.clock_timestamp() - timedelta(days=days)
    ids = await session.scalars(delete(WebhookDelivery).where(old).returning(WebhookDelivery.id))
    return len(ids.all())


async def count_webhooks(engine: AsyncEngine) -> WebhookCounts:
    """Count the webhooks and messages of all tenants. Raises DatabaseUnavailableError."""
    query = "SELECT disabled, failing, waiting, oldest_s FROM securetag.count_webhooks()"
    async with cross_tenant_transaction(engine) as session:
        row = (await session.execute(text(query))).one()
        return WebhookCounts(row.disabled, row.failing, row.waiting, row.oldest_s or 0.0)


async def _record(
    session: AsyncSession, webhook: Webhook, action: str, actor: str, detail: JsonObject
) -> None:
    await audit.record(
        session, webhook.tenant_id, actor=actor, action=action, subject=str(webhook.id), detail=detail
    )
