"""Agreement, anchoring, contradiction and the tenant limit, on constructed verdicts with true labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from securetag.datasets.drops import DropReason
from securetag.datasets.feedback import agreement, reviewed_rows
from securetag.datasets.triage_rows import PromptStyle
from securetag.records import Decision, Example, HarvestedVerdict, Label, Origin, Task

MakeVerdict = Callable[..., HarvestedVerdict]
WORDS: tuple[Label, Label] = ("true_positive", "false_positive")


@pytest.fixture
def judged(verdict: MakeVerdict) -> MakeVerdict:
    """A verdict on finding number `n`: one scrubbed finding, with a record id by number."""
    pattern = verdict()

    def make(
        n: int, label: Label, *, tenant: str = "t", reviewer: str = "Ada", **changes: object
    ) -> HarvestedVerdict:
        record = msgspec.structs.replace(pattern.record, id=f"{n:064d}")
        code = f"def f{n}(q):\n    return db.execute(q, {n})\n"
        return msgspec.structs.replace(
            pattern,
            record=record,
            label=label,
            reviewer=f"{tenant}/{reviewer}",
            finding=msgspec.structs.replace(pattern.finding, snippet=code),
            origin=Origin(finding_id=f"{tenant}-{n}", tenant_id=tenant, consent_id=f"c-{tenant}"),
            **changes,
        )

    return make


def test_kappa_is_scikit_learns_weighed_by_overlap(judged: MakeVerdict) -> None:
    ada: list[Label] = [WORDS[0]] * 6 + [WORDS[1]] * 4
    bo: list[Label] = [WORDS[0]] * 5 + [WORDS[1]] * 5
    cy: list[Label] = [WORDS[0], WORDS[1], WORDS[0], WORDS[1]]
    verdicts = [judged(n, word, reviewer="Ada") for n, word in enumerate(ada)]
    verdicts += [judged(n, word, reviewer="Bo") for n, word in enumerate(bo)]
    verdicts += [judged(100 + n, word, reviewer="Bo") for n, word in enumerate(cy)]
    verdicts += [judged(100 + n, word, reviewer="Cy") for n, word in enumerate(reversed(cy))]
    verdicts += [judged(n, WORDS[1], reviewer="script", scripted=True) for n in range(10)]
    result = agreement.measure_agreement(verdicts)
    assert (result.findings, result.pairs, result.shared, result.observed) == (14, 2, 14, round(9 / 14, 4))
    expected = (10 * cohen_kappa_score(ada, bo) + 4 * -1.0) / 14
    assert result.kappa == pytest.approx(expected, abs=1e-4)


def test_a_bulk_decision_is_one_vote_and_no_part_of_kappa(judged: MakeVerdict) -> None:
    tp = Decision.TRUE_POSITIVE
    bulk = [judged(n, WORDS[1], reviewer="Ada", bulk="b", model_decision=tp) for n in range(10)]
    single = [judged(n, WORDS[n % 2], reviewer="Bo", model_decision=tp) for n in range(4, 14)]
    assert agreement.measure_agreement([*bulk, *single]) == agreement.measure_agreement(single)
    assert agreement.measure_anchoring([*bulk, *single]) == agreement.measure_anchoring(single)
    results = [
        reviewed_rows.make_reviewed_rows(verdicts, PromptStyle("compact", "en"))
        for verdicts in ([*bulk, *single], [*single, *bulk[::-1]])
    ]
    for rows, drops in results:
        # Number 0 has the vote; what Bo says of 4 to 13 isn't contradicted by the other nine.
        assert sorted(row.origins[0].finding_id or "" for row in rows) == sorted(
            f"t-{n}" for n in (0, *range(4, 14))
        )
        assert [drop.reason for drop in drops] == [DropReason.VERDICT_BULK] * 9
    assert results[0].rows == results[1].rows


def test_kappa_is_not_measurable_without_overlap_or_with_one_label(judged: MakeVerdict) -> None:
    without_overlap = [judged(n, WORDS[n % 2], reviewer="AdaBo"[n % 2 :]) for n in range(4)]
    assert agreement.measure_agreement(without_overlap) == agreement.Agreement(
        findings=0, pairs=0, shared=0, observed=None, kappa=None
    )
    same = [judged(n, WORDS[0], reviewer=name) for n in range(3) for name in ("Ada", "Bo")]
    result = agreement.measure_agreement(same)
    assert (result.observed, result.kappa, result.findings) == (1.0, None, 3)


def test_anchoring_is_measured_by_label(judged: MakeVerdict) -> None:
    tp, fp = Decision.TRUE_POSITIVE, Decision.FALSE_POSITIVE
    verdicts = [
        judged(1, WORDS[0], saw_model=True, model_decision=tp),
        judged(2, WORDS[0], saw_model=True, model_decision=tp),
        judged(3, WORDS[0], saw_model=False, model_decision=fp),
        judged(4, WORDS[1], saw_model=True, model_decision=tp),
        judged(5, WORDS[1], saw_model=False, model_decision=fp),
        judged(6, WORDS[1], saw_model=True, model_decision=Decision.NEEDS_REVIEW),
        judged(7, WORDS[1], saw_model=True, model_decision=None),
        judged(8, WORDS[1], saw_model=True, model_decision=fp, scripted=True),
    ]
    positives, negatives = agreement.measure_anchoring(verdicts)
    assert (positives.saw, positives.saw_agree, positives.unseen, positives.unseen_agree) == (2, 2, 1, 0)
    assert (negatives.saw, negatives.saw_agree, negatives.unseen, negatives.unseen_agree) == (1, 0, 1, 1)


def truth(n: int) -> Label:
    return WORDS[n % 2]


def flipped(label: Label) -> Label:
    return WORDS[1 - WORDS.index(label)]


def harvest(
    judged: MakeVerdict, *, common: int, first_findings: int, tenants: int = 24, error: float = 0.2
) -> list[HarvestedVerdict]:
    """Return verdicts of tenants on 30 findings each and on `common` shared findings.

    The first tenant flips a share `error` of its labels; the others err on 3 %.
    """
    rng = Random(7)
    verdicts = []
    for tenant in range(tenants):
        wrong = error if tenant == 0 else 0.03
        unshared = [1_000 * (tenant + 1) + n for n in range(first_findings if tenant == 0 else 30)]
        for n in [*range(common), *unshared]:
            label = flipped(truth(n)) if rng.random() < wrong else truth(n)
            verdicts.append(judged(n, label, tenant=f"t{tenant}"))
    return verdicts


def included_rows(verdicts: list[HarvestedVerdict]) -> list[Example]:
    rows, _ = reviewed_rows.make_reviewed_rows(verdicts, PromptStyle("compact", "en"))
    kept, _ = agreement.cap_tenants(rows, tenants=len({agreement.tenant_id_of(v) for v in verdicts}))
    return kept


def wrong_of(rows: Iterable[Example], tenant: str) -> int:
    def number(row: Example) -> int:
        return int(row.origins[0].record_id or "")

    return sum(
        row.label != truth(number(row)) for row in rows if {o.tenant_id for o in row.origins} == {tenant}
    )


def test_a_tenant_that_flips_a_fifth_is_excluded_if_findings_are_shared(
    judged: MakeVerdict, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts = harvest(judged, common=40, first_findings=300)
    assert agreement.find_contradicting(verdicts) == {"t0"}
    left = wrong_of(included_rows(verdicts), "t0")
    with capsys.disabled():
        print(f"\nflipped fifth, 40 shared findings: {left} wrong rows of the tenant enter")
    assert left == 0


def test_a_tenant_that_flips_a_fifth_is_limited_if_nothing_is_shared(
    judged: MakeVerdict, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts = harvest(judged, common=0, first_findings=2_000)
    assert agreement.find_contradicting(verdicts) == frozenset()
    without, _ = reviewed_rows.make_reviewed_rows(verdicts, PromptStyle("compact", "en"))
    rows = included_rows(verdicts)
    before, after = wrong_of(without, "t0"), wrong_of(rows, "t0")
    with capsys.disabled():
        print(
            f"\nflipped fifth, nothing shared: {before} of {len(without)} rows wrong by it,"
            f" capped {after} of {len(rows)}"
        )
    for label in WORDS:
        of_label = [row for row in rows if row.label == label]
        tenant_rows = sum(row.origins[0].tenant_id == "t0" for row in of_label)
        assert 0 < tenant_rows <= agreement.MAX_SHARE * len(of_label)
    assert after < 0.04 * len(rows) < before


@pytest.mark.parametrize("error", [0.0, 0.03, 0.05])
def test_a_tenant_with_few_errors_is_not_excluded(judged: MakeVerdict, error: float) -> None:
    assert (
        agreement.find_contradicting(harvest(judged, common=40, first_findings=0, error=error)) == frozenset()
    )


def test_below_twenty_tenants_there_is_no_limit(judged: MakeVerdict) -> None:
    verdicts = [judged(n, truth(n), tenant=f"t{n % 3}") for n in range(30)]
    rows, _ = reviewed_rows.make_reviewed_rows(verdicts, PromptStyle("compact", "en"))
    assert agreement.cap_tenants(rows, tenants=19) == (rows, [])


counts = st.lists(st.integers(0, 40), min_size=1, max_size=30)


@given(sizes=counts, seed=st.integers(0, 99))
def test_no_tenant_exceeds_its_share(sizes: list[int], seed: int) -> None:
    rows = [reviewed(f"{t:03d}{n:03d}", [f"t{t}"]) for t, size in enumerate(sizes) for n in range(size)]
    rows += [reviewed(f"999{n:03d}", [f"t{n}", f"t{n + 1}"]) for n in range(min(5, len(sizes)))]
    kept, drops = agreement.cap_tenants(rows, tenants=agreement.MIN_TENANTS)
    assert len(kept) + len(drops) == len(rows)
    assert {drop.reason for drop in drops} <= {DropReason.TENANT_SHARE}
    for t in range(len(sizes) + 6):
        tenant_rows = sum(f"t{t}" in {o.tenant_id for o in row.origins} for row in kept)
        assert tenant_rows <= agreement.MAX_SHARE * len(kept)
    shuffled = list(rows)
    Random(seed).shuffle(shuffled)
    again, _ = agreement.cap_tenants(shuffled, tenants=agreement.MIN_TENANTS)
    assert {row.id for row in again} == {row.id for row in kept}


def reviewed(name: str, tenants: list[str]) -> Example:
    return Example(
        id=name,
        task=Task.TRIAGE,
        messages=[],
        lang="en",
        licence="MIT",
        group=name,
        label="true_positive",
        label_source="analyst",
        origin="analyst",
        origins=[Origin(tenant_id=t) for t in tenants],
        source="s",
    )
