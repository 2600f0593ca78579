"""Which findings are in the code of a branch, kept up with each scan's result.

A finding that a scan reports is in the branch. One that it doesn't report is `fixed` only if the scan would
have seen it: the tools that reported it ran, and read its file to the end. A file that was skipped, or on
which a rule timed out, says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Insert,
    Select,
    Text,
    Update,
    Uuid,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from securetag.db.base import table_of
from securetag.db.branch_verdicts import find_stale
from securetag.db.identity import IMPORT
from securetag.db.models import Finding, FindingOccurrence, FindingState, Project, Task
from securetag.db.models import ToolExecution as ExecutionRow
from securetag.scanning.exclusion import Exclusion
from securetag.wire.queue import Coverage, SkipReason, ToolExecution, ToolMetrics, UnpackMetrics

#: The branch of a project of which nobody has said any.
DEFAULT_BRANCH = "main"
#: Reasons for which the same file is skipped by every scan: a finding never was in one.
_ALWAYS_SKIPPED = frozenset({SkipReason.MINIFIED, SkipReason.VERSION_CONTROL})
#: Reasons for which a file may be left out of an upload in which an earlier scan has found something.
_MAY_HOLD_CODE = frozenset({SkipReason.TOO_LARGE, SkipReason.NAME, SkipReason.UNREADABLE, SkipReason.EXPANDS})


@dataclass(frozen=True, slots=True)
class ReadFiles:
    """What one tool has read of a project."""

    #: Files that it skipped, or read in part.
    unread: frozenset[str] = frozenset()
    #: Were there more of them than are named? Then nobody can tell whether it has read a file.
    is_cut: bool = False

    @classmethod
    def of(cls, coverage: Coverage) -> ReadFiles:
        """From a tool's coverage."""
        skipped = [item for item in coverage.skipped if item.reason not in _ALWAYS_SKIPPED]
        counted = sum(n for reason, n in coverage.skipped_by_reason.items() if reason not in _ALWAYS_SKIPPED)
        unread = {
            *(item.path for item in coverage.skipped),
            *(timeout.path for timeout in coverage.timeouts),
            *coverage.parse_errors,
        }
        is_cut = (
            counted > len(skipped)
            or coverage.timeouts_total > len(coverage.timeouts)
            or coverage.parse_errors_total > len(coverage.parse_errors)
        )
        return cls(frozenset(unread), is_cut)


@dataclass(frozen=True, slots=True)
class Reach:
    """What one scan has read, by tool. A tool that isn't named has read nothing for certain."""

    tools: Mapping[str, ReadFiles] = field(default_factory=dict)
    #: Files and folders that no tool has seen, and patterns of those that somebody excluded.
    left_out: frozenset[str] = frozenset()
    #: Were there more of them, which may hold code, than are named?
    is_cut: bool = False
    exclusion: Exclusion = field(default_factory=lambda: Exclusion([]))

    @classmethod
    def of(cls, executions: Iterable[ToolExecution], kind: str) -> Reach:
        """From the tool executions of an attempt at a scan of this kind.

        A web scanner says nothing of pages: it has read all of them if it ran to its end.
        """
        tools: dict[str, ReadFiles] = {}
        before = Coverage()
        for run in executions:
            if isinstance(run.metrics, UnpackMetrics):
                before = run.metrics.coverage or before
            if not isinstance(run.metrics, ToolMetrics):
                continue
            if run.metrics.coverage is not None:
                tools[run.tool] = ReadFiles.of(run.metrics.coverage)
            elif run.metrics.read_all or (kind == "web" and run.exit_code == 0 and not run.timed_out):
                tools[run.tool] = ReadFiles()
        left_out = frozenset(item.path for item in before.skipped)
        named = sum(item.reason in _MAY_HOLD_CODE for item in before.skipped)
        counted = sum(n for reason, n in before.skipped_by_reason.items() if reason in _MAY_HOLD_CODE)
        return cls(tools, left_out, counted > named, Exclusion(list(before.excluded)))

    def covers(self, tools: Iterable[str], path: str) -> bool:
        """Would each of the tools have reported its finding in this file?"""
        if self.is_cut or self.exclusion.excludes(path):
            return False
        parts = path.split("/")
        if any("/".join(parts[:count]) in self.left_out for count in range(1, len(parts) + 1)):
            return False
        return all(
            tool in self.tools and not self.tools[tool].is_cut and path not in self.tools[tool].unread
            for tool in tools
        )


def is_stale_in_default_branch() -> ColumnElement[bool]:
    """Does the verdict in force on the outer query's finding not hold for the project's default branch?

    A finding that no scan has reported there has no stale verdict.
    """
    default = select(Project.default_branch).where(Project.id == Finding.project_id).correlate(Finding)
    return (
        select(FindingState.id)
        .where(
            FindingState.finding_id == Finding.id,
            FindingState.branch == func.coalesce(default.scalar_subquery(), DEFAULT_BRANCH),
            FindingState.verdict_stale_task_id.is_not(None),
        )
        .correlate(Finding)
        .exists()
    )


async def branch_of(session: AsyncSession, task: Task) -> str:
    """Return the branch that a scan is of: its own, else the project's default, which the first scan sets."""
    named: str | None = task.params.get("branch")
    default = await session.scalar(
        update(Project)
        .where(Project.id == task.project_id)
        .values(default_branch=func.coalesce(Project.default_branch, named or DEFAULT_BRANCH))
        .returning(Project.default_branch)
    )
    assert default is not None, "a task has a project"
    return named or default


@dataclass(frozen=True, slots=True)
class BranchUpdate:
    """The states that a scan's occurrences, which are stored, come to in its branch.

    They are set in chunks, each in a transaction of its own, which leaves alone what a newer scan of the
    branch has set: of two scans that end at the same time the newer one counts, in whatever order they write.
    """

    branch: str
    #: Findings whose verdict doesn't hold for the scan's code.
    stale: frozenset[UUID]
    reach: Reach
    tools: frozenset[str]

    @classmethod
    async def prepare(
        cls, session: AsyncSession, task: Task, executions: Sequence[ToolExecution]
    ) -> BranchUpdate:
        """Look at the branch before any of its states names the scan; `executions`: what the scan ran."""
        branch = await branch_of(session, task)
        return cls(
            branch,
            frozenset(await find_stale(session, task, branch)),
            Reach.of(executions, task.kind),
            frozenset(run.tool for run in executions),
        )

    async def add_seen(self, session: AsyncSession, task: Task, finding_ids: Sequence[UUID]) -> None:
        """Set the states of findings that the scan reports. A repetition changes nothing."""
        if not await self._is_overtaken(session, task):
            await _add_seen(session, task, self.branch, self.stale.intersection(finding_ids), finding_ids)

    async def find_fixed(self, session: AsyncSession, task: Task) -> list[UUID]:
        """Return the states of what the branch had and the scan, which read its files, doesn't report."""
        if await self._is_overtaken(session, task):
            return []
        values = {**_values_of(task, self.branch), "of_kind": task.kind}
        rows = await session.execute(_select_missing(), values)
        return [
            row.id
            for row in rows
            if self.reach.covers({row.tool, *(match["tool"] for match in row.matches)}, row.path)
        ]

    async def mark_fixed(self, session: AsyncSession, task: Task, state_ids: Sequence[UUID]) -> None:
        """Mark states as fixed, unless a newer scan has seen their finding meanwhile."""
        await session.execute(
            update(FindingState)
            .where(
                FindingState.id.in_(state_ids),
                FindingState.state != "fixed",
                FindingState.seen_task_id < task.id,
            )
            .values(state="fixed", task_id=task.id, since=func.clock_timestamp())
            .execution_options(synchronize_session=False)
        )

    async def _is_overtaken(self, session: AsyncSession, task: Task) -> bool:
        """Has a newer scan of the branch ended? Of imports: a newer one of the same tools."""
        answer: bool | None = session.info.get(_OVERTAKEN)
        if answer is None:
            # Locked, so that no newer scan completes between the question and the commit.
            await session.execute(_LOCK_PROJECT, {"of_project": task.project_id})
            is_import = task.kind == IMPORT
            values = {**_values_of(task, self.branch), "of_kind": task.kind}
            values |= {"tools": list(self.tools)} if is_import else {}
            answer = bool(await session.scalar(_select_overtaken(is_import), values))
            session.info[_OVERTAKEN] = answer
        return answer


#: In the `info` of a session, which lives for one transaction: the answer, which the lock keeps true.
_OVERTAKEN = "securetag_overtaken"
_LOCK_PROJECT = (
    select(Project.id).where(Project.id == bindparam("of_project")).with_for_update(key_share=True)
)
_DEFAULT = select(Project.default_branch).where(Project.id == bindparam("of_project")).scalar_subquery()
#: Columns of `finding_id` that are among those of a call.
_IDS = ARRAY(Uuid())


def _values_of(task: Task, branch: str) -> dict[str, object]:
    return {"of_task": task.id, "of_project": task.project_id, "of_branch": branch}


# To build these statements takes longer than PostgreSQL takes for a few findings.
@cache
def _select_overtaken(is_import: bool) -> Select[bool]:
    newer = select(Task.id).where(
        Task.project_id == bindparam("of_project"),
        Task.kind == bindparam("of_kind"),
        Task.state == "completed",
        Task.id > bindparam("of_task"),
        func.coalesce(Task.params["branch"].astext, _DEFAULT) == bindparam("of_branch"),
    )
    if is_import:
        is_of_tool = ExecutionRow.tool.in_(bindparam("tools", expanding=True))
        newer = newer.where(
            select(ExecutionRow.id).where(ExecutionRow.task_id == Task.id, is_of_tool).exists()
        )
    return select(newer.exists())


async def _add_seen(
    session: AsyncSession, task: Task, branch: str, stale: Collection[UUID], finding_ids: Sequence[UUID]
) -> None:
    """States of findings that the scan reports; `stale`: those whose verdict doesn't hold for its code."""
    values = {
        **_values_of(task, branch),
        "reported_ids": list(finding_ids),
        "stale_ids": list(stale),
    }
    await session.execute(_update_seen(), {**values, "of_commit": task.params.get("commit")})
    base = await session.scalar(_base_scan(task)) if task.params.get("base_commit") else None
    values |= {"of_base": base} if base is not None else {}
    await session.execute(_insert_seen(has_base=base is not None), values)


def _is_reported() -> ColumnElement[bool]:
    return and_(
        FindingOccurrence.task_id == bindparam("of_task"),
        FindingOccurrence.finding_id == func.any(bindparam("reported_ids", type_=_IDS)),
    )


def _is_stale() -> ColumnElement[bool]:
    return FindingOccurrence.finding_id == func.any(bindparam("stale_ids", type_=_IDS))


@cache
def _update_seen() -> Update:
    """States that the branch has."""
    setter = aliased(Task)
    commit, this = bindparam("of_commit", type_=Text), bindparam("of_task", type_=Uuid)
    is_of_other_commit = or_(
        commit.is_(None), func.coalesce(setter.params["commit"].astext != commit, true())
    )
    state = case(
        (FindingState.state == "fixed", "reopened"),
        (and_(_is_stale(), FindingState.verdict_stale_task_id.is_(None)), "reopened"),
        (and_(FindingState.state == "new", is_of_other_commit), "open"),
        else_=FindingState.state,
    )
    stays = state == FindingState.state
    return (
        update(FindingState)
        .where(
            FindingState.branch == bindparam("of_branch"),
            FindingState.finding_id == FindingOccurrence.finding_id,
            _is_reported(),
            FindingState.seen_task_id < this,
            Finding.id == FindingState.finding_id,
            setter.id == FindingState.task_id,
        )
        .values(
            state=state,
            seen_task_id=this,
            task_id=case((stays, FindingState.task_id), else_=this),
            since=case((stays, FindingState.since), else_=func.clock_timestamp()),
            verdict_stale_task_id=case(
                (_is_stale(), func.coalesce(FindingState.verdict_stale_task_id, this))
            ),
        )
        .execution_options(synchronize_session=False)
    )


@cache
def _insert_seen(*, has_base: bool) -> Insert:
    """States that the branch hasn't got. `open`: the finding was there before the branch."""
    rows = (
        select(
            # An id that is made already, and used for no other state.
            FindingOccurrence.id,
            FindingOccurrence.tenant_id,
            bindparam("of_project", type_=Uuid).label("project_id"),
            FindingOccurrence.finding_id,
            bindparam("of_branch", type_=Text).label("branch"),
            case((_is_earlier(has_base=has_base), "open"), else_="new").label("state"),
            FindingOccurrence.task_id,
            FindingOccurrence.task_id.label("seen_task_id"),
            case((_is_stale(), FindingOccurrence.task_id)).label("verdict_stale_task_id"),
        )
        .join(Finding, Finding.id == FindingOccurrence.finding_id)
        .where(_is_reported())
    )
    added = upsert(table_of(FindingState)).from_select(
        [str(column.key) for column in rows.selected_columns], rows
    )
    return added.on_conflict_do_nothing(index_elements=["finding_id", "branch"])


def _is_earlier(*, has_base: bool) -> ColumnElement[bool]:
    """Was the finding there before the branch? In the scan of its base commit, else in the default branch."""
    if has_base:
        before = aliased(FindingOccurrence)
        is_of_base = before.task_id == bindparam("of_base")
        return select(before.id).where(is_of_base, before.finding_id == Finding.id).exists()
    other = aliased(FindingState)
    return (
        select(other.id)
        .where(
            other.finding_id == Finding.id,
            other.branch == _DEFAULT,
            other.branch != bindparam("of_branch"),
            other.state != "fixed",
        )
        .exists()
    )


def _base_scan(task: Task) -> Select[UUID]:
    return (
        select(Task.id)
        .where(
            Task.project_id == task.project_id,
            Task.kind == task.kind,
            Task.state == "completed",
            Task.params["commit"].astext == task.params["base_commit"],
        )
        .order_by(Task.id.desc())
        .limit(1)
    )


@cache
def _select_missing() -> Select[*tuple[object, ...]]:
    """The states of what older scans of the branch had and this one doesn't report."""
    seen = aliased(Task)
    return (
        select(FindingState.id, Finding.tool, Finding.matches, FindingOccurrence.path)
        .join(Finding, Finding.id == FindingState.finding_id)
        .join(seen, seen.id == FindingState.seen_task_id)
        .join(
            FindingOccurrence,
            and_(
                FindingOccurrence.finding_id == FindingState.finding_id,
                FindingOccurrence.task_id == FindingState.seen_task_id,
            ),
        )
        .where(
            FindingState.project_id == bindparam("of_project"),
            FindingState.branch == bindparam("of_branch"),
            FindingState.state != "fixed",
            FindingState.seen_task_id < bindparam("of_task"),
            seen.kind == bindparam("of_kind"),
        )
    )
