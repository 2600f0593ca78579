"""Webhooks: where a tenant's events are sent, and what became of each."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool

from securetag.records import JsonObject
from securetag.wire.base import Answer, Body, Text, Time

#: What is sent. `scan.failed` is of every scan that ends without a result but for canceled ones.
WebhookEvent = Literal["scan.completed", "scan.failed", "finding.reopened"]
DeliveryState = Literal["pending", "delivered", "failed"]

Url = Annotated[Text, Field(min_length=1, max_length=2_000)]
Events = Annotated[
    list[WebhookEvent],
    Field(min_length=1, max_length=3),
    AfterValidator(lambda events: sorted(set(events))),
]


class WebhookBody(Body):
    """A new webhook."""

    #: Of https.
    url: Url
    events: Events


class WebhookChanges(Body):
    """What is to be changed of a webhook; what is left out stays."""

    url: Url | None = None
    events: Events | None = None
    #: True sends again what waits, also after the service has disabled it.
    active: StrictBool | None = None


class SecretRotation(Body):
    """How a webhook's secret is replaced."""

    #: Hours for which messages are signed with the old secret too.
    overlap_hours: Annotated[float, Field(ge=0, le=24 * 90)] = 24.0


class WebhookAnswer(Answer):
    """A webhook without its secret."""

    id: UUID
    url: str
    events: list[WebhookEvent]
    active: bool
    #: Why the service has disabled it; empty where it hasn't.
    disabled_reason: str
    #: Messages given up since the last one that arrived.
    failures: int
    #: Until then messages are signed with the secret before too.
    previous_until: Time | None
    created_at: Time


class WebhookCreated(WebhookAnswer):
    """A webhook with its secret, for the only time. Null where the call is a repetition."""

    secret: str | None


class DeliveryAnswer(Answer):
    """One message to a webhook."""

    #: Sent as `webhook-id`, the same at each attempt.
    id: UUID
    webhook_id: UUID
    event: WebhookEvent
    payload: JsonObject
    state: DeliveryState
    #: How often it was sent.
    attempts: int
    #: HTTP status of the last answer; null where there was none.
    response_code: int | None
    #: Why the last attempt failed.
    error: str
    created_at: Time
    attempted_at: Time | None
    finished_at: Time | None
    #: When it is sent next; null once it has arrived or is given up.
    next_attempt_at: Time | None
