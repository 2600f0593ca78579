"""`securetag webhooks`: where a tenant's events are sent, and what became of each."""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from securetag.cli.findings.connection import ApiKey, ApiUrl
from securetag.cli.output import Json, emit, reported, show

if TYPE_CHECKING:
    from securetag.client.api import ApiClient
    from securetag.wire.webhooks import WebhookAnswer, WebhookCreated


class Event(StrEnum):
    """`securetag.wire.webhooks.WebhookEvent`, which would be slow to import for `--help`; a test compares."""

    SCAN_COMPLETED = "scan.completed"
    SCAN_FAILED = "scan.failed"
    FINDING_REOPENED = "finding.reopened"


WebhookId = Annotated[UUID, typer.Argument(metavar="WEBHOOK", help="Id of the webhook.")]
Events = Annotated[list[Event], typer.Option("--event", help="What is sent; repeat for several.")]

app = typer.Typer(help="Where your events are sent. The key needs the scope `admin`.", no_args_is_help=True)


@app.command("list")
@reported
def list_webhooks(api: ApiUrl = None, key: ApiKey = None, as_json: Json = False) -> None:
    """List the tenant's webhooks."""
    with _connected(api, key) as client:
        rows = list(client.webhooks())
    if as_json:
        emit([row.model_dump(mode="json") for row in rows])
    else:
        show(
            ["id", "url", "events", "state"],
            [[row.id, row.url, ", ".join(row.events), _state(row)] for row in rows],
        )


@app.command("add")
@reported
def add_webhook(
    url: Annotated[str, typer.Argument(help="Address of https that takes POST.")],
    event: Events = [*Event],  # noqa: B006  # typer copies it
    api: ApiUrl = None,
    key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Have events sent to URL; prints the secret that signs them, once."""
    from securetag.wire.webhooks import WebhookBody

    with _connected(api, key) as client:
        _report_secret(
            client.add_webhook(WebhookBody(url=url, events=[name.value for name in event])), as_json
        )


@app.command("rotate")
@reported
def rotate_secret(
    webhook: WebhookId,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=2160, help="Hours for which the old secret signs too.")
    ] = 24.0,
    api: ApiUrl = None,
    key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Replace a webhook's secret; prints the new one, once."""
    from securetag.wire.webhooks import SecretRotation

    with _connected(api, key) as client:
        _report_secret(client.rotate_webhook(webhook, SecretRotation(overlap_hours=overlap_hours)), as_json)


@app.command("enable")
@reported
def enable_webhook(webhook: WebhookId, api: ApiUrl = None, key: ApiKey = None, as_json: Json = False) -> None:
    """Activate a webhook, also one that the service has disabled."""
    _set_active(webhook, True, api, key, as_json)


@app.command("disable")
@reported
def disable_webhook(
    webhook: WebhookId, api: ApiUrl = None, key: ApiKey = None, as_json: Json = False
) -> None:
    """Send nothing to a webhook until it is enabled. Events that happen meanwhile are never sent."""
    _set_active(webhook, False, api, key, as_json)


@app.command("remove")
@reported
def remove_webhook(webhook: WebhookId, api: ApiUrl = None, key: ApiKey = None) -> None:
    """Delete a webhook with its log."""
    with _connected(api, key) as client:
        client.remove_webhook(webhook)
    typer.echo(f"{webhook}: removed")


@app.command("deliveries")
@reported
def list_deliveries(
    webhook: WebhookId,
    limit: Annotated[int, typer.Option(min=1, help="Messages at most, newest first.")] = 50,
    api: ApiUrl = None,
    key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List what was sent to a webhook, and what is to be sent."""
    from itertools import islice

    with _connected(api, key) as client:
        rows = list(islice(client.deliveries(webhook), limit))
    if as_json:
        emit([row.model_dump(mode="json") for row in rows])
    else:
        show(
            ["id", "event", "state", "attempts", "answer", "made", "next", "error"],
            [
                [
                    row.id,
                    row.event,
                    row.state,
                    row.attempts,
                    row.response_code,
                    f"{row.created_at:%Y-%m-%d %H:%M:%S}",
                    f"{row.next_attempt_at:%H:%M:%S}" if row.next_attempt_at else "",
                    row.error,
                ]
                for row in rows
            ],
        )


@app.command("redeliver")
@reported
def redeliver(
    webhook: WebhookId,
    delivery: Annotated[UUID, typer.Argument(metavar="DELIVERY", help="Id of the message.")],
    api: ApiUrl = None,
    key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Send a message once more, under its id."""
    with _connected(api, key) as client:
        row = client.redeliver(webhook, delivery)
    if as_json:
        emit(row.model_dump(mode="json"))
    else:
        typer.echo(f"{row.id}: {row.state}")


def _connected(api: str | None, key: str | None) -> AbstractContextManager[ApiClient]:
    from securetag.cli.client import connect
    from securetag.client.local import find_api

    url, secret = find_api(api, key)
    return connect(url, secret, hints={404: "`securetag webhooks list` names yours."})


def _set_active(webhook: UUID, is_active: bool, api: str | None, key: str | None, as_json: bool) -> None:
    from securetag.wire.webhooks import WebhookChanges

    with _connected(api, key) as client:
        row = client.change_webhook(webhook, WebhookChanges(active=is_active))
    if as_json:
        emit(row.model_dump(mode="json"))
    else:
        typer.echo(f"{row.url}: {_state(row)}")


def _report_secret(row: WebhookCreated, as_json: bool) -> None:
    if as_json:
        emit(row.model_dump(mode="json"))
    else:
        typer.echo(f"{row.url} ({row.id})\n{row.secret}")


def _state(row: WebhookAnswer) -> str:
    if row.active:
        return "active"
    return f"disabled: {row.disabled_reason}" if row.disabled_reason else "disabled"
