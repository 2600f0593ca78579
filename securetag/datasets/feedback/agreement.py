"""How far harvested verdicts can be leant on: agreement, anchoring, contradiction, and a cap.

- *Agreement*: Cohen's kappa of two reviewers over the findings that both judged (Cohen 1960,
  https://doi.org/10.1177/001316446002000104), pairs weighted by those findings.
- *Anchoring*: how often reviewers say what the model said, those who saw its answer first beside those who
  didn't. The gap is what seeing it does; verdicts alone can't tell a good model from an obedient reviewer.
- *Contradiction*: a tenant whose labels differ from what most others say of the same code far more often
  than other tenants' do. None of its verdicts trains.
- *Cap*: where a lie can't be seen, it can be kept small. With 20 tenants or more none holds over 10 % of a
  label's reviewed rows. A reviewer belongs to one tenant, so that holds for reviewers as well.

A bulk decision says one thing of many findings at once: it is one vote, and no part of kappa or anchoring.

Nothing here looks at a tenant's name but to tell it from others: two databases give the same rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations

import msgspec

from securetag.datasets.drops import Drop, DropReason, StepResult
from securetag.records import Decision, Example, HarvestedVerdict, Label

#: Tenants from which on the cap holds, and the share of a label that one of them may have.
MIN_TENANTS, MAX_SHARE = 20, 0.10
#: Chance, over all tenants, that an honest one is taken for a contradicting one.
SIGNIFICANCE = 0.01
#: Findings that a tenant must share with two others or more before it is judged.
MIN_FINDINGS = 8
LABELS: tuple[Label, ...] = ("true_positive", "false_positive")


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """Of people who looked at each finding; scripted verdicts and bulk decisions are left out."""

    #: Findings that two reviewers or more judged, pairs of reviewers who share any, and judgments shared.
    findings: int
    pairs: int
    shared: int
    #: Share of them on which the two say the same; None where nobody overlaps.
    observed: float | None
    #: -1 to 1, 0 is chance; None where nobody overlaps, or all pairs only ever used one label.
    kappa: float | None


class Anchoring(msgspec.Struct, frozen=True, kw_only=True):
    """Of one label: verdicts of people who had seen the model's answer, of those who hadn't, and how many
    of either say what the model had said. Verdicts on which the model abstained are left out."""

    label: Label
    saw: int
    saw_agree: int
    unseen: int
    unseen_agree: int


def measure_agreement(harvested: Iterable[HarvestedVerdict]) -> Agreement:
    """Cohen's kappa of each pair of reviewers, averaged by the number of findings that they share."""
    from sklearn.metrics import cohen_kappa_score

    findings: dict[str, dict[str, Label]] = {}
    for verdict in harvested:
        if not verdict.scripted and not verdict.bulk:
            findings.setdefault(verdict.record.id, {})[verdict.reviewer] = verdict.label
    pairs: dict[tuple[str, str], list[tuple[Label, Label]]] = {}
    for words in findings.values():
        for first, second in combinations(sorted(words), 2):
            pairs.setdefault((first, second), []).append((words[first], words[second]))
    shared = sum(map(len, pairs.values()))
    same = sum(first == second for shared_labels in pairs.values() for first, second in shared_labels)
    weighed: list[tuple[int, float]] = []
    for shared_labels in pairs.values():
        if (
            len({label for both in shared_labels for label in both}) > 1
        ):  # one label alone: chance explains all
            ours, theirs = zip(*shared_labels, strict=True)
            weighed.append((len(shared_labels), float(cohen_kappa_score(ours, theirs))))
    total = sum(weight for weight, _ in weighed)
    return Agreement(
        findings=sum(len(words) > 1 for words in findings.values()),
        pairs=len(pairs),
        shared=shared,
        observed=round(same / shared, 4) if shared else None,
        kappa=round(sum(weight * kappa for weight, kappa in weighed) / total, 4) if total else None,
    )


def measure_anchoring(harvested: Iterable[HarvestedVerdict]) -> list[Anchoring]:
    """One entry a label, of the verdicts of people on findings of which the model had said something."""
    counts: Counter[tuple[Label, bool, bool]] = Counter()
    for verdict in harvested:
        is_individual = not verdict.scripted and not verdict.bulk
        if is_individual and verdict.model_decision not in (None, Decision.NEEDS_REVIEW):
            counts[verdict.label, verdict.saw_model, verdict.model_decision is Decision(verdict.label)] += 1
    return [
        Anchoring(
            label=label,
            saw=counts[label, True, True] + counts[label, True, False],
            saw_agree=counts[label, True, True],
            unseen=counts[label, False, True] + counts[label, False, False],
            unseen_agree=counts[label, False, True],
        )
        for label in LABELS
    ]


def split_bulk_votes(
    harvested: Sequence[HarvestedVerdict],
) -> tuple[list[HarvestedVerdict], list[HarvestedVerdict]]:
    """Return the verdicts that are votes, and those that repeat the vote of their bulk decision.

    Of a bulk decision the verdict with the smallest record id is the vote, in whatever order they came.
    """
    votes: dict[str, str] = {}
    for verdict in harvested:
        if verdict.bulk:
            votes[verdict.bulk] = min(votes.get(verdict.bulk, verdict.record.id), verdict.record.id)
    kept: list[HarvestedVerdict] = []
    repeated: list[HarvestedVerdict] = []
    for verdict in harvested:
        is_vote = not verdict.bulk or votes[verdict.bulk] == verdict.record.id
        (kept if is_vote else repeated).append(verdict)
    return kept, repeated


def tenant_id_of(verdict: HarvestedVerdict) -> str:
    """The tenant, as far as one is told from another."""
    return verdict.origin.tenant_id or ""


def find_contradicting(harvested: Iterable[HarvestedVerdict]) -> frozenset[str]:
    """Tenants that contradict the majority of the others on the same code more than chance allows.

    A tenant is held against findings that at least two other tenants judged, without a tie. Its
    contradictions are compared with the rate of all other tenants by a one-sided binomial test, corrected
    for the number of tenants.
    """
    from scipy.stats import binom

    labels: dict[str, dict[str, Counter[Label]]] = {}
    for verdict in split_bulk_votes(list(harvested))[0]:
        words = labels.setdefault(verdict.record.id, {})
        words.setdefault(tenant_id_of(verdict), Counter())[verdict.label] += 1
    judged: Counter[str] = Counter()
    against: Counter[str] = Counter()
    for words in labels.values():
        majorities = {tenant: word for tenant, counts in words.items() if (word := _majority(counts))}
        for tenant, word in majorities.items():
            others = Counter(label for other, label in majorities.items() if other != tenant)
            usual = _majority(others)
            if others.total() >= 2 and usual:
                judged[tenant] += 1
                against[tenant] += word != usual
    contradicting_tenants = set()
    for tenant, n in judged.items():
        rest, wrong = judged.total() - n, against.total() - against[tenant]
        rate = (wrong + 1) / (rest + 2)
        if n >= MIN_FINDINGS and binom.sf(against[tenant] - 1, n, rate) < SIGNIFICANCE / len(judged):
            contradicting_tenants.add(tenant)
    return frozenset(contradicting_tenants)


def _majority(counts: Counter[Label]) -> Label | None:
    ranked = counts.most_common(2)
    return None if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]) else ranked[0][0]


def cap_tenants(examples: Sequence[Example], *, tenants: int) -> StepResult:
    """Drop the reviewed rows by which a tenant would hold more than its share of a label.

    `tenants` is the number of those harvested; below 20 nothing is taken. Which rows stay is decided by
    their ids, so that a row stays or goes whatever order it came in. A label that fewer than ten tenants
    gave can't be shared out in tenths: it loses all of its reviewed rows.
    """
    if tenants < MIN_TENANTS:
        return StepResult(list(examples), [])
    kept: set[str] = set()
    reviewed = [example for example in examples if example.origin == "analyst"]
    for label in LABELS:
        kept |= _within([example for example in reviewed if example.label == label])
    left = [example for example in examples if example.origin != "analyst" or example.id in kept]
    drops = [Drop.of(row, DropReason.TENANT_SHARE) for row in reviewed if row.id not in kept]
    return StepResult(left, drops)


def _within(rows: Sequence[Example]) -> set[str]:
    """The largest choice, in the order of ids, in which no tenant is in more than SHARE of the rows."""
    ordered = sorted(rows, key=lambda row: row.id)
    kept, largest = ordered, max(_holdings(ordered).values(), default=0)
    while largest > MAX_SHARE * len(kept):
        most = int(MAX_SHARE * len(kept))
        counts: Counter[str] = Counter()
        chosen: list[Example] = []
        for row in ordered:
            holders = _holders(row)
            if all(counts[holder] < most for holder in holders):
                counts.update(holders)
                chosen.append(row)
        kept, largest = chosen, max(counts.values(), default=0)
    return {row.id for row in kept}


def _holdings(rows: Iterable[Example]) -> Counter[str]:
    return Counter(holder for row in rows for holder in _holders(row))


def _holders(row: Example) -> set[str]:
    return {origin.tenant_id or "" for origin in row.origins}
