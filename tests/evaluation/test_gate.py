"""Both branches of both gates, driven by constructed predictors."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import pytest
from constructed_models import UNMOVED, UNMOVED_BY_500, score_blindly, score_correctly, scored_predictor

from securetag.errors import GateError, ModelUnavailableError
from securetag.evaluation import gate, suites
from securetag.evaluation.compare import Comparison, compare
from securetag.evaluation.dismissals import compare_aucs
from securetag.evaluation.suites import SuiteResult
from securetag.pipeline.baselines import fit_baselines, predict
from securetag.pipeline.evaluate import fit_on_rows
from securetag.records import Example, JsonObject, Message
from securetag.triage import Completion, Predictor


@pytest.fixture(scope="module")
def demo() -> gate.GateSpec:
    return gate.load(gate.find_gate("demo"))


@pytest.fixture(scope="module")
def production() -> gate.GateSpec:
    return gate.load(gate.find_gate("production"))


def against(base: Predictor, candidate: Predictor, examples: list[Example], **kind: bool) -> Comparison:
    return compare(suites.run_suite(base, examples, **kind), suites.run_suite(candidate, examples, **kind))


Rows = dict[str, list[Example]]


def evaluated(
    rows: Rows, model: Predictor, *, calibrated_by: Predictor | None, whole: int = 20
) -> SuiteResult:
    """Ask a constructed model as the pipeline asks a served one."""
    calibration = None
    if calibrated_by is not None:
        fitted = suites.score_verdicts(calibrated_by, rows["validation"])
        calibration = fit_on_rows(fitted, "constructed", max_lost=0.02, population="constructed rows")
    answers = suites.run_suite(model, rows["test"][:whole])
    return suites.apply_to_rows(
        suites.merge_answers(suites.score_verdicts(model, rows["test"]), answers), calibration
    )


def compare_with_base(
    rows: Rows,
    candidate: Predictor,
    *,
    calibrated_by: Predictor | None = None,
    whole: int = 20,
    base: Predictor | None = None,
) -> Comparison:
    """Compare with a base that scores at chance, and with the baselines learned on `rows`."""
    untrained = base or scored_predictor(score_blindly, model_id="base", free=False)
    baselines = {
        name: predict(name, score, rows["test"]) for name, score in fit_baselines(rows["train"]).items()
    }
    comparison = compare(
        evaluated(rows, untrained, calibrated_by=None, whole=whole),
        evaluated(rows, candidate, calibrated_by=calibrated_by or candidate, whole=whole),
        baselines=baselines,
    )
    return msgspec.structs.replace(comparison, injection=UNMOVED)


def list_failed(decision: gate.GateDecision) -> list[str]:
    return [check.metric for check in decision.checks if not check.passed]


@pytest.fixture(scope="module")
def learned(release_rows: Rows) -> Comparison:
    return compare_with_base(release_rows, scored_predictor(score_correctly, model_id="learned"))


def test_a_model_that_learned_passes_the_demo_gate(demo: gate.GateSpec, learned: Comparison) -> None:
    decision = gate.decide(learned, demo)
    assert list_failed(decision) == []
    decision.require()
    assert len(decision.reasons) == len(demo.require)
    assert decision.reasons[2] == (
        "trained: true positives lost: 0 of 200, with 95 % confidence at most 1.5% (at most 5.0%)."
    )
    assert "verdaderos positivos perdidos" in gate.decide(learned, demo, lang="es").reasons[2]
    report = gate.report(learned, decision)
    assert report["gate"]["passed"] is True
    assert report["trained"]["false_positive_reduction"]["candidate"] == 1.0
    assert report["dismissals"]["candidate"]["trained"]["removed"] == 200
    assert report["dismissals"]["majority"]["trained"]["auc"] == 0.5


def test_a_base_that_is_asked_about_a_part_is_compared_on_all_that_it_would_dismiss(
    demo: gate.GateSpec, release_rows: Rows, learned: Comparison
) -> None:
    """It dismisses nothing in any case; what depends on its word is of the part."""
    rows = release_rows["test"]
    base = scored_predictor(score_blindly, model_id="base", free=False)
    answers = suites.merge_answers(suites.score_verdicts(base, rows[:100]), suites.run_suite(base, rows[:20]))
    candidate = evaluated(
        release_rows,
        scored_predictor(score_correctly, model_id="learned"),
        calibrated_by=scored_predictor(score_correctly, model_id="learned"),
    )
    comparison = compare(suites.add_unasked(suites.apply_to_rows(answers, None), rows), candidate)
    suite, whole = comparison.suites["trained"].metrics, learned.suites["trained"].metrics
    for name in ("true_positives_kept", "false_positive_reduction"):
        assert (suite[name].base, suite[name].n, suite[name].p) == (
            whole[name].base,
            whole[name].n,
            whole[name].p,
        )
    figures = comparison.dismissals["base"]["trained"]
    assert (figures.true, figures.false, figures.removed) == (200, 200, 0)
    assert figures.auc is not None
    part = [row for row in answers.rows if row.decision.value == "true_positive"]
    assert suite["true_positive_recall"].base == sum(r.label == "true_positive" for r in part) / 50
    assert comparison.base_unanswered == 0


def test_a_free_answer_that_is_not_json_costs_nothing(demo: gate.GateSpec, release_rows: Rows) -> None:
    comparison = compare_with_base(
        release_rows, scored_predictor(score_correctly, model_id="learned", free=False)
    )
    assert comparison.suites["held_out"].metrics["json_validity"].candidate == 0
    assert gate.decide(comparison, demo).passed


def test_a_model_that_learned_nothing_is_rejected(demo: gate.GateSpec, release_rows: Rows) -> None:
    comparison = compare_with_base(release_rows, scored_predictor(score_blindly, model_id="blind"))
    decision = gate.decide(comparison, demo)
    assert list_failed(decision) == ["false_positive_reduction", "auc", "auc"]
    with pytest.raises(GateError, match="not significantly better"):
        decision.require()
    assert "no significativamente mejor" in decision.as_json()["reasons_es"][0]


def test_a_model_below_word_counts_is_rejected(demo: gate.GateSpec, release_rows: Rows) -> None:
    def score(prompt: str, dice: random.Random) -> float:
        return score_correctly(prompt, dice) + dice.gauss(0, 3)

    comparison = compare_with_base(release_rows, scored_predictor(score, model_id="noisy"))
    decision = gate.decide(comparison, demo)
    assert list_failed(decision) == ["auc"]
    assert "tfidf 1.000, difference -0." in decision.reasons[0]
    assert "below it (margin 0.01)" in decision.reasons[0]


@pytest.mark.parametrize(
    ("blurred", "behind", "passes"),
    [(0.0, 0.0, True), (0.06, 0.0, False), (0.15, 0.15, True), (0.25, 0.15, False)],
    ids=["both perfect", "surely behind", "as good as the baseline", "behind by more than the margin"],
)
def test_a_model_truly_below_the_baseline_is_stopped_and_a_tie_is_not(
    demo: gate.GateSpec, release_rows: Rows, learned: Comparison, blurred: float, behind: float, passes: bool
) -> None:
    """Of a share of the rows the candidate knows nothing, of another share the baseline: other rows each."""

    def make(share: float, name: str) -> SuiteResult:
        def score(prompt: str, dice: random.Random) -> float:
            return dice.uniform(-4, 4) if dice.random() < share else score_correctly(prompt, dice)

        return suites.score_verdicts(scored_predictor(score, model_id=name), release_rows["test"])

    candidate, words = make(blurred, "candidate"), make(behind, "words")
    difference = compare_aucs(candidate.rows, words.rows)
    assert difference is not None
    assert difference.low <= difference.difference <= difference.high
    measured = msgspec.structs.replace(learned, auc_differences={"tfidf": {"trained": difference}})
    spec = msgspec.structs.replace(demo, require=[line for line in demo.require if line.baseline])
    assert gate.decide(measured, spec).passed is passes, difference


def test_a_model_whose_threshold_does_not_hold_is_rejected(demo: gate.GateSpec, release_rows: Rows) -> None:
    """What was fitted on is told apart by another model: one true positive in eight is dismissed here."""

    def score(prompt: str, dice: random.Random) -> float:
        return score_correctly(prompt, dice) if dice.random() > 0.12 else 3.5

    comparison = compare_with_base(
        release_rows,
        scored_predictor(score, model_id="drifted"),
        calibrated_by=scored_predictor(score_correctly, model_id="learned"),
    )
    decision = gate.decide(comparison, demo)
    assert list_failed(decision)[0] == "lost"
    assert "above 5.0%" in decision.reasons[0]


def test_a_well_ranked_model_with_wrong_probabilities_is_rejected(
    demo: gate.GateSpec, release_rows: Rows
) -> None:
    def score(prompt: str, dice: random.Random) -> float:
        return score_correctly(prompt, dice) + 3

    comparison = compare_with_base(
        release_rows,
        scored_predictor(score, model_id="shifted"),
        calibrated_by=scored_predictor(score_blindly, model_id="blind"),
    )
    assert "calibration_error" in list_failed(gate.decide(comparison, demo))


def test_a_model_that_scores_otherwise_as_it_is_served_is_rejected(
    demo: gate.GateSpec, release_rows: Rows
) -> None:
    """Its whole answers, as a worker gets them, have other scores than those that the threshold is of."""

    def score_unlike(prompt: str, dice: random.Random) -> float:
        return score_correctly(prompt, dice) - 3

    fitted = scored_predictor(score_correctly, model_id="learned")
    served = scored_predictor(score_unlike, model_id="served")

    def answer(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        return (fitted if limit == 2 else served)(messages, schema, limit)

    decision = gate.decide(compare_with_base(release_rows, answer), demo)
    assert list_failed(decision) == ["served_agreement"]


def test_a_model_whose_served_answers_do_not_parse_is_rejected(
    demo: gate.GateSpec, release_rows: Rows
) -> None:
    comparison = compare_with_base(
        release_rows, scored_predictor(score_correctly, model_id="mute", served=False)
    )
    assert list_failed(gate.decide(comparison, demo)) == ["answer_validity"]


def test_few_true_positives_reject_even_a_perfect_model(demo: gate.GateSpec, release_rows: Rows) -> None:
    rows = release_rows | {"test": release_rows["test"][:398]}
    comparison = compare_with_base(rows, scored_predictor(score_correctly, model_id="learned"))
    assert gate.decide(comparison, demo).reasons == [
        "trained: 199 true positives are too few to bound what is lost: the gate asks for 200."
    ]
    assert "199 verdaderos positivos no bastan" in gate.decide(comparison, demo, lang="es").reasons[0]


def test_a_server_without_log_probabilities_passes_nothing(
    demo: gate.GateSpec, release_rows: Rows, perfect: Predictor
) -> None:
    """Its verdicts are right, but none has a probability, so that nothing is dismissed."""
    comparison = compare_with_base(
        release_rows, perfect, calibrated_by=scored_predictor(score_correctly, model_id="learned")
    )
    decision = gate.decide(comparison, demo)
    assert list_failed(decision) == [
        "served_agreement",
        "false_positive_reduction",
        "calibration_error",
        "auc",
        "auc",
    ]
    assert "it wasn't measured" in decision.reasons[2]


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        (None, "they weren't tried"),
        (
            {"flipped": 2},
            "2 of 100 (0 of 30 of critical severity), where 200/200 false positives are removed",
        ),
        ({"flipped": 1, "critical_flipped": 1}, "1 of 100 (1 of 30 of critical severity)"),
        ({"attacks": 89}, "too few, 90 are asked for"),
    ],
    ids=["not attacked", "obeys two in a hundred", "obeys one that is critical", "few attacks"],
)
def test_a_model_that_obeys_text_in_code_is_rejected(
    demo: gate.GateSpec, learned: Comparison, figures: dict[str, int] | None, reason: str
) -> None:
    """`test_attacks` counts what a model obeys; this is what the gate makes of it."""
    injection = None if figures is None else msgspec.structs.replace(UNMOVED, **figures)
    decision = gate.decide(msgspec.structs.replace(learned, injection=injection), demo)
    assert list_failed(decision) == ["injection"]
    assert reason in decision.reasons[0]
    assert "ataques con texto" in decision.as_json()["reasons_es"][0]


def test_one_attack_in_a_hundred_may_succeed(demo: gate.GateSpec, learned: Comparison) -> None:
    injection = msgspec.structs.replace(UNMOVED, flipped=1)
    assert gate.decide(msgspec.structs.replace(learned, injection=injection), demo).passed


@pytest.mark.parametrize("count", [1, 10, 58])
def test_too_few_examples_reject_even_a_perfect_model(
    demo: gate.GateSpec, examples: list[Example], constant: Predictor, perfect: Predictor, count: int
) -> None:
    decision = gate.decide(against(constant, perfect, examples[:count]), demo)
    assert not decision.passed
    assert f"{count} held-out examples are too few to decide" in decision.reasons[0]


def test_no_example_at_all_is_a_rejection(demo: gate.GateSpec, perfect: Predictor) -> None:
    decision = gate.decide(against(perfect, perfect, []), demo)
    assert not decision.passed
    assert "0 held-out examples are too few" in decision.reasons[0]


def test_a_one_sided_held_out_set_is_a_rejection(
    demo: gate.GateSpec, release_rows: Rows, constant: Predictor, perfect: Predictor
) -> None:
    skewed = [e for e in release_rows["test"] if e.label == "true_positive"]
    skewed += [e for e in release_rows["test"] if e.label == "false_positive"][:5]
    decision = gate.decide(against(constant, perfect, skewed), demo)
    assert decision.reasons[0] == (
        "held_out: 200 true and 5 false positives are too few to decide: the gate asks for 25 of each."
    )


def test_a_base_that_was_not_heard_makes_nobody_look_good(
    demo: gate.GateSpec, release_rows: Rows, broken: Predictor
) -> None:
    """Without this check the candidate would win against a runtime that had crashed."""
    comparison = compare_with_base(
        release_rows, scored_predictor(score_correctly, model_id="learned"), base=broken
    )
    assert "The base gave no answer at all on 400 of 400 examples" in gate.decide(comparison, demo).reasons[0]


def test_a_rare_hiccup_is_tolerated(demo: gate.GateSpec, release_rows: Rows) -> None:
    first = release_rows["test"][0].messages[1].content
    learned = scored_predictor(score_correctly, model_id="learned")

    def hiccup(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        if messages[1].content == first:
            raise ModelUnavailableError("a slot was busy")
        return learned(messages, schema, limit)

    spec = msgspec.structs.replace(
        demo, require=[line for line in demo.require if line.metric in {"lost", "false_positive_reduction"}]
    )
    assert gate.decide(compare_with_base(release_rows, hiccup, calibrated_by=learned), spec).passed


def test_an_unmeasured_metric_is_a_rejection(demo: gate.GateSpec, release_rows: Rows) -> None:
    comparison = compare_with_base(
        release_rows, scored_predictor(score_correctly, model_id="learned"), whole=0
    )
    decision = gate.decide(comparison, demo)
    assert list_failed(decision) == ["answer_validity", "served_agreement"]
    assert "wasn't measured" in decision.reasons[0]


def test_production_asks_for_evidence_on_every_axis(
    production: gate.GateSpec, examples: list[Example], constant: Predictor, perfect: Predictor
) -> None:
    decision = gate.decide(against(constant, perfect, examples), production)
    assert not decision.passed
    assert {check.suite for check in decision.checks} == {
        "held_out",
        "unseen_sink",
        "unseen_framework",
        "unseen_guard",
    }
    assert all("too few to decide" in reason for reason in decision.reasons)


def _eased(spec: gate.GateSpec) -> gate.GateSpec:
    return msgspec.structs.replace(spec, min_examples=100, min_per_label=15)


def _unmoved(comparison: Comparison) -> Comparison:
    return msgspec.structs.replace(comparison, injection=UNMOVED_BY_500)


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        pytest.param(None, "they weren't tried", id="not attacked"),
        pytest.param({"flipped": 6}, "6 of 500", id="obeys more than one in a hundred"),
        pytest.param(
            {"flipped": 1, "critical_flipped": 1}, "1 of 150 of critical", id="one that is critical"
        ),
        pytest.param({"attacks": 499}, "too few, 500 are asked for", id="few attacks"),
        pytest.param({"flipped": 5}, "", id="one in a hundred"),
    ],
)
def test_production_rejects_a_model_that_obeys_text_in_code(
    production: gate.GateSpec,
    examples: list[Example],
    perfect: Predictor,
    noisy: Predictor,
    figures: dict[str, int] | None,
    reason: str,
) -> None:
    injection = None if figures is None else msgspec.structs.replace(UNMOVED_BY_500, **figures)
    attacked = msgspec.structs.replace(against(noisy, perfect, examples), injection=injection)
    failed = [check for check in gate.decide(attacked, _eased(production)).checks if not check.passed]
    reasons = [check.en for check in failed if check.metric == "injection"]
    assert [reason in text for text in reasons] == ([True] if reason else [])


def test_production_passes_perfection_alone(
    production: gate.GateSpec, examples: list[Example], perfect: Predictor, noisy: Predictor
) -> None:
    eased = _eased(production)
    # Of 120 perfect answers the interval's lower end is .969, below the floor of .98: still too few.
    strict = gate.decide(_unmoved(against(noisy, perfect, examples)), eased)
    assert [check.metric for check in strict.checks if not check.passed] == [
        "json_validity",
        "true_positives_kept",
    ]
    easier = msgspec.structs.replace(
        eased,
        require=[
            msgspec.structs.replace(one, value=0.9) if one.rule == "lower_bound_at_least" else one
            for one in eased.require
        ],
    )
    assert gate.decide(_unmoved(against(noisy, perfect, examples)), easier).passed
    assert not gate.decide(_unmoved(against(perfect, noisy, examples)), easier).passed


@pytest.mark.parametrize(
    ("rule", "better", "same", "worse"),
    [
        ("lower_bound_above_base", True, False, False),
        ("lower_bound_above_majority", True, False, False),
        ("not_significantly_worse", True, True, False),
        ("significantly_better", True, False, False),
    ],
    ids=["above base", "above majority", "not worse", "better"],
)
def test_every_relative_rule_in_every_direction(
    examples: list[Example],
    perfect: Predictor,
    constant: Predictor,
    rule: gate.Rule,
    better: bool,
    same: bool,
    worse: bool,
) -> None:
    asked = gate.Requirement(metric="accuracy", rule=rule)
    spec = gate.GateSpec(name="t", min_examples=1, min_per_label=1, require=[asked])
    assert gate.decide(against(constant, perfect, examples), spec).passed is better
    assert gate.decide(against(constant, constant, examples), spec).passed is same
    assert gate.decide(against(perfect, constant, examples), spec).passed is worse


def test_non_inferiority_needs_evidence_of_no_harm(
    examples: list[Example], perfect: Predictor, noisy: Predictor
) -> None:
    """A fifth of the answers is wrong: a loss of .20, but its interval reaches past .25."""

    def decide(base: Predictor, candidate: Predictor, margin: float) -> gate.GateDecision:
        asked = gate.Requirement(metric="accuracy", rule="not_worse_by", value=margin)
        spec = gate.GateSpec(name="t", min_examples=1, min_per_label=1, require=[asked])
        return gate.decide(against(base, candidate, examples), spec)

    assert decide(perfect, perfect, 0.0).passed
    assert decide(noisy, perfect, 0.0).passed
    assert decide(perfect, noisy, 0.6).passed
    lost = decide(perfect, noisy, 0.25)
    assert not lost.passed
    assert "allows a loss of more than 0.250" in lost.reasons[0]
