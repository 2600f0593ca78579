"""From rows to answers."""

from __future__ import annotations

from securetag.db.models import Feedback, FeedbackWithdrawal
from securetag.wire.feedback import FeedbackAnswer


def to_feedback_answer(feedback: Feedback, withdrawal: FeedbackWithdrawal | None = None) -> FeedbackAnswer:
    """Return what a person said, and whether it was taken back."""
    answer = FeedbackAnswer.model_validate(feedback)
    if withdrawal is None:
        return answer
    changes = {"withdrawn_at": withdrawal.created_at, "withdrawn_by": withdrawal.reviewer}
    return answer.model_copy(update=changes)
