"""What people say of findings: verdicts, their withdrawal, bulk decisions, notes and who works on what."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, field_validator

from securetag.wire.base import Answer, Body, Name, Text, Time

Decision = Literal["true_positive", "false_positive", "needs_review"]
Disposition = Literal["fix", "accept_risk", "test_code", "mitigated_elsewhere", "duplicate"]
#: How a person gave a verdict. `blind`: without having seen a model's; `assisted`: having seen it; `bulk`: on
#: many findings at once, so that nobody has looked at each.
ReviewMode = Literal["blind", "assisted", "bulk"]
#: Findings that one bulk decision may name.
MAX_BULK = 1_000
Comment = Annotated[Text, Field(max_length=4_000)]


class FeedbackAnswer(Answer):
    """What a person said."""

    id: UUID
    finding_id: UUID
    occurrence_id: UUID | None
    #: The model's verdict that stood beside it.
    verdict_id: UUID | None
    verdict: Decision
    disposition: Disposition | None
    comment: str
    saw_model: bool
    #: `blind`: without having seen a model's verdict; `assisted`: having seen it; `bulk`: on many findings at
    #: once.
    mode: ReviewMode = "assisted"
    #: Of the bulk decision that it is a part of.
    bulk_id: UUID | None = None
    source: Literal["person", "script"]
    reviewer: str
    created_at: Time
    #: When it was taken back, and by whom; it counts nowhere since then.
    withdrawn_at: Time | None = None
    withdrawn_by: str | None = None


class FeedbackBody(Body):
    """A person's verdict on a finding, as one scan showed it."""

    #: Id of the `occurrence` that the person looked at; 409 where a newer scan has seen the finding since.
    occurrence_id: UUID
    verdict: Decision
    #: What is done about it; never trains the verdict.
    disposition: Disposition | None = None
    comment: Comment = ""
    #: Had the person seen the model's verdict before giving this one?
    saw_model: bool
    #: `script` where a program gave it, for example from a ground truth.
    source: Literal["person", "script"] = "person"


class ShownFinding(Body):
    """A finding as one scan shows it."""

    finding_id: UUID
    #: Id of its `occurrence`; 409 where a newer scan has seen the finding since.
    occurrence_id: UUID


class BulkFeedbackBody(Body):
    """One verdict on many findings: it counts as one vote, and is no part of agreement between reviewers."""

    findings: Annotated[list[ShownFinding], Field(min_length=1, max_length=MAX_BULK)]
    verdict: Decision
    disposition: Disposition | None = None
    comment: Comment = ""
    #: Had the person seen what the model says of them?
    saw_model: bool

    @field_validator("findings")
    @classmethod
    def _each_once(cls, given: list[ShownFinding]) -> list[ShownFinding]:
        if len({item.finding_id for item in given}) < len(given):
            raise ValueError("name each finding once")
        return given


class BulkFeedbackAnswer(Answer):
    """A bulk decision that is stored, or taken back."""

    bulk_id: UUID
    #: Findings whose feedback was stored, or withdrawn.
    findings: int


class FindingChanges(Body):
    """What is to change of a finding; what is left out stays."""

    #: Who works on it; null: nobody.
    assignee: Name | None = None


class NoteBody(Body):
    """A note about a finding, for colleagues. No model is trained on it."""

    text: Annotated[Text, Field(min_length=1, max_length=4_000, pattern=r"\S")]


class NoteAnswer(Answer):
    """A note about a finding."""

    id: UUID
    text: str
    #: Name of the API key.
    author: str
    created_at: Time
