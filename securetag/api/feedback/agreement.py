"""How far reviewers agree, and what the blind sample says of the findings that a model dismisses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from securetag.db.branch_states import is_stale_in_default_branch
from securetag.db.feedback import is_withdrawn
from securetag.db.models import Feedback, Finding, TriageVerdict
from securetag.db.review_queue import FIRST_SHARE, is_sampled
from securetag.records import Decision
from securetag.system.intervals import Interval, wilson

DECIDED = (Decision.TRUE_POSITIVE.value, Decision.FALSE_POSITIVE.value)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of the first two people who judged a finding by itself, and neither said `needs_review`."""

    #: Findings with two such verdicts, and those on which they are equal.
    n: int
    same: int
    #: Cohen's kappa, 0 is chance; None for no finding, or where chance explains everything.
    kappa: float | None
    #: Of kappa, 95 %.
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class DismissedSample:
    """Findings of the blind sample that the model calls false positives."""

    n: int
    #: Those that a person calls true.
    true: int
    #: Of true / n, 95 %.
    interval: Interval


async def measure_agreement(session: AsyncSession) -> Agreement:
    """Compare the first two reviewers of each finding whose code is as it was judged."""
    words = _words().subquery()
    shared = select(words.c.finding_id).group_by(words.c.finding_id).having(func.count() > 1)
    rows = await session.execute(
        select(words.c.finding_id, words.c.verdict)
        .where(words.c.finding_id.in_(shared))
        .order_by(words.c.finding_id, words.c.id)
    )
    pairs: dict[UUID, list[str]] = {}
    for finding_id, verdict in rows:
        pairs.setdefault(finding_id, []).append(verdict)
    return compute_kappa((verdicts[0], verdicts[1]) for verdicts in pairs.values())


def compute_kappa(pairs: Iterable[tuple[str, str]]) -> Agreement:
    """Return Cohen's kappa of (first, second) verdicts (https://doi.org/10.1177/001316446002000104).

    Its interval is that of the observed agreement (Wilson), with chance agreement as it is: unlike the
    variance of kappa it says something where all verdicts are equal.
    """
    counts = Counter(pairs)
    n = counts.total()
    same = sum(number for (first, second), number in counts.items() if first == second)
    if n == 0:
        return Agreement(0, 0, None, None)
    chance = 0.0
    for label in DECIDED:
        by_first = sum(number for (first, _), number in counts.items() if first == label)
        by_second = sum(number for (_, second), number in counts.items() if second == label)
        chance += by_first * by_second / n**2
    if chance == 1:
        return Agreement(n, same, None, None)
    observed = wilson(same, n)
    low, kappa, high = ((share - chance) / (1 - chance) for share in (observed.low, same / n, observed.high))
    return Agreement(n, same, kappa, Interval(low, high))


async def measure_dismissed(session: AsyncSession) -> DismissedSample:
    """Count what people who hadn't seen the model's verdict say of sampled findings that it dismisses."""
    words = _words(is_blind=True).subquery()
    rows = await session.execute(
        select(words.c.finding_id, words.c.verdict)
        .join(Finding, Finding.id == words.c.finding_id)
        .join(TriageVerdict, TriageVerdict.id == words.c.verdict_id)
        .where(is_sampled("first", FIRST_SHARE), TriageVerdict.decision == Decision.FALSE_POSITIVE.value)
        .order_by(words.c.id.desc())
    )
    # The first reviewer's verdict is the last one here.
    verdicts: dict[UUID, str] = {row[0]: row[1] for row in rows}
    n, true_ones = len(verdicts), sum(verdict == DECIDED[0] for verdict in verdicts.values())
    return DismissedSample(n, true_ones, wilson(true_ones, n))


def _words(*, is_blind: bool = False) -> Select[UUID, UUID, str, UUID | None]:
    """Each reviewer's newest verdict on a finding that stands: a person's, on that finding alone."""
    conditions = [
        Feedback.source == "person",
        Feedback.mode == "blind" if is_blind else Feedback.mode != "bulk",
        Feedback.verdict.in_(DECIDED),
        ~is_withdrawn(),
        ~is_stale_in_default_branch(),
    ]
    return (
        select(Feedback.id, Feedback.finding_id, Feedback.verdict, Feedback.verdict_id)
        .join(Finding, Finding.id == Feedback.finding_id)
        .where(*conditions)
        .ext(distinct_on(Feedback.finding_id, Feedback.reviewer))
        .order_by(Feedback.finding_id, Feedback.reviewer, Feedback.id.desc())
    )
