"""Which feedback on a finding stands."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import aliased

from securetag.db.models import Feedback, Finding


def standing_feedback() -> type[Feedback]:
    """The newest feedback on the outer query's finding; a person's comes before a script's, however new."""
    newest = (
        select(Feedback)
        .where(Feedback.finding_id == Finding.id)
        .order_by((Feedback.source == "person").desc(), Feedback.id.desc())
        .limit(1)
        .lateral("standing_feedback")
    )
    return aliased(Feedback, newest)
