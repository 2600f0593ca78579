"""`/webhooks`: where a tenant's events are sent, and the log of what was sent."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from securetag.api.auth import Admin
from securetag.api.errors import RESPONSES
from securetag.api.idempotency import IdempotencyKey, once
from securetag.api.paging import Cursor, Limit, answer_page, json_answer, make_page
from securetag.api.services import Services
from securetag.db.models import Webhook, WebhookDelivery
from securetag.db.paging import list_rows
from securetag.db.repositories import webhooks
from securetag.scanning.web.addresses import parse_endpoint
from securetag.wire.base import Page
from securetag.wire.webhooks import (
    DeliveryAnswer,
    DeliveryState,
    SecretRotation,
    WebhookAnswer,
    WebhookBody,
    WebhookChanges,
    WebhookCreated,
)

router = APIRouter(prefix="/webhooks", tags=["webhooks"], responses=RESPONSES)


@router.get("", response_model=Page[WebhookAnswer])
async def list_webhooks(
    services: Services, caller: Admin, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """The tenant's webhooks, oldest first. Never their secrets."""
    async with services.tenant(caller.tenant_id) as session:
        rows = await list_rows(session, Webhook, after=cursor, limit=limit)
    return answer_page(WebhookAnswer, rows, limit)


@router.post("", response_model=WebhookCreated, status_code=201)
async def create_webhook(
    body: WebhookBody, services: Services, caller: Admin, key: IdempotencyKey = None
) -> Response:
    """Have events sent to an address. Keep the secret, which signs them: it can't be read again.

    409 where the tenant has ten webhooks.
    """
    parse_endpoint(body.url, services.settings.private_networks)
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> WebhookCreated:
            secret = webhooks.generate_secret()
            sealed = services.secret_box.seal(secret)
            row = await webhooks.add_webhook(
                session, caller.tenant_id, body.url, body.events, sealed=sealed, actor=caller.name
            )
            return to_created(row, secret)

        return await once(session, caller.tenant_id, "POST /webhooks", key, body, work, secret="secret")


@router.get("/{webhook_id}", response_model=WebhookAnswer)
async def show_webhook(webhook_id: UUID, services: Services, caller: Admin) -> Response:
    """A webhook: whether it is active, and why the service has disabled it."""
    async with services.tenant(caller.tenant_id) as session:
        row = await webhooks.get_webhook(session, webhook_id)
    return json_answer(WebhookAnswer.model_validate(row))


@router.patch("/{webhook_id}", response_model=WebhookAnswer)
async def change_webhook(
    webhook_id: UUID, body: WebhookChanges, services: Services, caller: Admin
) -> Response:
    """Change a webhook, or activate it again. Events that happen while it is inactive are not sent."""
    if body.url is not None:
        parse_endpoint(body.url, services.settings.private_networks)
    async with services.tenant(caller.tenant_id) as session:
        changes = body.model_dump(exclude_none=True)
        row = await webhooks.change_webhook(session, webhook_id, changes, actor=caller.name)
        return json_answer(WebhookAnswer.model_validate(row))


@router.delete("/{webhook_id}", status_code=204)
async def delete_webhook(webhook_id: UUID, services: Services, caller: Admin) -> Response:
    """Nothing is sent to it any more. Its log is deleted too."""
    async with services.tenant(caller.tenant_id) as session:
        await webhooks.remove_webhook(session, webhook_id, actor=caller.name)
    return Response(status_code=204)


@router.post("/{webhook_id}/rotate", response_model=WebhookCreated, status_code=201)
async def rotate_secret(
    webhook_id: UUID, body: SecretRotation, services: Services, caller: Admin, key: IdempotencyKey = None
) -> Response:
    """Replace the secret. For `overlap_hours` messages are signed with both."""
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> WebhookCreated:
            secret = webhooks.generate_secret()
            row = await webhooks.rotate_secret(
                session,
                webhook_id,
                sealed=services.secret_box.seal(secret),
                overlap=timedelta(hours=body.overlap_hours),
                actor=caller.name,
            )
            return to_created(row, secret)

        operation = f"POST /webhooks/{webhook_id}/rotate"
        return await once(session, caller.tenant_id, operation, key, body, work, secret="secret")


@router.get("/{webhook_id}/deliveries", response_model=Page[DeliveryAnswer])
async def list_deliveries(
    webhook_id: UUID, services: Services, caller: Admin, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """What was sent and is to be sent, newest first, of the last 30 days."""
    async with services.tenant(caller.tenant_id) as session:
        rows = await webhooks.list_deliveries(session, webhook_id, after=cursor, limit=limit)
    return json_answer(make_page([to_delivery_answer(row) for row in rows], limit, [row.id for row in rows]))


@router.post("/{webhook_id}/deliveries/{delivery_id}/redeliver", response_model=DeliveryAnswer)
async def redeliver_message(
    webhook_id: UUID, delivery_id: UUID, services: Services, caller: Admin, key: IdempotencyKey = None
) -> Response:
    """Send a message once more, under its id. 409 where it still waits, or the webhook is inactive."""
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> DeliveryAnswer:
            row = await webhooks.redeliver(session, webhook_id, delivery_id, actor=caller.name)
            return to_delivery_answer(row)

        operation = f"POST /webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver"
        return await once(session, caller.tenant_id, operation, key, None, work, status=200)


def to_created(row: Webhook, secret: str) -> WebhookCreated:
    """From a row, whose secret is sealed, and the secret itself."""
    return WebhookCreated(**WebhookAnswer.model_validate(row).model_dump(), secret=secret)


def to_delivery_answer(row: WebhookDelivery) -> DeliveryAnswer:
    """From a row."""
    state: DeliveryState = "pending"
    if row.finished_at is not None:
        state = "failed" if row.error else "delivered"
    return DeliveryAnswer.model_validate(
        {
            **{name: getattr(row, name) for name in ("id", "webhook_id", "event", "payload", "error")},
            **{name: getattr(row, name) for name in ("created_at", "attempted_at", "finished_at")},
            "state": state,
            "attempts": row.attempt,
            "response_code": row.status,
            "next_attempt_at": row.not_before if row.finished_at is None else None,
        }
    )
