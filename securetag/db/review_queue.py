"""Which findings a reviewer is asked to judge blind: a sample of what models judged, and second reviews.

Both samples are drawn by a digest of the finding's id: a finding is in one or not, whoever asks and whenever.
The first sample is of all findings that a model has judged, whatever it said. Were it of those that the model
dismisses alone, being in the queue would say what the model said.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Text, and_, cast, func, or_, select

from securetag.db.feedback import is_withdrawn
from securetag.db.models import Feedback, Finding, FindingOccurrence, FindingState, TriageVerdict

#: Share of the findings that a model has judged, and of those that one person has.
FIRST_SHARE, SECOND_SHARE = 0.05, 0.10
#: Values of two bytes of a digest.
_RANGE = 65_536


def is_sampled(purpose: str, share: float) -> ColumnElement[bool]:
    """Is the outer query's finding in this share of all? Samples for different purposes are independent."""
    digest = func.sha256(func.convert_to(f"{purpose}:" + cast(Finding.id, Text), "UTF8"))
    return func.get_byte(digest, 0) * 256 + func.get_byte(digest, 1) < int(share * _RANGE)


def is_due(
    reviewer: str,
    occurrence: type[FindingOccurrence],
    verdict: type[TriageVerdict],
    state: type[FindingState],
) -> ColumnElement[bool]:
    """Is the outer query's finding one that this reviewer is to judge now? `state` is that in the branch.

    Nobody is the second reviewer of what they judged first. A bulk decision is no review, and a verdict on
    older code is none either.
    """
    reviewers = (
        select(func.count(Feedback.reviewer.distinct()))
        .where(*_is_review())
        .correlate(Finding)
        .scalar_subquery()
    )
    judged_it = select(Feedback.id).where(*_is_review(), Feedback.reviewer == reviewer).exists()
    is_stale = state.verdict_stale_task_id.is_not(None)
    first = and_(is_sampled("first", FIRST_SHARE), or_(reviewers == 0, is_stale), verdict.id.is_not(None))
    second = and_(is_sampled("second", SECOND_SHARE), reviewers == 1, ~judged_it, ~is_stale)
    return and_(occurrence.snippet != "", or_(first, second))


def _is_review() -> tuple[ColumnElement[bool], ...]:
    """A verdict of a person who looked at the outer query's finding, and that stands."""
    return (
        Feedback.finding_id == Finding.id,
        Feedback.source == "person",
        Feedback.mode != "bulk",
        ~is_withdrawn(),
    )
