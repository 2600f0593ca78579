"""`securetag consent`: whether Securetag may learn from a tenant's findings and verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from securetag.cli.findings.connection import ApiKey, ApiUrl, connected
from securetag.cli.output import Json, emit, reported

if TYPE_CHECKING:
    from securetag.wire.api import ConsentAnswer

app = typer.Typer(help="May Securetag learn from your findings and verdicts?", no_args_is_help=True)


@app.command("show")
@reported
def show_consent(api: ApiUrl = None, key: ApiKey = None, as_json: Json = False) -> None:
    """Say whether consent is granted, by whom and since when."""
    with connected(api, key) as client:
        _report(client.consent(), as_json)


@app.command("grant")
@reported
def grant_consent(api: ApiUrl = None, key: ApiKey = None, as_json: Json = False) -> None:
    """Grant consent for your tenant. The key needs the scope `admin`."""
    with connected(api, key) as client:
        _report(client.set_consent(True), as_json)


@app.command("withdraw")
@reported
def withdraw_consent(api: ApiUrl = None, key: ApiKey = None, as_json: Json = False) -> None:
    """Withdraw consent: later releases leave your verdicts out. The key needs the scope `admin`."""
    with connected(api, key) as client:
        _report(client.set_consent(False), as_json)


def _report(answer: ConsentAnswer, as_json: bool) -> None:
    if as_json:
        emit(answer.model_dump(mode="json"))
    elif answer.granted:
        typer.echo(f"granted by {answer.granted_by} on {answer.granted_at:%Y-%m-%d} ({answer.consent_id})")
    elif answer.withdrawn_at is not None:
        typer.echo(f"withdrawn by {answer.withdrawn_by} on {answer.withdrawn_at:%Y-%m-%d}")
    else:
        typer.echo("not granted: nothing is learned from this tenant")
