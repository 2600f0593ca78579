"""Which findings are in the code of a branch, kept up with each scan's result.

A finding that a scan reports is in the branch. One that it doesn't report is `fixed` only if the scan would
have seen it: the tools that reported it ran, and read its file to the end. A file that was skipped, or on
which a rule timed out, says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, Uuid, and_, case, func, literal, select, true, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

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
        rows = await session.execute(_select_missing(task, self.branch))
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
        # Locked, so that no newer scan completes between the question and the commit.
        await session.execute(
            select(Project.id).where(Project.id == task.project_id).with_for_update(key_share=True)
        )
        return await _is_overtaken(session, task, self.branch, self.tools)


async def _is_overtaken(session: AsyncSession, task: Task, branch: str, tools: Collection[str]) -> bool:
    """Has a newer scan of the branch ended? Of imports: a newer one of the same tools."""
    default = select(Project.default_branch).where(Project.id == task.project_id).scalar_subquery()
    newer = select(Task.id).where(
        Task.project_id == task.project_id,
        Task.kind == task.kind,
        Task.state == "completed",
        Task.id > task.id,
        func.coalesce(Task.params["branch"].astext, default) == branch,
    )
    if task.kind == IMPORT:
        of_tool = select(ExecutionRow.id).where(ExecutionRow.task_id == Task.id, ExecutionRow.tool.in_(tools))
        newer = newer.where(of_tool.exists())
    return bool(await session.scalar(select(newer.exists())))


async def _add_seen(
    session: AsyncSession, task: Task, branch: str, stale: Collection[UUID], finding_ids: Sequence[UUID]
) -> None:
    """States of findings that the scan reports; `stale`: those whose verdict doesn't hold for its code."""
    is_reported = and_(
        FindingOccurrence.task_id == task.id,
        FindingOccurrence.finding_id == func.any(literal(list(finding_ids), ARRAY(Uuid()))),
    )
    is_stale = FindingOccurrence.finding_id == func.any(literal(list(stale), ARRAY(Uuid())))
    setter = aliased(Task)
    commit = task.params.get("commit")
    is_of_other_commit = (
        true() if commit is None else func.coalesce(setter.params["commit"].astext != commit, true())
    )
    state = case(
        (FindingState.state == "fixed", "reopened"),
        (and_(is_stale, FindingState.verdict_stale_task_id.is_(None)), "reopened"),
        (and_(FindingState.state == "new", is_of_other_commit), "open"),
        else_=FindingState.state,
    )
    stays = state == FindingState.state
    await session.execute(
        update(FindingState)
        .where(
            FindingState.branch == branch,
            FindingState.finding_id == FindingOccurrence.finding_id,
            is_reported,
            FindingState.seen_task_id < task.id,
            Finding.id == FindingState.finding_id,
            setter.id == FindingState.task_id,
        )
        .values(
            state=state,
            seen_task_id=task.id,
            task_id=case((stays, FindingState.task_id), else_=task.id),
            since=case((stays, FindingState.since), else_=func.clock_timestamp()),
            verdict_stale_task_id=case(
                (is_stale, func.coalesce(FindingState.verdict_stale_task_id, task.id))
            ),
        )
        .execution_options(synchronize_session=False)
    )
    earlier = await _earlier(session, task, branch)
    rows = (
        select(
            # An id that is made already, and used for no other state.
            FindingOccurrence.id,
            FindingOccurrence.tenant_id,
            literal(task.project_id).label("project_id"),
            FindingOccurrence.finding_id,
            literal(branch).label("branch"),
            case((earlier, "open"), else_="new").label("state"),
            FindingOccurrence.task_id,
            FindingOccurrence.task_id.label("seen_task_id"),
            case((is_stale, FindingOccurrence.task_id)).label("verdict_stale_task_id"),
        )
        .join(Finding, Finding.id == FindingOccurrence.finding_id)
        .where(is_reported)
    )
    added = upsert(FindingState).from_select([str(column.key) for column in rows.selected_columns], rows)
    await session.execute(added.on_conflict_do_nothing(index_elements=["finding_id", "branch"]))


async def _earlier(session: AsyncSession, task: Task, branch: str) -> ColumnElement[bool]:
    """Was the finding there before the branch? In the scan of its base commit, else in the default branch."""
    base = await session.scalar(_base_scan(task)) if task.params.get("base_commit") else None
    if base is not None:
        before = aliased(FindingOccurrence)
        return select(before.id).where(before.task_id == base, before.finding_id == Finding.id).exists()
    other = aliased(FindingState)
    default = select(Project.default_branch).where(Project.id == task.project_id).scalar_subquery()
    return (
        select(other.id)
        .where(
            other.finding_id == Finding.id,
            other.branch == default,
            other.branch != branch,
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


def _select_missing(task: Task, branch: str) -> Select[*tuple[object, ...]]:
    """Select the states of what older scans of the branch had and this one doesn't report."""
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
            FindingState.project_id == task.project_id,
            FindingState.branch == branch,
            FindingState.state != "fixed",
            FindingState.seen_task_id < task.id,
            seen.kind == task.kind,
        )
    )
