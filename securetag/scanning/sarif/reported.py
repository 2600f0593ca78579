"""What a document says of one finding: the finding, who decided what on it, and where it is stored."""

from __future__ import annotations

from typing import Literal

import msgspec

from securetag.records import OCCURRENCE_FIELDS, Finding, Verdict
from securetag.wire.api import FindingAnswer
from securetag.wire.verdicts import decide, is_dismissed_by_person

#: In place of a verdict.
NOT_TRIAGED = "not triaged"
_OF_FINDING = tuple(name for name in Finding.__struct_fields__ if name not in OCCURRENCE_FIELDS)


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with the verdict that counts on it."""

    finding: Finding
    #: A decision, or `not triaged`.
    verdict: str = NOT_TRIAGED
    by: Literal["person", "model", "nobody"] = "nobody"
    #: Why a model abstained.
    reason: str = ""
    #: What a model said in words.
    reasoning: str = ""
    #: Who decided, as far as it is known: a model's id or a reviewer's name.
    author: str = ""
    #: Why it doesn't count; None: it counts. Never by a model alone.
    justification: str | None = None
    #: Of the stored finding; empty where nothing is stored.
    finding_id: str = ""
    occurrence_id: str = ""


def report_answer(answer: FindingAnswer) -> Reported:
    """Return what is to be said of a finding that the api has answered with."""
    at, decided = answer.occurrence, decide(answer)
    fields = {name: getattr(answer, name) for name in _OF_FINDING}
    fields |= {name: getattr(at, name) for name in OCCURRENCE_FIELDS}
    verdict, feedback = answer.verdict, answer.feedback
    by_person = feedback is not None and decided.by == "person"
    justification = None
    if is_dismissed_by_person(answer):
        assert feedback is not None, "a person's verdict"
        justification = f"false positive, says {feedback.reviewer}"
        justification += f": {feedback.comment}" if feedback.comment else ""
    return Reported(
        finding=Finding(**fields),
        verdict=decided.verdict,
        by=decided.by,
        reason=verdict.reason if verdict is not None and not by_person else "",
        reasoning=verdict.reasoning if verdict is not None and not by_person else "",
        author=feedback.reviewer
        if feedback is not None and by_person
        else verdict.model_id
        if verdict is not None
        else "",
        justification=justification,
        finding_id=str(answer.id),
        occurrence_id=str(at.id),
    )


def report_finding(finding: Finding, verdict: Verdict | None) -> Reported:
    """Return what is to be said of a finding that is stored nowhere."""
    if verdict is None:
        return Reported(finding=finding)
    return Reported(
        finding=finding,
        verdict=verdict.decision.value,
        by="model",
        reason=verdict.reason,
        reasoning=verdict.reasoning,
        author=verdict.model_id,
    )
