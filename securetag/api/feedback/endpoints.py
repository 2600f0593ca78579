"""`/findings/…/feedback`, `/findings/feedback`, and who works on a finding."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from securetag.api.auth import Reviewer
from securetag.api.errors import RESPONSES, describe_error
from securetag.api.feedback import notes
from securetag.api.feedback import repository as feedback
from securetag.api.feedback.schemas import to_feedback_answer
from securetag.api.findings import repository as findings
from securetag.api.findings.schemas import to_finding_answer
from securetag.api.idempotency import IdempotencyKey, once
from securetag.api.paging import json_answer
from securetag.api.services import Services
from securetag.records import JsonObject
from securetag.wire.api import FindingAnswer
from securetag.wire.feedback import (
    BulkFeedbackAnswer,
    BulkFeedbackBody,
    FeedbackAnswer,
    FeedbackBody,
    FindingChanges,
    NoteAnswer,
    NoteBody,
)

router = APIRouter(prefix="/findings", tags=["findings"], responses=RESPONSES)
#: The code that a verdict would be about is no longer stored.
GONE: dict[int | str, JsonObject] = {410: describe_error("Removed for good")}


@router.post("/feedback", response_model=BulkFeedbackAnswer, status_code=201, responses=GONE)
async def add_bulk_feedback(
    body: BulkFeedbackBody, services: Services, caller: Reviewer, key: IdempotencyKey = None
) -> Response:
    """Give one verdict on many findings, all or none of them. It is one vote, whatever their number.

    409 where a newer scan has seen one of them, 410 where no code of one is stored any more.
    """
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> BulkFeedbackAnswer:
            bulk_id = await feedback.add_bulk_feedback(session, caller, body)
            return BulkFeedbackAnswer(bulk_id=bulk_id, findings=len(body.findings))

        return await once(session, caller.tenant_id, "POST /findings/feedback", key, body, work)


@router.delete("/feedback/{bulk_id}", response_model=BulkFeedbackAnswer)
async def withdraw_bulk_feedback(bulk_id: UUID, services: Services, caller: Reviewer) -> Response:
    """Take a bulk decision back: what was decided before it stands again.

    403 for another reviewer's, unless the key has `admin`.
    """
    async with services.tenant(caller.tenant_id) as session:
        number = await feedback.withdraw_bulk(session, caller, bulk_id)
    return json_answer(BulkFeedbackAnswer(bulk_id=bulk_id, findings=number))


@router.post("/{finding_id}/feedback", response_model=FeedbackAnswer, status_code=201, responses=GONE)
async def add_feedback(
    finding_id: UUID, body: FeedbackBody, services: Services, caller: Reviewer, key: IdempotencyKey = None
) -> Response:
    """Say whether the finding is true, as the occurrence shows it. The key's name is the reviewer's.

    409 where a newer scan of the branch has seen the finding: look at the newest occurrence first. 410 where
    no code of it is stored any more.
    """
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> FeedbackAnswer:
            return to_feedback_answer(await feedback.add_feedback(session, caller, finding_id, body))

        return await once(session, caller.tenant_id, f"POST /findings/{finding_id}/feedback", key, body, work)


@router.delete("/{finding_id}/feedback/{feedback_id}", response_model=FeedbackAnswer)
async def withdraw_feedback(
    finding_id: UUID, feedback_id: UUID, services: Services, caller: Reviewer
) -> Response:
    """Take a verdict back: what was decided before it stands again. The record keeps both.

    403 for another reviewer's, unless the key has `admin`.
    """
    async with services.tenant(caller.tenant_id) as session:
        await feedback.withdraw_feedback(session, caller, feedback_id, finding_id=finding_id)
        (row,) = await findings.list_feedback(session, finding_id, feedback_id=feedback_id)
    return json_answer(to_feedback_answer(*row))


@router.patch("/{finding_id}", response_model=FindingAnswer)
async def change_finding(
    finding_id: UUID, body: FindingChanges, services: Services, caller: Reviewer
) -> Response:
    """Say who works on a finding."""
    async with services.tenant(caller.tenant_id) as session:
        if "assignee" in body.model_fields_set:
            await notes.assign(session, caller, [finding_id], body.assignee)
        row = await findings.get_finding(session, finding_id)
    return json_answer(to_finding_answer(row, services.settings.triage))


@router.post("/{finding_id}/notes", response_model=NoteAnswer, status_code=201)
async def add_note(
    finding_id: UUID, body: NoteBody, services: Services, caller: Reviewer, key: IdempotencyKey = None
) -> Response:
    """Note something about a finding for colleagues. The key's name is the author's."""
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> NoteAnswer:
            return NoteAnswer.model_validate(await notes.add_note(session, caller, finding_id, body.text))

        return await once(session, caller.tenant_id, f"POST /findings/{finding_id}/notes", key, body, work)
