"""`securetag feedback`: say whether a finding is true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer

from securetag.cli.findings.connection import (
    ApiKey,
    ApiUrl,
    Decision,
    FindingId,
    Occurrence,
    choose_occurrence,
    connected,
)
from securetag.cli.output import Json, emit, reported

if TYPE_CHECKING:
    from securetag.wire.api import FindingDetail
    from securetag.wire.feedback import FeedbackAnswer

# As in `wire.feedback`, which `--help` doesn't wait for; a test compares them.
Disposition = Literal["fix", "accept_risk", "test_code", "mitigated_elsewhere", "duplicate"]


@reported
def feedback(
    finding: FindingId,
    verdict: Annotated[Decision | None, typer.Option(help="Is it true, as the code shows it?")] = None,
    withdraw: Annotated[
        bool,
        typer.Option("--withdraw", help="Take back the verdict that stands."),
    ] = False,
    occurrence: Occurrence = None,
    disposition: Annotated[Disposition | None, typer.Option(help="What is done about it.")] = None,
    comment: Annotated[str, typer.Option(help="Why.")] = "",
    api: ApiUrl = None,
    key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Say whether a finding is true, or take that back. A person's verdict outranks any model's.

    It is bound to the code that you have looked at: if a newer scan has seen the finding, nothing is stored.
    """
    from securetag.wire.feedback import FeedbackBody

    if (verdict is None) != withdraw:
        raise typer.BadParameter("name a verdict, or --withdraw", param_hint="--verdict")
    with connected(api, key) as client:
        if verdict is None:
            _report(client.withdraw_feedback(finding, _find_standing(client.finding(finding))), as_json)
            return
        shown = client.finding(finding)
        body = FeedbackBody(
            occurrence_id=choose_occurrence(shown, occurrence),
            verdict=verdict,
            disposition=disposition,
            comment=comment,
            saw_model=shown.verdict is not None,
        )
        answer = client.add_feedback(finding, body)
    _report(answer, as_json)


@reported
def assign(
    finding: FindingId,
    to: Annotated[str | None, typer.Option(help="Who works on it; nobody where it is left out.")] = None,
    api: ApiUrl = None,
    key: ApiKey = None,
) -> None:
    """Say who works on a finding."""
    with connected(api, key) as client:
        client.assign(finding, to)
    typer.echo(f"assigned to {to}" if to else "assigned to nobody")


@reported
def note(
    finding: FindingId,
    text: Annotated[str, typer.Argument(help="What colleagues should know.")],
    api: ApiUrl = None,
    key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Note something about a finding. Notes train nothing."""
    with connected(api, key) as client:
        answer = client.add_note(finding, text)
    if as_json:
        emit(answer.model_dump(mode="json"))
    else:
        typer.echo(f"noted by {answer.author}")


def _find_standing(finding: FindingDetail) -> UUID:
    """Return the person's verdict that stands. Raises NotFoundError."""
    from securetag.errors import NotFoundError

    for given in finding.feedback_history:
        if given.source == "person" and given.withdrawn_at is None:
            return given.id
    raise NotFoundError("nobody's verdict on this finding stands", hint="There is nothing to take back.")


def _report(answer: FeedbackAnswer, as_json: bool) -> None:
    if as_json:
        emit(answer.model_dump(mode="json"))
    else:
        taken_back = f", taken back by {answer.withdrawn_by}" if answer.withdrawn_at is not None else ""
        typer.echo(f"{answer.verdict}, by {answer.reviewer}{taken_back}")
