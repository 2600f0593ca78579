"""Suppressions: which of them hold, what they hide, and when one of a finding lapses."""

from __future__ import annotations

import re
from functools import cache
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, and_, bindparam, cast, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from securetag.db.models import Finding, FindingOccurrence, Suppression, Task
from securetag.db.staleness import changes_between
from securetag.records import CodeIdentity

#: `**/`, `**`, `*`, `?`, and any other character.
_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|.", re.DOTALL)
_MEANINGS = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def path_pattern(glob: str) -> str:
    """Return a glob as a regular expression that PostgreSQL and Python read alike.

    `*` stays within a folder, `**` doesn't; the name of a folder means all that is below it.
    """
    parts = _PARTS.findall(glob.removeprefix("./").rstrip("/"))
    return f"^{''.join(_MEANINGS.get(part) or re.escape(part) for part in parts)}(/.*)?$"


def is_in_force() -> ColumnElement[bool]:
    """Has the suppression neither lapsed nor expired?"""
    return and_(
        Suppression.lapsed_at.is_(None),
        or_(Suppression.expires_at.is_(None), Suppression.expires_at > func.clock_timestamp()),
    )


def hides(occurrence: type[FindingOccurrence]) -> ColumnElement[bool]:
    """Does the suppression mean the outer query's `Finding`, at the path of this occurrence?

    A rule is hidden only where no other rule reports the place.
    """
    in_path = and_(
        Suppression.finding_id.is_(None),
        Suppression.path_pattern.is_not(None),
        occurrence.path.regexp_match(Suppression.path_pattern),
    )
    others = func.jsonb_path_exists(
        Finding.matches,
        cast(literal("$[*] ? (@.rule_id != $rule)"), JSONPATH),
        func.jsonb_build_object("rule", Finding.rule_id),
    )
    of_rule = or_(Suppression.rule_id.is_(None), and_(Suppression.rule_id == Finding.rule_id, ~others))
    return and_(
        Suppression.project_id == Finding.project_id,
        or_(Suppression.finding_id == Finding.id, and_(in_path, of_rule)),
    )


async def lapse_suppressions(session: AsyncSession, task: Task) -> None:
    """End the suppressions of findings whose code this scan, which is stored, shows changed.

    A suppression binds to the code that was looked at, as a verdict does.
    """
    rows = await session.execute(_select_shown(), {"of_task": task.id})
    changed = [row[0] for row in rows if has_changed(row[1], row[2])]
    if changed:
        await session.execute(
            update(Suppression)
            .where(Suppression.id.in_(changed))
            .values(lapsed_at=func.clock_timestamp(), lapsed_task_id=task.id)
        )


# To build it takes longer than PostgreSQL takes to answer.
@cache
def _select_shown() -> Select[UUID, FindingOccurrence, FindingOccurrence]:
    """Suppressions, the occurrence that each was made on, and the scan's of its finding."""
    shown, now = aliased(FindingOccurrence), aliased(FindingOccurrence)
    return (
        select(Suppression.id, shown, now)
        .join(shown, shown.id == Suppression.occurrence_id)
        .join(now, now.finding_id == Suppression.finding_id)
        .where(is_in_force(), now.task_id == bindparam("of_task"))
    )


def has_changed(shown: FindingOccurrence, now: FindingOccurrence) -> bool:
    """Does the code differ from what was looked at: in guard, source or sink, else in more than blanks?"""
    if shown.identity and now.identity:
        codes = [msgspec.convert(item.identity, CodeIdentity) for item in (shown, now)]
        return bool(changes_between(*codes, is_moved=shown.path != now.path))
    return "".join(shown.snippet.split()) != "".join(now.snippet.split())
