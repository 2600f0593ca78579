"""`securetag feedback`: say whether a finding is true."""

from __future__ import annotations

from typing import Annotated, Literal

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

# As in `wire.api`, which `--help` doesn't wait for; a test compares them.
Decision = Literal["true_positive", "false_positive", "needs_review"]
Disposition = Literal["fix", "accept_risk", "test_code", "mitigated_elsewhere", "duplicate"]


@reported
def feedback(
    finding: FindingId,
    verdict: Annotated[Decision, typer.Option(help="Is it true, as the code shows it?")],
    occurrence: Occurrence = None,
    disposition: Annotated[Disposition | None, typer.Option(help="What is done about it.")] = None,
    comment: Annotated[str, typer.Option(help="Why.")] = "",
    api: ApiUrl = None,
    key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Say whether a finding is true. Your verdict outranks any model's.

    It is bound to the code that you have looked at: if a newer scan has seen the finding, nothing is stored.
    """
    from securetag.wire.feedback import FeedbackBody

    with connected(api, key) as client:
        shown = client.finding(finding)
        body = FeedbackBody(
            occurrence_id=choose_occurrence(shown, occurrence),
            verdict=verdict,
            disposition=disposition,
            comment=comment,
            saw_model=shown.verdict is not None,
        )
        answer = client.add_feedback(finding, body)
    if as_json:
        emit(answer.model_dump(mode="json"))
    else:
        typer.echo(f"{answer.verdict}, by {answer.reviewer}")
