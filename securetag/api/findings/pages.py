"""Pages of findings as JSON, from the columns of plain queries: what is read most.

The bytes are those of `FindingAnswer`, without a model for each of a page's two hundred parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from functools import lru_cache
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Text, bindparam, cast, inspect, select

from securetag.api.findings.listing import FindingFilter, write_ids
from securetag.api.findings.repository import select_named
from securetag.api.reading import ReadTransaction
from securetag.api.suppressions.schemas import describe_suppression
from securetag.db.base import Base
from securetag.db.models import Finding
from securetag.db.plain import PlainRow, fetch_plain, write_plain
from securetag.records import JsonObject, RuleMatch, TraceStep, WebLocation
from securetag.settings.sections import TriageSettings
from securetag.wire.api import FindingAnswer, OccurrenceAnswer, SuppressionAnswer, VerdictAnswer
from securetag.wire.base import Answer
from securetag.wire.feedback import FeedbackAnswer
from securetag.wire.verdicts import allows_model_to_dismiss

#: Column → how its text becomes part of the answer.
_JSON = {
    "matches": msgspec.json.Decoder(list[RuleMatch]).decode,
    "trace": msgspec.json.Decoder(list[TraceStep]).decode,
    "web": msgspec.json.Decoder(WebLocation).decode,
    "evidence": msgspec.Raw,
}
_encode = msgspec.json.Encoder().encode


class _Part:
    """Columns of one table in a row, and what they become."""

    def __init__(self, names: Sequence[str], defaults: JsonObject, begin: int) -> None:
        self.names = names
        self.defaults = defaults
        self.begin, self.end = begin, begin + len(names)
        self.json = [(name, _JSON[name]) for name in names if name in _JSON]
        self.times = [name for name in names if name.endswith("_at")]

    def read(self, row: PlainRow) -> JsonObject | None:
        """Return field → value; None where an outer join has no row."""
        if row[self.begin] is None:
            return None
        fields = dict(zip(self.names, row[self.begin : self.end], strict=True))
        for name, read in self.json:
            if (text := fields[name]) is not None:
                fields[name] = read(text)
        for name in self.times:
            if (moment := fields[name]) is not None:
                fields[name] = moment.astimezone(UTC)
        return fields | self.defaults if self.defaults else fields


class _Page:
    """The query of a branch's page of named findings, and the parts of its rows."""

    def __init__(self, branch: str | None) -> None:
        query = select_named(branch)
        described = query.column_descriptions
        finding, occurrence, verdict, feedback, project, of_branch, state, suppression = (
            column["expr"] for column in described
        )
        columns: list[ColumnElement[object]] = []

        def add(table: type[Base], answer: type[Answer], **defaults: object) -> _Part:
            names = [name for name in answer.model_fields if name in inspect(table).mapper.columns]
            part = _Part(names, defaults, begin=len(columns))
            for name in names:
                column = getattr(table, name)
                columns.append(cast(column, Text) if name in _JSON else column)
            return part

        self.finding = add(finding, FindingAnswer)
        self.occurrence = add(occurrence, OccurrenceAnswer)
        self.verdict = add(verdict, VerdictAnswer)
        self.feedback = add(feedback, FeedbackAnswer, withdrawn_at=None, withdrawn_by=None)
        self.suppression = add(suppression, SuppressionAnswer)
        self.rest = len(columns)
        columns += [project.model_may_dismiss, of_branch, state.state, state.since]
        columns += [state.verdict_stale_task_id, suppression.path_glob]
        self.query = write_plain(query.with_only_columns(*columns))

    def read(self, row: PlainRow, triage: TriageSettings) -> JsonObject:
        """Return the fields of a FindingAnswer."""
        may_dismiss, branch, state, since, stale_task_id, path = row[self.rest :]
        fields = self.finding.read(row)
        assert fields is not None, "every row is of a finding"
        suppression = self.suppression.read(row)
        if suppression is not None:
            suppression |= describe_suppression(suppression, path)
        fields |= {
            "occurrence": self.occurrence.read(row),
            "verdict": self.verdict.read(row),
            "feedback": self.feedback.read(row),
            "branch": branch,
            "state": state,
            "state_since": since.astimezone(UTC) if since is not None else None,
            "suppression": suppression,
            "model_may_dismiss": may_dismiss
            and allows_model_to_dismiss(
                opted_in=True,
                severity=fields["severity"],
                cwes={fields["cwe"], *(match.cwe for match in fields["matches"])},
                never=triage.never_dismiss,
                never_from=triage.never_dismiss_severity,
            ),
            "being_triaged": False,
        }
        if state is not None:
            # A verdict holds or not for the code that the branch has.
            fields["verdict_stale_task_id"] = stale_task_id
        return fields


#: Branch → the query of a page.
find_page = lru_cache(maxsize=128)(_Page)


_RANK = write_plain(select(Finding.rank).where(Finding.id == bindparam("wanted_id", type_=Finding.id.type)))


async def encode_page(
    reading: ReadTransaction, wanted: FindingFilter, *, after: UUID | None, limit: int, triage: TriageSettings
) -> bytes:
    """Return a `Page[FindingAnswer]` of a list that `finding_listing` answers, as JSON."""
    values: dict[str, object] = {"most": limit + 1}
    if after is not None:
        ranks = await fetch_plain(reading.driver, _RANK, wanted_id=after)
        if not ranks:
            return _encode({"items": [], "next_cursor": None})
        values |= {"place_rank": ranks[0][0], "place_id": after}
    query = write_ids(wanted, is_first=after is None)
    # Rare values and common ones have other plans: one for all took 0.4 s for a rare weakness with a text.
    ids = [row[0] for row in await fetch_plain(reading.driver, query, prepare=False, **values)]
    page = find_page(wanted.branch)
    # The one too many says that there is a next page.
    rows = await fetch_plain(reading.driver, page.query, wanted_ids=ids[:limit]) if ids else []
    return _encode(
        {
            "items": [page.read(row, triage) for row in rows],
            "next_cursor": ids[limit - 1] if len(ids) > limit else None,
        }
    )
