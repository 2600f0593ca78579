"""`/ui/findings`: the list, one finding, and what a person decides on it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from securetag.api.feedback import repository as feedback
from securetag.api.feedback.notes import count_notes, list_notes
from securetag.api.findings import repository as findings
from securetag.api.findings.history import list_sightings, list_states
from securetag.api.findings.lineage import list_training_uses
from securetag.api.findings.schemas import to_finding_answer, to_finding_detail
from securetag.api.services import ApiServices, Services
from securetag.api.suppressions import repository as suppressions
from securetag.api.ui.code import WholeFile, list_lines, read_whole_file
from securetag.api.ui.filters import Filters
from securetag.api.ui.forms import read_back, read_review_form, refuse
from securetag.api.ui.rendering import render
from securetag.api.ui.review.blind import conceal, is_blind, list_concealed, restrict
from securetag.api.ui.review.undo import Undo
from securetag.api.ui.route import PageRoute
from securetag.api.ui.session import Acting, ActingVisitor
from securetag.db.models import DISPOSITIONS
from securetag.errors import ArchiveError, InputError, NotFoundError
from securetag.records import SEVERITIES, JsonObject
from securetag.wire.api import FindingDetail, SuppressionBody
from securetag.wire.feedback import FeedbackAnswer, FeedbackBody
from securetag.wire.verdicts import decide

PAGE_SIZE = 50
#: Values of a facet that are listed; the rest is reached by the search.
MAX_VALUES = 12

router = APIRouter(prefix="/ui", route_class=PageRoute)
#: Facet of the counts → field of the address.
FACETS = {
    "severity": "severity",
    "reviewed": "reviewed",
    "decision": "verdict",
    "state": "state",
    "project": "project",
    "cwe": "cwe",
    "rule_id": "rule",
    "assignee": "assignee",
}
#: Values of the database → those of the address.
_REVIEWED = {"true": "yes", "false": "no"}


@router.get("/findings")
async def list_findings(
    request: Request,
    services: Services,
    visitor: Acting,
    filters: Annotated[Filters, Query()],
    undo: Undo = None,
    done: int | None = None,
) -> Response:
    """What is in the code now, the highest rank first."""
    filters = restrict(filters, visitor)
    wanted = await filters.resolve(visitor.session, visitor.caller.name)
    rows = await findings.list_findings(visitor.session, wanted, after=filters.cursor, limit=PAGE_SIZE)
    counts = await findings.count_findings(visitor.session, wanted)
    shown = [row[0].id for row in rows[:PAGE_SIZE]]
    concealed = await list_concealed(visitor.session, filters, visitor, shown)
    noted = await count_notes(visitor.session, shown)
    items = [to_finding_answer(row, services.settings.triage) for row in rows[:PAGE_SIZE]]
    items = [conceal(item) if item.id in concealed else item for item in items]
    facets = _facets(counts)
    if is_blind(filters, visitor):
        del facets["verdict"]
    return render(
        request,
        "findings.html",
        visitor=visitor,
        filters=filters,
        undo=undo,
        done=done,
        items=[(item, decide(item)) for item in items],
        concealed=concealed,
        noted=noted,
        is_blind=is_blind(filters, visitor),
        projects={row[0].id: row[4].name for row in rows},
        total=counts.total,
        facets=facets,
        next_page=filters.to_query(cursor=items[-1].id) if len(rows) > PAGE_SIZE else None,
    )


def _facets(counts: findings.FindingCounts) -> dict[str, list[tuple[str, int]]]:
    """Return field of the address → its values with their counts, the most frequent first."""
    facets: dict[str, list[tuple[str, int]]] = {}
    for facet, name in FACETS.items():
        values = [(value, number) for value, number in counts.by[facet].items() if value]
        values.sort(key=lambda item: (-item[1], item[0]))
        if facet == "severity":
            values.sort(key=lambda item: -SEVERITIES.index(item[0]))
        if facet == "reviewed":
            values = [(_REVIEWED[value], number) for value, number in values]
        facets[name] = values[:MAX_VALUES]
    return facets


@router.get("/findings/{finding_id}")
async def show_finding(
    finding_id: UUID,
    request: Request,
    services: Services,
    visitor: Acting,
    filters: Annotated[Filters, Query()],
    undo: Undo = None,
) -> Response:
    """One finding, with the code and everything that is known of it."""
    return await _render_finding(request, services, visitor, finding_id, filters, undo)


async def _render_finding(
    request: Request,
    services: ApiServices,
    visitor: ActingVisitor,
    finding_id: UUID,
    filters: Filters,
    undo: str | None,
    address: str | None = None,
) -> Response:
    filters = restrict(filters, visitor)
    row = await findings.get_finding(visitor.session, finding_id, filters.branch)
    history = await findings.list_feedback(visitor.session, finding_id)
    sightings = await list_sightings(visitor.session, finding_id)
    states = await list_states(visitor.session, finding_id)
    notes = await list_notes(visitor.session, finding_id)
    training = await list_training_uses(visitor.session, finding_id)
    before, after = await findings.find_neighbors(
        visitor.session, await filters.resolve(visitor.session, visitor.caller.name), finding_id
    )
    concealed = await list_concealed(visitor.session, filters, visitor, [finding_id])
    finding = to_finding_detail(row, history, notes, training, services.settings.triage)
    yours = _find_yours(finding, visitor.caller.name)
    if concealed:
        finding = conceal(finding)
        sightings = [replace(item, verdict=None) for item in sightings]
    return render(
        request,
        "finding.html",
        address=address,
        visitor=visitor,
        filters=filters,
        undo=undo,
        finding=finding,
        project=row[4].name,
        decided=decide(finding),
        is_concealed=bool(concealed),
        yours=yours,
        lines=list(list_lines(finding)) if finding.occurrence.snippet else [],
        sightings=sightings,
        states=states,
        before=before,
        after=after,
        dispositions=DISPOSITIONS,
    )


@router.get("/findings/{finding_id}/file")
async def show_file(
    finding_id: UUID,
    request: Request,
    services: Services,
    visitor: Acting,
    filters: Annotated[Filters, Query()],
) -> Response:
    """The whole file that a finding is in, as its newest scan has read it."""
    row = await findings.get_finding(visitor.session, finding_id, filters.branch)
    finding = to_finding_answer(row, services.settings.triage)
    if await list_concealed(visitor.session, filters, visitor, [finding_id]):
        finding = conceal(finding)
    whole: WholeFile | None = None
    with contextlib.suppress(NotFoundError, ArchiveError):
        whole = await read_whole_file(services, visitor.session, finding)
    lines = list(list_lines(finding, whole)) if whole is not None else []
    return render(
        request,
        "finding_file.html",
        visitor=visitor,
        filters=filters,
        finding=finding,
        whole=whole,
        lines=lines,
    )


@router.post("/findings/{finding_id}/verdict")
async def judge(finding_id: UUID, request: Request, services: Services, visitor: Acting) -> Response:
    """Store a person's verdict on what the page has shown, and go on to the next finding."""
    form = await read_review_form(request, services, visitor)
    filters = read_back(form)
    try:
        body = FeedbackBody.model_validate({**form, "saw_model": form.get("saw_model") == "yes"})
    except ValidationError as error:
        raise refuse(error) from error
    row = await feedback.add_feedback(visitor.session, visitor.caller, finding_id, body)
    wanted = await filters.resolve(visitor.session, visitor.caller.name)
    after = await findings.find_next(visitor.session, wanted, finding_id)
    return await _go_on(request, services, visitor, after, filters, f"verdict.{row.id}")


@router.post("/findings/{finding_id}/suppress")
async def suppress(finding_id: UUID, request: Request, services: Services, visitor: Acting) -> Response:
    """Choose not to hear of this finding, of its rule in a path, or of a path."""
    form = await read_review_form(request, services, visitor)
    filters = read_back(form)
    common = {"reason": form.get("reason", ""), "owner": form.get("owner"), "expires_at": _end_of(form)}
    scope = form.get("scope", "finding")
    row = await findings.get_finding(visitor.session, finding_id, filters.branch)
    of_finding: JsonObject = {"finding_id": finding_id, "occurrence_id": form.get("occurrence_id")}
    of_path: JsonObject = {"project": row[4].name, "path": form.get("path", "**")}
    of_rule: JsonObject = {**of_path, "rule_id": row[0].rule_id}
    target = {"finding": of_finding, "rule": of_rule, "path": of_path}.get(scope, of_finding)
    try:
        body = SuppressionBody.model_validate({**common, **target})
    except ValidationError as error:
        raise refuse(error) from error
    added = await suppressions.add_suppression(
        visitor.session, visitor.caller.tenant_id, body, actor=visitor.caller.name
    )
    wanted = await filters.resolve(visitor.session, visitor.caller.name)
    after = await findings.find_next(visitor.session, wanted, finding_id)
    undo = f"suppression.{added.id}.{finding_id}"
    return await _go_on(request, services, visitor, after, filters, undo)


@router.post("/findings/{finding_id}/suppressions/{suppression_id}/end")
async def end_suppression(
    finding_id: UUID, suppression_id: UUID, request: Request, services: Services, visitor: Acting
) -> Response:
    """End a suppression: what it hid counts again."""
    form = await read_review_form(request, services, visitor)
    await suppressions.remove_suppression(visitor.session, suppression_id, actor=visitor.caller.name)
    return RedirectResponse(f"/ui/findings/{finding_id}?{read_back(form).to_query()}", 303)


def _find_yours(finding: FindingDetail, reviewer: str) -> FeedbackAnswer | None:
    """Return this person's verdict, unless they took it back."""
    return next(
        (
            given
            for given in finding.feedback_history
            if given.reviewer == reviewer and given.source == "person" and given.withdrawn_at is None
        ),
        None,
    )


def _end_of(form: dict[str, str]) -> datetime | None:
    """Return the end of the day that a form names. Raises InputError."""
    day = form.get("expires_on")
    try:
        return datetime.combine(date.fromisoformat(day), time.max, UTC) if day else None
    except ValueError as error:
        raise InputError("this is no date", hint="Write it as 2026-12-31.") from error


async def _go_on(
    request: Request,
    services: ApiServices,
    visitor: ActingVisitor,
    after: UUID | None,
    filters: Filters,
    undo: str,
) -> Response:
    """Lead the reviewer to the next finding of the list, or to the list where this was the last.

    The next page offers to undo the decision. The script takes that page at once: a redirect would cost it
    another request.
    """
    place = f"/{after}" if after is not None else ""
    address = f"/ui/findings{place}?{filters.to_query(undo=undo)}"
    if after is None or request.headers.get("hx-request") != "true":
        return RedirectResponse(address, 303)
    page = await _render_finding(request, services, visitor, after, filters, undo, address)
    page.headers["HX-Push-Url"] = address
    return page
