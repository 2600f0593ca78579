"""`/findings`: over all scans, and what people say of them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from securetag.api.auth import Admin, Scanner
from securetag.api.codeaudit.schemas import ProjectFilter
from securetag.api.errors import RESPONSES
from securetag.api.feedback.notes import list_notes
from securetag.api.findings import repository as findings
from securetag.api.findings.importing import FORM, receive_import
from securetag.api.findings.lineage import list_training_uses
from securetag.api.findings.listing import IN_THE_CODE, FindingFilter, check_text
from securetag.api.findings.pages import encode_page
from securetag.api.findings.schemas import (
    AssignedFilter,
    AssigneeFilter,
    BranchFilter,
    ConfidenceFilter,
    CweFilter,
    DisagreeFilter,
    NotedFilter,
    PathFilter,
    ReviewedFilter,
    RuleFilter,
    SeverityFilter,
    SinceFilter,
    StateFilter,
    SuppressedFilter,
    TextFilter,
    VerdictFilter,
    read_since,
    to_finding_answer,
    to_finding_detail,
)
from securetag.api.idempotency import IdempotencyKey
from securetag.api.paging import Cursor, Limit, json_answer, make_page
from securetag.api.projects import repository as projects
from securetag.api.reading import Reading
from securetag.api.services import Services
from securetag.db.deletion import delete_finding
from securetag.wire.api import FindingAnswer, FindingDetail
from securetag.wire.base import Page
from securetag.wire.imports import ImportAccepted

router = APIRouter(prefix="/findings", tags=["findings"], responses=RESPONSES)


@router.get("", response_model=Page[FindingAnswer])
async def list_findings(
    services: Services,
    read: Reading,
    limit: Limit = 50,
    cursor: Cursor = None,
    project_id: Annotated[UUID | None, Query(description="Of this project alone.")] = None,
    project: ProjectFilter = None,
    state: StateFilter = [],  # noqa: B006  # FastAPI copies it
    branch: BranchFilter = None,
    severity: SeverityFilter = None,
    confidence: ConfidenceFilter = None,
    verdict: VerdictFilter = None,
    suppressed: SuppressedFilter = None,
    rule_id: RuleFilter = None,
    cwe: CweFilter = None,
    path: PathFilter = None,
    reviewed: ReviewedFilter = None,
    disagree: DisagreeFilter = None,
    since: SinceFilter = None,
    assignee: AssigneeFilter = None,
    assigned: AssignedFilter = None,
    noted: NotedFilter = None,
    q: TextFilter = None,
) -> Response:
    """What is in the code now: every finding once, as the branch's newest scan shows it.

    With the model's verdict on that, the feedback that stands, the state and the suppression. Fixed findings
    are listed on request (`state`).
    """
    if project is not None:
        project_id = await projects.find_project(read.session, project)
    wanted = FindingFilter(
        severity=severity,
        decision=verdict,
        rule_id=rule_id,
        project_id=project_id,
        confidence=confidence,
        cwe=cwe,
        path=path,
        suppressed=suppressed,
        states=None if "any" in state else frozenset(item for item in state if item != "any") or IN_THE_CODE,
        branch=branch,
        reviewed=reviewed,
        disagree=disagree,
        since=await read_since(read.session, since) if since is not None else None,
        assignee=assignee,
        assigned=assigned,
        noted=noted,
        text=check_text(q),
    )
    triage = services.settings.triage
    if wanted.is_listed:
        page = await encode_page(read, wanted, after=cursor, limit=limit, triage=triage)
        return Response(page, media_type="application/json")
    rows = await findings.list_findings(read.session, wanted, after=cursor, limit=limit)
    items = [to_finding_answer(row, triage) for row in rows]
    return json_answer(make_page(items, limit, [item.id for item in items]))


@router.post("/import", response_model=ImportAccepted, status_code=202, openapi_extra=FORM)
async def import_findings(
    request: Request, services: Services, caller: Scanner, key: IdempotencyKey = None
) -> Response:
    """Import the results of another tool, as SARIF, with the code they are about if it is to be triaged.

    The Location header says where the import stands, which is read like a scan.
    """
    return await receive_import(services, caller, request, key)


@router.get("/{finding_id}", response_model=FindingDetail)
async def get_finding(
    finding_id: UUID, services: Services, read: Reading, branch: BranchFilter = None
) -> Response:
    """One finding with all its feedback and notes, and the releases and models that it went into."""
    row = await findings.get_finding(read.session, finding_id, branch)
    history = await findings.list_feedback(read.session, finding_id)
    notes = await list_notes(read.session, finding_id)
    training = await list_training_uses(read.session, finding_id)
    return json_answer(to_finding_detail(row, history, notes, training, services.settings.triage))


@router.delete("/{finding_id}", status_code=204)
async def remove_finding(finding_id: UUID, services: Services, caller: Admin) -> None:
    """Delete a finding with its code, verdicts and feedback. A later scan may report the place anew.

    Releases that hold rows of it stay as they are: POST /erasure with `delete_findings` removes both.
    """
    await delete_finding(services.engine, caller.tenant_id, finding_id, actor=caller.name)
