"""`/ui/findings`: the list, one finding, and what a person decides on it."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, time
from typing import Annotated
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from securetag.api.auth import check_scope
from securetag.api.errors import handle_invalid_request
from securetag.api.feedback import repository as feedback
from securetag.api.feedback.notes import list_notes
from securetag.api.findings import repository as findings
from securetag.api.findings.history import list_sightings, list_states
from securetag.api.findings.schemas import to_finding_answer, to_finding_detail
from securetag.api.services import ApiServices, Services
from securetag.api.suppressions import repository as suppressions
from securetag.api.ui.code import WholeFile, list_lines, read_whole_file
from securetag.api.ui.filters import Filters
from securetag.api.ui.forms import read_form
from securetag.api.ui.rendering import render
from securetag.api.ui.route import PageRoute
from securetag.api.ui.session import COOKIE, SignedIn, Visitor
from securetag.db.models import DISPOSITIONS
from securetag.errors import ArchiveError, InputError, NotFoundError
from securetag.records import SEVERITIES, JsonObject
from securetag.wire.api import SuppressionBody
from securetag.wire.feedback import FeedbackBody
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
}
#: Values of the database → those of the address.
_REVIEWED = {"true": "yes", "false": "no"}


@router.get("/findings")
async def list_findings(
    request: Request,
    services: Services,
    visitor: SignedIn,
    filters: Annotated[Filters, Query()],
    last: UUID | None = None,
) -> Response:
    """What is in the code now, the highest rank first."""
    async with services.tenant(visitor.caller.tenant_id) as session:
        wanted = await filters.resolve(session)
        rows = await findings.list_findings(session, wanted, after=filters.cursor, limit=PAGE_SIZE)
        counts = await findings.count_findings(session, wanted)
    items = [to_finding_answer(row, services.settings.triage) for row in rows[:PAGE_SIZE]]
    return render(
        request,
        "findings.html",
        visitor=visitor,
        filters=filters,
        last=last,
        items=[(item, decide(item)) for item in items],
        projects={row[0].id: row[4].name for row in rows},
        total=counts.total,
        facets=_facets(counts),
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
    visitor: SignedIn,
    filters: Annotated[Filters, Query()],
    last: UUID | None = None,
) -> Response:
    """One finding, with the code and everything that is known of it."""
    async with services.tenant(visitor.caller.tenant_id) as session:
        row = await findings.get_finding(session, finding_id, filters.branch)
        history = await findings.list_feedback(session, finding_id)
        sightings = await list_sightings(session, finding_id)
        states = await list_states(session, finding_id)
        notes = await list_notes(session, finding_id)
        before, after = await findings.find_neighbors(session, await filters.resolve(session), finding_id)
    finding = to_finding_detail(row, history, notes, services.settings.triage)
    return render(
        request,
        "finding.html",
        visitor=visitor,
        filters=filters,
        last=last,
        finding=finding,
        project=row[4].name,
        decided=decide(finding),
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
    visitor: SignedIn,
    filters: Annotated[Filters, Query()],
) -> Response:
    """The whole file that a finding is in, as its newest scan has read it."""
    async with services.tenant(visitor.caller.tenant_id) as session:
        row = await findings.get_finding(session, finding_id, filters.branch)
        finding = to_finding_answer(row, services.settings.triage)
        whole: WholeFile | None = None
        with contextlib.suppress(NotFoundError, ArchiveError):
            whole = await read_whole_file(services, session, finding)
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
async def judge(finding_id: UUID, request: Request, services: Services, visitor: SignedIn) -> Response:
    """Store a person's verdict on what the page has shown, and go on to the next finding."""
    form = await _form_of_reviewer(request, services, visitor)
    filters = _filters(form.pop("back", ""))
    try:
        body = FeedbackBody.model_validate({**form, "saw_model": form.get("saw_model") == "yes"})
    except ValidationError as error:
        raise _refused(error) from error
    async with services.tenant(visitor.caller.tenant_id) as session:
        await feedback.add_feedback(session, visitor.caller, finding_id, body)
        after = await findings.find_next(session, await filters.resolve(session), finding_id)
    return _go_on(finding_id, after, filters)


@router.post("/findings/{finding_id}/suppress")
async def suppress(finding_id: UUID, request: Request, services: Services, visitor: SignedIn) -> Response:
    """Choose not to hear of this finding, of its rule in a path, or of a path."""
    form = await _form_of_reviewer(request, services, visitor)
    filters = _filters(form.pop("back", ""))
    common = {"reason": form.get("reason", ""), "owner": form.get("owner"), "expires_at": _end_of(form)}
    scope = form.get("scope", "finding")
    async with services.tenant(visitor.caller.tenant_id) as session:
        row = await findings.get_finding(session, finding_id, filters.branch)
        of_finding: JsonObject = {"finding_id": finding_id, "occurrence_id": form.get("occurrence_id")}
        of_path: JsonObject = {"project": row[4].name, "path": form.get("path", "**")}
        of_rule: JsonObject = {**of_path, "rule_id": row[0].rule_id}
        target = {"finding": of_finding, "rule": of_rule, "path": of_path}.get(scope, of_finding)
        try:
            body = SuppressionBody.model_validate({**common, **target})
        except ValidationError as error:
            raise _refused(error) from error
        await suppressions.add_suppression(session, visitor.caller.tenant_id, body, actor=visitor.caller.name)
        after = await findings.find_next(session, await filters.resolve(session), finding_id)
    return _go_on(finding_id, after, filters)


@router.post("/findings/{finding_id}/suppressions/{suppression_id}/end")
async def end_suppression(
    finding_id: UUID, suppression_id: UUID, request: Request, services: Services, visitor: SignedIn
) -> Response:
    """End a suppression: what it hid counts again."""
    form = await _form_of_reviewer(request, services, visitor)
    async with services.tenant(visitor.caller.tenant_id) as session:
        await suppressions.remove_suppression(session, suppression_id, actor=visitor.caller.name)
    return RedirectResponse(f"/ui/findings/{finding_id}?{_filters(form.get('back', '')).to_query()}", 303)


async def _form_of_reviewer(request: Request, services: ApiServices, visitor: Visitor) -> dict[str, str]:
    """Raises PermissionDeniedError for a form from elsewhere, or a key that may only read."""
    form = await read_form(request, services, COOKIE)
    check_scope(visitor.caller, "feedback")
    return form


def _filters(query: str) -> Filters:
    """Return the list that a form was opened from. Raises InputError."""
    try:
        return Filters.model_validate(dict(parse_qsl(query)))
    except ValidationError as error:
        raise _refused(error) from error


def _end_of(form: dict[str, str]) -> datetime | None:
    """Return the end of the day that a form names. Raises InputError."""
    day = form.get("expires_on")
    try:
        return datetime.combine(date.fromisoformat(day), time.max, UTC) if day else None
    except ValueError as error:
        raise InputError("this is no date", hint="Write it as 2026-12-31.") from error


def _refused(error: ValidationError) -> InputError:
    first = handle_invalid_request(error.errors(include_url=False))[0]
    return InputError(f"{first['where']}: {first['what']}", hint="Correct it and send the form again.")


def _go_on(decided: UUID, after: UUID | None, filters: Filters) -> Response:
    """Send the reviewer to the next finding of the list, or to the list where this was the last.

    The next page links back to the finding that was just decided.
    """
    place = f"/{after}" if after is not None else ""
    return RedirectResponse(f"/ui/findings{place}?{filters.to_query(last=decided)}", 303)
