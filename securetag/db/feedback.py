"""Which feedback on a finding stands."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import aliased

from securetag.db.models import Feedback, FeedbackWithdrawal, Finding


def is_withdrawn() -> ColumnElement[bool]:
    """Has the outer query's feedback been taken back?"""
    return select(FeedbackWithdrawal.id).where(FeedbackWithdrawal.feedback_id == Feedback.id).exists()


def standing_feedback() -> type[Feedback]:
    """The newest feedback on the outer query's finding that nobody has taken back.

    A person's comes before a script's, however new.
    """
    newest = (
        select(Feedback)
        .where(Feedback.finding_id == Finding.id, ~is_withdrawn())
        .order_by((Feedback.source == "person").desc(), Feedback.id.desc())
        .limit(1)
        .lateral("standing_feedback")
    )
    return aliased(Feedback, newest)
