"""What a list of findings shows: read from the address, and written back into links."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from securetag.api.findings.listing import IN_THE_CODE, FindingFilter, check_text
from securetag.api.findings.schemas import read_since
from securetag.api.projects import repository as projects
from securetag.records import BranchState, Confidence, Severity
from securetag.wire.api import Branch
from securetag.wire.feedback import Decision

Words = Annotated[str, Field(max_length=300, pattern=r"^[^\x00]*$")]


class Filters(BaseModel):
    """The query of `/ui/findings`; the fields that a link leaves out are those that are None."""

    model_config = ConfigDict(frozen=True)

    project: Words | None = None
    branch: Branch | None = None
    severity: Severity | None = None
    confidence: Confidence | None = None
    cwe: Annotated[str, Field(pattern=r"^CWE-\d{1,9}$")] | None = None
    rule: Words | None = None
    verdict: Decision | None = None
    #: `any`: fixed ones too. By default what is in the code now.
    state: BranchState | Literal["any"] | None = None
    reviewed: Literal["yes", "no"] | None = None
    disagree: Literal["yes"] | None = None
    suppressed: Literal["yes", "no"] | None = None
    #: A date, or the id of a scan.
    since: Annotated[str, Field(max_length=40)] | None = None
    assignee: Words | None = None
    assigned: Literal["yes", "no"] | None = None
    noted: Literal["yes", "no"] | None = None
    #: The review queue of whoever looks.
    queue: Literal["yes"] | None = None
    #: A part of title, path or rule.
    q: Words | None = None
    #: The last finding of the page before.
    cursor: UUID | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, given: object) -> object:
        # A form sends every field, a browser's too.
        return {name: value for name, value in given.items() if value} if isinstance(given, dict) else given

    def to_query(self, **changes: object) -> str:
        """Return the query of a link with some fields changed, at its first page unless a cursor is given."""
        fields = {**self.model_dump(exclude_none=True), "cursor": None, **changes}
        return urlencode({name: value for name, value in fields.items() if value is not None})

    @property
    def chosen(self) -> dict[str, str]:
        """What narrows the list: field → value."""
        return {
            name: str(value) for name, value in self.model_dump(exclude_none=True, exclude={"cursor"}).items()
        }

    async def resolve(self, session: AsyncSession, reviewer: str) -> FindingFilter:
        """Return what the repository takes; `reviewer` is who looks.

        Raises NotFoundError for an unknown project or scan, InputError for what is neither date nor scan and
        for a search text that no index answers.
        """
        states = frozenset({self.state}) if self.state and self.state != "any" else IN_THE_CODE
        return FindingFilter(
            project_id=await projects.find_project(session, self.project) if self.project else None,
            branch=self.branch,
            severity=self.severity,
            confidence=self.confidence,
            cwe=self.cwe,
            rule_id=self.rule,
            decision=self.verdict,
            states=None if self.state == "any" else states,
            reviewed=_as_bool(self.reviewed),
            disagree=_as_bool(self.disagree),
            suppressed=_as_bool(self.suppressed),
            since=await read_since(session, self.since),
            assignee=self.assignee,
            assigned=_as_bool(self.assigned),
            noted=_as_bool(self.noted),
            due_for=reviewer if self.queue else None,
            text=check_text(self.q),
        )


def _as_bool(choice: Literal["yes", "no"] | None) -> bool | None:
    return None if choice is None else choice == "yes"
