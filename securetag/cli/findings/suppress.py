"""`securetag findings suppress` and `securetag suppressions`: choose not to hear of something."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from securetag.cli.findings.connection import (
    ApiKey,
    ApiUrl,
    FindingId,
    Occurrence,
    choose_occurrence,
    connected,
)
from securetag.cli.output import Json, emit, reported

if TYPE_CHECKING:
    from securetag.wire.api import SuppressionAnswer

Reason = Annotated[str, typer.Option(help="Why; whoever reads the list sees it.")]
Owner = Annotated[str | None, typer.Option(help="Who answers for it; by default the key's name.")]
Expires = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Day on which it ends (UTC), as in 2027-01-31."),
]


@reported
def suppress_finding(
    finding: FindingId,
    reason: Reason,
    occurrence: Occurrence = None,
    owner: Owner = None,
    expires: Expires = None,
    api: ApiUrl = None,
    key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Don't count a finding any more, as long as its code stays as you have seen it."""
    from securetag.wire.api import SuppressionBody

    with connected(api, key) as client:
        chosen = choose_occurrence(client.finding(finding), occurrence) if occurrence is None else occurrence
        body = SuppressionBody(
            finding_id=finding, occurrence_id=chosen, reason=reason, owner=owner, expires_at=_in_utc(expires)
        )
        _report(client.add_suppression(body), as_json)


@reported
def add_suppression(
    project: Annotated[str, typer.Option(help="Name of the project.")],
    path: Annotated[
        str, typer.Option(help="A folder, or a glob: `*` is within a folder, `**` across folders.")
    ],
    reason: Reason,
    rule: Annotated[str | None, typer.Option(help="This rule alone; by default all rules.")] = None,
    owner: Owner = None,
    expires: Expires = None,
    api: ApiUrl = None,
    key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Don't count what is reported in a path, by one rule or by all."""
    from securetag.wire.api import SuppressionBody

    body = SuppressionBody(
        project=project, path=path, rule_id=rule, reason=reason, owner=owner, expires_at=_in_utc(expires)
    )
    with connected(api, key) as client:
        _report(client.add_suppression(body), as_json)


@reported
def list_suppressions(
    project: Annotated[str | None, typer.Option(help="Of the project of this name alone.")] = None,
    include_ended: Annotated[
        bool, typer.Option("--all", help="Those that have lapsed or expired too.")
    ] = False,
    api: ApiUrl = None,
    key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List the suppressions in force. One that lapsed needs a look at the new code."""
    from securetag.cli.output import show
    from securetag.triage import defuse

    with connected(api, key) as client:
        rows = list(client.suppressions(project=project, include_ended=include_ended))
    if as_json:
        emit([row.model_dump(mode="json") for row in rows])
        return
    show(
        ["id", "what", "reason", "owner", "until"],
        [[row.id, _describe(row), defuse(row.reason), row.owner, _describe_end(row)] for row in rows],
        title=f"{len(rows)} suppressions",
    )


@reported
def remove_suppression(
    suppression: Annotated[UUID, typer.Argument(metavar="ID", help="Id of the suppression.")],
    api: ApiUrl = None,
    key: ApiKey = None,
) -> None:
    """End a suppression: its findings count again."""
    with connected(api, key) as client:
        client.remove_suppression(suppression)
    typer.echo(f"removed {suppression}")


def _in_utc(day: datetime | None) -> datetime | None:
    from datetime import UTC

    return None if day is None else day.replace(tzinfo=UTC)


def _report(answer: SuppressionAnswer, as_json: bool) -> None:
    if as_json:
        emit(answer.model_dump(mode="json"))
    else:
        typer.echo(f"suppressed: {_describe(answer)} ({answer.id})")


def _describe(row: SuppressionAnswer) -> str:
    if row.scope == "finding":
        return f"finding {row.finding_id}"
    return f"{row.rule_id or 'all rules'} in {row.path}"


def _describe_end(row: SuppressionAnswer) -> str:
    if row.lapsed_at is not None:
        return f"lapsed {row.lapsed_at:%Y-%m-%d}"
    return f"{row.expires_at:%Y-%m-%d}" if row.expires_at is not None else "it is removed"
