"""`securetag findings list` and `show`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from securetag.cli.findings.connection import ApiKey, ApiUrl, Decision, FindingId, connected
from securetag.cli.output import Json, emit, reported
from securetag.cli.scan.options import Level, MinConfidence


class State(StrEnum):
    """`securetag.records.BranchState`, or any; a test compares them."""

    NEW = "new"
    OPEN = "open"
    FIXED = "fixed"
    REOPENED = "reopened"
    ANY = "any"


Project = Annotated[str | None, typer.Option(help="Of the project of this name alone.")]


@reported
def list_findings(
    project: Project = None,
    state: Annotated[
        list[State] | None,
        typer.Option(help="In this state; repeat for several. By default what is in the code now."),
    ] = None,
    branch: Annotated[
        str | None, typer.Option(help="The branch that the state is about; by default the project's default.")
    ] = None,
    severity: Annotated[Level | None, typer.Option(help="Of this severity alone.")] = None,
    min_confidence: Annotated[
        MinConfidence | None, typer.Option(help="Of this confidence or a higher one.")
    ] = None,
    rule: Annotated[str | None, typer.Option(help="Of this rule alone.")] = None,
    cwe: Annotated[str | None, typer.Option(help="Of this weakness alone, as in CWE-89.")] = None,
    path: Annotated[str | None, typer.Option(help="With a path that begins with this.")] = None,
    verdict: Annotated[Decision | None, typer.Option(help="With this verdict of the model alone.")] = None,
    reviewed: Annotated[
        bool | None,
        typer.Option("--reviewed/--not-reviewed", help="Judged by a person as it is now, or not."),
    ] = None,
    disagree: Annotated[
        bool | None,
        typer.Option("--disagree/--no-disagree", help="The model says the opposite of a person, or not."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="First reported on this day (2026-11-01) or later, or by a scan after this one."),
    ] = None,
    assignee: Annotated[str | None, typer.Option(help="That this person works on.")] = None,
    assigned: Annotated[
        bool | None, typer.Option("--assigned/--not-assigned", help="That somebody works on, or nobody.")
    ] = None,
    noted: Annotated[bool | None, typer.Option("--noted/--not-noted", help="With notes, or without.")] = None,
    search: Annotated[
        str | None,
        typer.Option(
            help="With this in its title, path or rule, in either case: three letters or digits in a row."
        ),
    ] = None,
    suppressed: Annotated[
        bool | None, typer.Option("--suppressed/--not-suppressed", help="Only these; by default both.")
    ] = None,
    api: ApiUrl = None,
    key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List findings of all scans, the highest rank first."""
    with connected(api, key) as client:
        findings = list(
            client.findings(
                project=project,
                states=[item.value for item in state or ()],
                branch=branch,
                severity=severity,
                confidence=min_confidence,
                rule_id=rule,
                cwe=cwe,
                path=path,
                verdict=verdict,
                reviewed=reviewed,
                disagree=disagree,
                since=since,
                assignee=assignee,
                assigned=assigned,
                noted=noted,
                text=search,
                suppressed=suppressed,
            )
        )
    if as_json:
        emit([finding.model_dump(mode="json") for finding in findings])
        return
    from securetag.cli.output import show
    from securetag.cli.scan.report import describe_author, describe_place, describe_suppressed
    from securetag.wire.verdicts import decide

    show(
        ["id", "severity", "state", "rule", "where", "verdict", "by"],
        [
            [
                item.id,
                item.severity,
                "suppressed" if item.suppression is not None else item.state or "–",
                item.rule_id,
                describe_place(item.occurrence),
                decide(item).verdict,
                describe_author(item),
            ]
            for item in findings
        ],
        title=f"{len(findings)} findings",
    )
    if text := describe_suppressed(findings):
        typer.echo(text)


@reported
def show_finding(
    finding: FindingId,
    branch: Annotated[str | None, typer.Option(help="As the newest scan of this branch shows it.")] = None,
    api: ApiUrl = None,
    key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Show a finding in full: code, evidence, verdict, what people said, and the occurrence's id."""
    from securetag.cli.scan.details import describe_finding
    from securetag.triage import defuse

    with connected(api, key) as client:
        answer = client.finding(finding, branch=branch)
    if as_json:
        emit(answer.model_dump(mode="json"))
        return
    typer.echo(describe_finding(1, answer))
    typer.echo(f"   occurrence: {answer.occurrence.id}")
    typer.echo(f"   state: {answer.state or 'not reported'} in {answer.branch}")
    for use in answer.training:
        models = ", ".join(f"{model.name} ({model.model_id[:12]})" for model in use.models)
        trained = f", which trained {models}" if models and use.split != "test" else ""
        typer.echo(f"   {use.examples} rows of release {use.release[:12]} ({use.split}){trained}")
    if answer.assignee is not None:
        typer.echo(defuse(f"   assigned to {answer.assignee}"))
    if (suppression := answer.suppression) is not None:
        until = f" until {suppression.expires_at:%Y-%m-%d}" if suppression.expires_at is not None else ""
        typer.echo(defuse(f"   suppressed by {suppression.owner}{until}: {suppression.reason}"))
