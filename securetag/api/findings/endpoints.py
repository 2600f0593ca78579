"""`/findings`: over all scans, and what people say of them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from securetag.api.auth import Reader, Reviewer
from securetag.api.errors import RESPONSES
from securetag.api.findings import repository as findings
from securetag.api.findings.schemas import (
    RuleFilter,
    SeverityFilter,
    VerdictFilter,
    to_finding_answer,
    to_finding_detail,
)
from securetag.api.idempotency import IdempotencyKey, once
from securetag.api.paging import Cursor, Limit, json_answer, make_page
from securetag.api.services import Services
from securetag.wire.api import FeedbackAnswer, FeedbackBody, FindingAnswer, FindingDetail
from securetag.wire.base import Page

router = APIRouter(prefix="/findings", tags=["findings"], responses=RESPONSES)


@router.get("", response_model=Page[FindingAnswer])
async def list_findings(
    services: Services,
    caller: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    project_id: Annotated[UUID | None, Query(description="Of this project alone.")] = None,
    severity: SeverityFilter = None,
    verdict: VerdictFilter = None,
    rule_id: RuleFilter = None,
) -> Response:
    """Every finding once, with its newest occurrence, the verdict on that and the feedback that stands."""
    async with services.tenant(caller.tenant_id) as session:
        rows = await findings.list_findings(
            session,
            after=cursor,
            limit=limit,
            project_id=project_id,
            severity=severity,
            decision=verdict,
            rule_id=rule_id,
        )
    return json_answer(
        make_page([to_finding_answer(row) for row in rows], limit, [row[0].id for row in rows])
    )


@router.get("/{finding_id}", response_model=FindingDetail)
async def get_finding(finding_id: UUID, services: Services, caller: Reader) -> Response:
    """One finding with all its feedback."""
    async with services.tenant(caller.tenant_id) as session:
        row = await findings.get_finding(session, finding_id)
        history = await findings.list_feedback(session, finding_id)
    return json_answer(to_finding_detail(row, list(history)))


@router.post("/{finding_id}/feedback", response_model=FeedbackAnswer, status_code=201)
async def add_feedback(
    finding_id: UUID, body: FeedbackBody, services: Services, caller: Reviewer, key: IdempotencyKey = None
) -> Response:
    """Say whether the finding is true, as the occurrence shows it. The key's name is the reviewer's.

    409 where a newer scan has seen the finding: look at the newest occurrence first.
    """
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> FeedbackAnswer:
            row = await findings.add_feedback(
                session,
                caller.tenant_id,
                finding_id,
                **body.model_dump(),
                reviewer=caller.name,
                api_key_id=caller.key_id,
            )
            return FeedbackAnswer.model_validate(row)

        return await once(session, caller.tenant_id, f"POST /findings/{finding_id}/feedback", key, body, work)
