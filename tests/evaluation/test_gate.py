"""Both branches of both gates, driven by constructed predictors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from securetag.errors import GateError, ModelUnavailableError, SettingsError
from securetag.evaluation import gate, suites
from securetag.evaluation.compare import Comparison, compare
from securetag.records import Example, JsonObject, Message
from securetag.triage import Completion, Predictor

HEAD = "name: x\nmin_examples: 1\nmin_per_label: 1\n"


@pytest.fixture(scope="module")
def demo() -> gate.GateSpec:
    return gate.load(gate.find_gate("demo"))


@pytest.fixture(scope="module")
def production() -> gate.GateSpec:
    return gate.load(gate.find_gate("production"))


def against(base: Predictor, candidate: Predictor, examples: list[Example], **kind: bool) -> Comparison:
    return compare(suites.run_suite(base, examples, **kind), suites.run_suite(candidate, examples, **kind))


def test_a_model_that_learned_passes_the_demo_gate(
    demo: gate.GateSpec, examples: list[Example], constant: Predictor, perfect: Predictor
) -> None:
    comparison = against(constant, perfect, examples)
    decision = gate.decide(comparison, demo)
    assert decision.passed
    decision.require()
    assert decision.reasons[0] == (
        "held_out: JSON validity without a schema: candidate 1.000 [0.969, 1.000], base 0.000 (n=120): "
        "the lower bound 0.969 lies above the base's figure 0.000."
    )
    assert len(decision.reasons) == len(demo.require)
    report = gate.report(comparison, decision)
    assert report["gate"]["passed"] is True
    assert report["held_out"]["accuracy"]["candidate"] == 1.0


def test_a_model_that_learned_nothing_is_rejected(
    demo: gate.GateSpec, examples: list[Example], constant: Predictor
) -> None:
    decision = gate.decide(against(constant, constant, examples), demo)
    assert not decision.passed
    assert [check.metric for check in decision.checks if not check.passed] == ["json_validity"]
    with pytest.raises(GateError, match="does not lie above the base's figure"):
        decision.require()


def test_a_well_formed_model_that_dismisses_everything_is_rejected(
    demo: gate.GateSpec, examples: list[Example], constant: Predictor, dismissive: Predictor
) -> None:
    decision = gate.decide(against(constant, dismissive, examples), demo)
    assert not decision.passed
    assert [check.metric for check in decision.checks if not check.passed] == ["true_positive_recall"]
    assert "significantly worse" in decision.reasons[0]


def test_reasons_are_told_in_spanish(
    demo: gate.GateSpec, examples: list[Example], constant: Predictor, dismissive: Predictor
) -> None:
    comparison = against(constant, dismissive, examples)
    decision = gate.decide(comparison, demo, lang="es")
    assert "exhaustividad de verdaderos positivos" in decision.reasons[0]
    assert "significativamente peor" in decision.reasons[0]
    assert decision.as_json()["reasons_es"] == decision.reasons
    assert "significantly worse" in decision.as_json()["reasons"][0]


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
    demo: gate.GateSpec, examples: list[Example], constant: Predictor, perfect: Predictor
) -> None:
    skewed = [e for e in examples if e.label == "true_positive"]
    skewed += [e for e in examples if e.label == "false_positive"][:5]
    decision = gate.decide(against(constant, perfect, skewed), demo)
    assert decision.reasons == [
        "held_out: 60 true and 5 false positives are too few to decide: the gate asks for 25 of each."
    ]


def test_a_base_that_was_not_heard_makes_nobody_look_good(
    demo: gate.GateSpec, examples: list[Example], broken: Predictor, perfect: Predictor
) -> None:
    """Without this check the candidate would win against a runtime that had crashed."""
    decision = gate.decide(against(broken, perfect, examples), demo)
    assert not decision.passed
    assert "The base gave no answer at all on 120 of 120 examples" in decision.reasons[0]
    other = gate.decide(against(perfect, broken, examples), demo, lang="es")
    assert "El candidato no respondió en 120 de 120" in other.reasons[0]


def test_a_rare_hiccup_is_tolerated(
    demo: gate.GateSpec, examples: list[Example], constant: Predictor, perfect: Predictor
) -> None:
    first = examples[0].messages[1].content

    def hiccup(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        if messages[1].content == first:
            raise ModelUnavailableError("a slot was busy")
        return perfect(messages, schema, limit)

    assert gate.decide(against(constant, hiccup, examples), demo).passed


def test_an_unmeasured_metric_is_a_rejection(
    demo: gate.GateSpec, examples: list[Example], constant: Predictor, perfect: Predictor
) -> None:
    decision = gate.decide(against(constant, perfect, examples, free=False), demo)
    assert not decision.passed
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


def test_production_passes_perfection_alone(
    production: gate.GateSpec, examples: list[Example], perfect: Predictor, noisy: Predictor
) -> None:
    eased = _eased(production)
    # Of 120 perfect answers the interval's lower end is .969, below the floor of .98: still too few.
    strict = gate.decide(against(noisy, perfect, examples), eased)
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
    assert gate.decide(against(noisy, perfect, examples), easier).passed
    assert not gate.decide(against(perfect, noisy, examples), easier).passed


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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: x", "missing required field"),
        ("[1, 2", "expected"),
        ("name: x\nmin_examples: 0\nmin_per_label: 1\nrequire: []", ">= 1"),
        (HEAD + "require: []", "length >= 1"),
        (HEAD + "required: []", "unknown field"),
        (HEAD + "require: [{metric: f2, rule: significantly_better}]", "is none of"),
        (HEAD + "require: [{metric: accuracy, rule: hope}]", "Invalid enum"),
        (HEAD + "require: [{metric: accuracy, rule: lower_bound_at_least}]", "needs a value"),
        (HEAD + "require: [{metric: accuracy, rule: significantly_better, value: 0.5}]", "takes no value"),
        (HEAD + "require: [{metric: json_validity, rule: lower_bound_above_majority}]", "no majority"),
    ],
    ids=[
        "missing field",
        "not YAML",
        "no example",
        "no requirement",
        "unknown field",
        "unknown metric",
        "unknown rule",
        "missing value",
        "needless value",
        "no majority",
    ],
)
def test_a_gate_that_is_mistyped_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=reason) as caught:
        gate.load(path)
    assert "demo.yaml" in caught.value.hint
    assert gate.find_gate(str(path)) == path
    with pytest.raises(SettingsError):
        gate.load(tmp_path / "absent.yaml")


def test_a_gate_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no gate prodution") as caught:
        gate.find_gate("prodution")
    assert "demo, production" in caught.value.hint
    with pytest.raises(SettingsError, match="there is no gate"):
        gate.find_gate(str(tmp_path))
