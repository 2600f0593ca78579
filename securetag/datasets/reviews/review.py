"""People's reviews of examples: what they said, whether they agree, and what a build makes of it.

Reviews are kept one line each, with who and when, in ``<data>/reviews.jsonl``. An example that most
of its reviewers reject stays out of the next build; one on which they are split stays out too, since
what people can't agree on can't be taught.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from securetag.datasets.drops import Drop, DropReason, StepResult
from securetag.records import Example

Answer = Literal["accept", "reject"]
Decision = Literal["accepted", "rejected", "disputed"]
#: Example → what its reviewers decided.
Decisions = Mapping[str, Decision]
NO_DECISIONS: Decisions = {}

REASONS: dict[Decision, DropReason] = {
    "rejected": DropReason.REVIEW_REJECTED,
    "disputed": DropReason.REVIEW_DISPUTED,
}


class Review(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person's word on one example."""

    example_id: str
    answer: Answer
    #: Whoever it was, as the review tool names them.
    reviewer: str
    #: RFC 3339 in UTC.
    at: str
    #: Release that the example was shown from.
    release: str = ""
    #: Why, in the reviewer's words.
    comment: str = ""


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How far reviewers agree on the examples that several of them saw."""

    #: Examples with two reviews or more, and reviews on them.
    examples: int
    reviews: int
    #: Share of pairs of reviewers of one example who say the same; None where no example has two.
    observed: float | None
    #: Krippendorff's alpha for nominal data: 1 is full agreement, 0 is chance; None where everybody
    #: always said the same word, since chance then explains all of it.
    alpha: float | None


def latest_reviews(reviews: Iterable[Review]) -> list[Review]:
    """Each reviewer's last word on each example, ordered by example and reviewer."""
    last: dict[tuple[str, str], Review] = {}
    for review in sorted(reviews, key=lambda each: (each.at, each.answer)):
        last[review.example_id, review.reviewer] = review
    return [last[key] for key in sorted(last)]


def decide(reviews: Iterable[Review]) -> dict[str, Decision]:
    """What the reviewers of each example decided, by majority of their last words."""
    votes: dict[str, Counter[Answer]] = {}
    for review in latest_reviews(reviews):
        votes.setdefault(review.example_id, Counter())[review.answer] += 1
    decided: dict[str, Decision] = {}
    for example, counted in sorted(votes.items()):
        lead = counted["accept"] - counted["reject"]
        decided[example] = "accepted" if lead > 0 else "rejected" if lead < 0 else "disputed"
    return decided


def apply_reviews(rows: Sequence[Example], decisions: Decisions) -> StepResult:
    """Drop the rows that their reviewers rejected or disagree on."""
    reasons = {row.id: REASONS.get(decisions.get(row.id, "accepted")) for row in rows}
    kept = [row for row in rows if reasons[row.id] is None]
    return StepResult(kept, [Drop.of(row, reason) for row in rows if (reason := reasons[row.id])])


def measure_agreement(reviews: Iterable[Review]) -> Agreement:
    """Agreement over examples with several reviewers, of whatever number.

    Krippendorff's alpha, nominal: 1 - (n - 1) * (sum of disagreeing pairs within examples, each weighted
    1 / (m_u - 1)) / (disagreeing pairs over all) (Krippendorff, Content Analysis, ch. 12;
    https://repository.upenn.edu/asc_papers/43).
    """
    units: dict[str, Counter[Answer]] = {}
    for review in latest_reviews(reviews):
        units.setdefault(review.example_id, Counter())[review.answer] += 1
    shared = [unit for unit in units.values() if unit.total() >= 2]
    n = sum(unit.total() for unit in shared)
    if not shared:
        return Agreement(examples=0, reviews=0, observed=None, alpha=None)
    differing = [2 * unit["accept"] * unit["reject"] for unit in shared]
    pairs = sum(unit.total() * (unit.total() - 1) for unit in shared)
    within = sum(d / (unit.total() - 1) for d, unit in zip(differing, shared, strict=True))
    totals: Counter[Answer] = sum(shared, Counter())
    between = 2 * totals["accept"] * totals["reject"]
    return Agreement(
        examples=len(shared),
        reviews=n,
        observed=round(1 - sum(differing) / pairs, 4),
        alpha=round(1 - (n - 1) * within / between, 4) if between else None,
    )
