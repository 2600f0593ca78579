"""What a tenant's findings come to: how many over time, how old, and what the model's verdicts were worth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import ColumnElement, Date, cast, func, literal, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from securetag.api.findings.lineage import find_published_model
from securetag.db.branch_states import DEFAULT_BRANCH, is_stale_in_default_branch
from securetag.db.feedback import standing_feedback
from securetag.db.models import Finding, FindingState, Project, PublishedModel, TriageVerdict
from securetag.records import SEVERITIES
from securetag.system.intervals import Interval, wilson

#: Points of a series over time at most.
MAX_POINTS = 60
#: Days whose verdicts the figures of the model in use are about.
VERDICT_DAYS = 30


@dataclass(frozen=True, slots=True)
class Series:
    """Findings in the code at the end of each of some days."""

    days: list[date]
    #: Severity, the gravest first → findings on each day.
    by_severity: dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class OpenAge:
    """Findings of one severity that are in the code now, and how long they have been known."""

    severity: str
    count: int
    median_days: float
    max_days: float


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some findings, with its 95 % interval."""

    hits: int
    n: int
    interval: Interval

    @classmethod
    def of(cls, hits: int, n: int) -> Share:
        return cls(hits, n, wilson(hits, n))


@dataclass(frozen=True, slots=True)
class Worth:
    """What people say of a model's verdicts. `needs_review` keeps a finding and removes none."""

    model_id: str
    alias: str
    #: The person had not seen the model's verdict.
    is_blind: bool
    vulnerabilities_kept: Share
    false_alarms_removed: Share


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """The model that gave the newest verdict."""

    model_id: str
    alias: str
    gate: str
    prompt_version: str
    last_at: datetime
    #: What publishing has recorded of it; None for a model that was never published here.
    publication: PublishedModel | None
    #: Decision → its verdicts of the last `VERDICT_DAYS` days.
    decisions: dict[str, int]
    median_ms: float


def _branch() -> ColumnElement[str]:
    return func.coalesce(Project.default_branch, literal(DEFAULT_BRANCH))


async def count_over_time(session: AsyncSession, today: date | None = None) -> Series | None:
    """Return the findings in each project's default branch, day by day; None where there is none.

    A finding counts from the day on which it was first seen to the day on which a scan saw it fixed. One that
    was fixed and came back counts all along: only the newest state is stored.
    """
    changes: dict[date, dict[str, int]] = {}
    for moment, step in ((Finding.first_seen_at, 1), (FindingState.since, -1)):
        day = cast(func.timezone("UTC", moment), Date)
        query = (
            select(day, Finding.severity, func.count())
            .join(Project, Project.id == Finding.project_id)
            .join(FindingState, (FindingState.finding_id == Finding.id) & (FindingState.branch == _branch()))
            .group_by(day, Finding.severity)
        )
        if step < 0:
            query = query.where(FindingState.state == "fixed")
        for when, severity, number in (await session.execute(query)).all():
            of_day = changes.setdefault(when, {})
            of_day[severity] = of_day.get(severity, 0) + step * number
    return add_up(changes, today or datetime.now(UTC).date()) if changes else None


def add_up(changes: dict[date, dict[str, int]], today: date) -> Series:
    """Return the sums of daily changes on at most `MAX_POINTS` days, evenly apart, the last one today."""
    today = max(today, *changes)
    step = -(-((today - min(changes)).days + 1) // (MAX_POINTS - 1))
    count = min(MAX_POINTS, (today - min(changes)).days // step + 2)
    days = [today - timedelta(days=step * i) for i in reversed(range(count))]
    return Series(
        days,
        {
            severity: [
                sum(change.get(severity, 0) for day, change in changes.items() if day <= shown)
                for shown in days
            ]
            for severity in reversed(SEVERITIES)
        },
    )


async def measure_open_age(session: AsyncSession) -> list[OpenAge]:
    """Return how long the findings in each project's default branch have been known, the gravest first."""
    age = func.extract("epoch", func.now() - Finding.first_seen_at) / 86_400
    query = (
        select(
            Finding.severity,
            func.count(),
            func.percentile_cont(0.5).within_group(age),
            func.max(age),
        )
        .join(Project, Project.id == Finding.project_id)
        .join(FindingState, (FindingState.finding_id == Finding.id) & (FindingState.branch == _branch()))
        .where(FindingState.state != "fixed")
        .group_by(Finding.severity)
    )
    rows = [OpenAge(row[0], row[1], float(row[2]), float(row[3])) for row in await session.execute(query)]
    return sorted(rows, key=lambda row: -SEVERITIES.index(row.severity))


async def measure_worth(session: AsyncSession) -> list[Worth]:
    """Return what people's verdicts say of each model's, the model that people judged last first.

    Over findings that a person has judged true or false, of the code as it is, with the model's newest
    verdict on the code that the person has looked at. Decisions on many findings at once are left out: they
    are one vote.
    """
    feedback = standing_feedback()
    verdict = aliased(
        TriageVerdict,
        select(TriageVerdict)
        .where(TriageVerdict.occurrence_id == feedback.occurrence_id)
        .order_by(TriageVerdict.id.desc())
        .limit(1)
        .lateral("verdict"),
    )
    query = (
        select(
            verdict.model_id,
            func.max(verdict.alias),
            feedback.mode,
            feedback.verdict,
            func.count(),
            func.count().filter(verdict.decision == "false_positive"),
            func.max(feedback.created_at),
        )
        .select_from(Finding)
        .join(feedback, true())
        .join(verdict, true())
        .where(
            feedback.source == "person",
            # Nobody has looked at each finding of a bulk decision.
            feedback.mode != "bulk",
            feedback.verdict != "needs_review",
            verdict.model_id != "",
            ~is_stale_in_default_branch(),
        )
        .group_by(verdict.model_id, feedback.mode, feedback.verdict)
    )
    rows = (await session.execute(query)).all()
    groups: dict[tuple[str, bool], dict[str, tuple[int, int]]] = {}
    aliases: dict[str, str] = {}
    newest: dict[str, datetime] = {}
    for model_id, alias, mode, judged, number, dismissed, last_at in rows:
        groups.setdefault((model_id, mode == "blind"), {})[judged] = (number, dismissed)
        aliases[model_id] = max(aliases.get(model_id, ""), alias)
        newest[model_id] = max(newest.get(model_id, last_at), last_at)
    return [
        _worth(model_id, aliases[model_id], is_blind, counts)
        for (model_id, is_blind), counts in sorted(
            groups.items(), key=lambda item: (newest[item[0][0]], item[0][1]), reverse=True
        )
    ]


def _worth(model_id: str, alias: str, is_blind: bool, counts: dict[str, tuple[int, int]]) -> Worth:
    vulnerabilities, wrongly_removed = counts.get("true_positive", (0, 0))
    false_alarms, removed = counts.get("false_positive", (0, 0))
    kept = vulnerabilities - wrongly_removed
    return Worth(model_id, alias, is_blind, Share.of(kept, vulnerabilities), Share.of(removed, false_alarms))


async def find_model_in_use(session: AsyncSession) -> ModelInUse | None:
    """Return the model that gave the newest verdict; None where no model has given any."""
    newest: TriageVerdict | None = await session.scalar(
        select(TriageVerdict).where(TriageVerdict.model_id != "").order_by(TriageVerdict.id.desc()).limit(1)
    )
    if newest is None:
        return None
    since = func.now() - timedelta(days=VERDICT_DAYS)
    decisions = await session.execute(
        select(TriageVerdict.decision, func.count())
        .where(TriageVerdict.model_id == newest.model_id, TriageVerdict.created_at > since)
        .group_by(TriageVerdict.decision)
    )
    median_ms = await session.scalar(
        select(func.percentile_cont(0.5).within_group(TriageVerdict.duration_ms)).where(
            TriageVerdict.model_id == newest.model_id, TriageVerdict.created_at > since
        )
    )
    return ModelInUse(
        newest.model_id,
        newest.alias,
        newest.gate,
        newest.prompt_version,
        newest.created_at,
        await find_published_model(session, newest.model_id),
        {row[0]: row[1] for row in decisions},
        float(median_ms or 0),
    )


async def count_learnable(session: AsyncSession) -> int:
    """Return the findings whose verdict by a person a release may learn from, once consent is granted."""
    feedback = standing_feedback()
    query = (
        select(func.count())
        .select_from(Finding)
        .join(feedback, true())
        .where(feedback.source == "person", feedback.verdict != "needs_review")
    )
    return int(await session.scalar(query) or 0)
