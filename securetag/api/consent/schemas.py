"""Consent as JSON."""

from __future__ import annotations

from uuid import UUID

from securetag.api.paging import Answer, Body, Time


class ConsentBody(Body):
    """Whether Securetag may learn from this tenant's findings and verdicts."""

    granted: bool


class ConsentAnswer(Answer):
    """Off unless granted. `consent_id` goes into the lineage of everything that is learnt under it."""

    granted: bool
    consent_id: UUID | None = None
    granted_by: str | None = None
    granted_at: Time | None = None
    withdrawn_by: str | None = None
    withdrawn_at: Time | None = None
