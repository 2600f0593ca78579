"""May the candidate be published? A YAML file asks, the comparison answers, in words with figures.

A gate is a list of requirements, each one metric of one suite under one rule. Whatever can't be
decided is a rejection with its reason: too few examples, a model that wasn't heard, a metric that
wasn't measured. A gate never passes for want of evidence.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from securetag.errors import GateError, SettingsError
from securetag.evaluation.compare import Cell, Comparison, SuiteComparison
from securetag.evaluation.dismissals import Dismissals
from securetag.evaluation.metrics import HELD_OUT, NAMES, TRAINED
from securetag.records import Gate, JsonObject
from securetag.system.packaged import find_yaml, list_names

Lang = Literal["en", "es"]
Rule = Literal[
    "lower_bound_above_base",
    "lower_bound_above_majority",
    "lower_bound_at_least",
    "not_significantly_worse",
    "significantly_better",
    "not_worse_by",
    "at_most",
    "not_below_baseline",
]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

#: The gates that come with the package; a name without a path means one of them.
#: The gate of a model that people will rely on.
PRODUCTION = "production"
GATES_DIR = Path(str(resources.files("securetag"))) / "evaluation" / "gates"

#: AUC of a model that ranks nothing.
CHANCE_AUC = 0.5
#: Rules that compare with `Requirement.value`.
_NEED_VALUE = {"lower_bound_at_least", "not_worse_by", "at_most", "not_below_baseline"}
#: Rules that compare with the majority figure, which only these metrics have.
_HAVE_MAJORITY = {"accuracy", "macro_f1"}
#: Figures of `Dismissals` → English, Spanish, and the rules that fit them.
_DISMISSALS: dict[str, tuple[str, str, set[str]]] = {
    "lost": ("true positives lost", "verdaderos positivos perdidos", {"at_most"}),
    "calibration_error": ("calibration error", "error de calibración", {"at_most"}),
    "injection": ("attacks by text that succeed", "ataques con texto que prosperan", {"at_most"}),
    "auc": ("AUC of the score", "AUC de la puntuación", {"lower_bound_above_base", "not_below_baseline"}),
}
#: Share of attacks by text on vulnerable code that make the candidate dismiss it.
_INJECTION = "injection"
_ROW_RULES = set(get_args(Rule)) - {"at_most", "not_below_baseline"}


class Requirement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a gate.

    - `lower_bound_above_base`: the lower end of the candidate's interval is above the base's figure.
    - `lower_bound_above_majority`: … above what always naming the majority label reaches.
    - `lower_bound_at_least`: … at or above `value`.
    - `not_significantly_worse`: not (below the base and p < alpha).
    - `significantly_better`: above the base and p < alpha.
    - `not_worse_by`: non-inferiority; the lower end of the interval of candidate − base is at or
      above −`value`. Stricter than the absence of significance: it needs evidence of no harm.
    - `at_most`: for `lost` the one-sided 95 % Clopper-Pearson bound, for `calibration_error` and `injection`
      the figure is at most `value`; of `injection` none succeeds where the severity is critical.
    - `not_below_baseline`: neither is the upper end of the paired one-sided 95 % interval of candidate −
      `baseline` below zero, nor is the difference itself worse than −`value` (ADR 46).
    """

    metric: str
    rule: Rule
    value: Share | None = None
    #: `held_out` (all rows) or an axis.
    suite: str = HELD_OUT
    #: For `not_below_baseline`: `tfidf`, `class` or `majority`.
    baseline: str | None = None

    def __post_init__(self) -> None:
        if self.metric not in NAMES and self.metric not in _DISMISSALS:
            raise ValueError(f"metric {self.metric!r} is none of {', '.join([*NAMES, *_DISMISSALS])}")
        fitting = _DISMISSALS[self.metric][2] if self.metric in _DISMISSALS else _ROW_RULES
        if self.rule not in fitting:
            raise ValueError(f"rule {self.rule} doesn't fit metric {self.metric}")
        if (self.rule == "not_below_baseline") != (self.baseline is not None):
            raise ValueError("`baseline` belongs to rule not_below_baseline")
        if (self.rule in _NEED_VALUE) != (self.value is not None):
            raise ValueError(
                f"rule {self.rule} {'needs a' if self.rule in _NEED_VALUE else 'takes no'} value"
            )
        if self.rule == "lower_bound_above_majority" and self.metric not in _HAVE_MAJORITY:
            raise ValueError(f"{self.metric} has no majority figure")


class GateSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gate as its YAML file says it."""

    name: str
    description: str = ""
    #: Fewer held-out examples than this decide nothing.
    min_examples: Annotated[int, msgspec.Meta(ge=1)]
    #: Nor do fewer of either label.
    min_per_label: Annotated[int, msgspec.Meta(ge=1)]
    #: Nor do fewer true positives among the rows that are like the trained ones.
    min_trained_true_positives: Annotated[int, msgspec.Meta(ge=0)] = 0
    #: Nor do fewer attacks by text on code that the candidate kept, where a requirement is about these.
    min_attacks: Annotated[int, msgspec.Meta(ge=0)] = 0
    #: Share of examples on which either model may stay unheard before nothing is decided.
    max_unanswered: Share = 0.02
    #: Two-sided level of the paired tests.
    alpha: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
    require: Annotated[list[Requirement], msgspec.Meta(min_length=1)]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement's outcome, or one reason why nothing can be decided."""

    passed: bool
    #: Empty for checks of the evidence itself.
    metric: str
    suite: str
    en: str
    es: str

    def text(self, lang: Lang) -> str:
        return self.es if lang == "es" else self.en


class GateDecision(msgspec.Struct, frozen=True, kw_only=True):
    """`reasons` are the failed checks of a rejection, or all checks of a pass, in the asked language."""

    passed: bool
    reasons: list[str]
    checks: list[Check]
    gate: str

    def as_json(self) -> JsonObject:
        """Return `{passed, reasons}`, and `reasons_es` and the gate's name beside them."""
        checks = [check for check in self.checks if check.passed == self.passed]
        return {
            "passed": self.passed,
            "reasons": [check.en for check in checks],
            "reasons_es": [check.es for check in checks],
            "gate": self.gate,
        }

    def require(self) -> None:
        """Raise GateError with the reasons unless the candidate passed."""
        if not self.passed:
            raise GateError(
                f"gate {self.gate!r} rejected the model: " + " ".join(self.reasons),
                hint="The published model stays as it was. Train on more or other data and evaluate again.",
            )


def list_gates() -> list[str]:
    """Return the names of the gates that come with the package."""
    return list_names(GATES_DIR)


def find_gate(name: str) -> Path:
    """Return the YAML of a gate, given as a path or by name. Raises SettingsError where neither is one."""
    return find_yaml("gate", name, GATES_DIR)


def load(path: Path) -> GateSpec:
    """Load a gate from YAML. Raises SettingsError: no such file, not YAML, unknown field, metric or rule."""
    import yaml

    try:
        return msgspec.convert(yaml.safe_load(path.read_text("utf-8")), GateSpec)
    except (OSError, UnicodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise SettingsError(
            f"gate {path.name}: {error}", hint=f"See {GATES_DIR / 'demo.yaml'} for the form."
        ) from error


def decide(comparison: Comparison, spec: GateSpec, *, lang: Lang = "en") -> GateDecision:
    """Apply every requirement. Without enough evidence no requirement is looked at: a rejection."""
    checks = _evidence(comparison, spec)
    if not checks:
        checks = [_check(comparison, requirement, spec) for requirement in spec.require]
    passed = all(check.passed for check in checks)
    reasons = [check.text(lang) for check in checks if check.passed == passed]
    return GateDecision(passed=passed, reasons=reasons, checks=checks, gate=spec.name)


def classify(comparison: Comparison, decision: GateDecision) -> Gate:
    """Return what a decision is worth on a verdict: `production` for the package's own production gate alone.

    A gate's name can be given to any file, so its requirements are applied again; another gate that let the
    model through counts as `demo`.
    """
    if not decision.passed:
        return "none"
    is_production = (
        decision.gate == PRODUCTION and decide(comparison, load(GATES_DIR / f"{PRODUCTION}.yaml")).passed
    )
    return "production" if is_production else "demo"


def report(comparison: Comparison, decision: GateDecision) -> JsonObject:
    """Return the shape that scripts read: `{suite: {metric: {…}}, dismissals: …, fixes: …, gate: …}`."""
    return {
        **comparison.as_json(),
        "dismissals": msgspec.to_builtins(comparison.dismissals),
        "fixes": msgspec.to_builtins(comparison.fixes),
        "gate": decision.as_json(),
    }


def _evidence(comparison: Comparison, spec: GateSpec) -> list[Check]:
    """Return what forbids any decision; empty where there is enough to decide on."""
    failed: list[Check] = []

    def fail(suite: str, en: str, es: str) -> None:
        failed.append(Check(passed=False, metric="", suite=suite, en=en, es=es))

    for name in dict.fromkeys([HELD_OUT, *(requirement.suite for requirement in spec.require)]):
        suite = comparison.suites.get(name)
        if suite is None:
            fail(
                name,
                f"No held-out example belongs to {name}, so nothing can be decided on it.",
                f"Ningún ejemplo reservado pertenece a {name}, así que no se puede decidir nada.",
            )
            continue
        failed += _size(name, suite, spec)
    trained = comparison.suites.get(TRAINED)
    true = trained.labels["true_positive"] if trained else 0
    if true < spec.min_trained_true_positives:
        fail(
            TRAINED,
            f"{TRAINED}: {true} true positives are too few to bound what is lost: the gate asks for "
            f"{spec.min_trained_true_positives}.",
            f"{TRAINED}: {true} verdaderos positivos no bastan para acotar lo que se pierde: se exigen "
            f"{spec.min_trained_true_positives}.",
        )
    n = max(1, comparison.suites[HELD_OUT].n)
    for en, es, count in (
        ("base", "modelo base", comparison.base_unanswered),
        ("candidate", "candidato", comparison.candidate_unanswered),
    ):
        if count / n > spec.max_unanswered:
            fail(
                HELD_OUT,
                f"The {en} gave no answer at all on {count} of {n} examples "
                f"(at most {spec.max_unanswered:.0%} may fail), so the two can't be compared.",
                f"El {es} no respondió en {count} de {n} ejemplos "
                f"(como máximo puede fallar el {spec.max_unanswered:.0%}): no se pueden comparar.",
            )
    return failed


def _size(name: str, suite: SuiteComparison, spec: GateSpec) -> list[Check]:
    # An axis is a part of the whole, so it is held to the size per label alone.
    least = min(suite.labels.values())
    if name == HELD_OUT and suite.n < spec.min_examples:
        en = f"{suite.n} held-out examples are too few to decide: the gate asks for {spec.min_examples}."
        es = f"{suite.n} ejemplos reservados no bastan para decidir: se exigen {spec.min_examples}."
    elif least < spec.min_per_label:
        counts_en = (
            f"{suite.labels['true_positive']} true and {suite.labels['false_positive']} false positives"
        )
        counts_es = (
            f"{suite.labels['true_positive']} verdaderos y {suite.labels['false_positive']} falsos positivos"
        )
        en = f"{name}: {counts_en} are too few to decide: the gate asks for {spec.min_per_label} of each."
        es = f"{name}: {counts_es} no bastan para decidir: se exigen {spec.min_per_label} de cada clase."
    else:
        return []
    return [Check(passed=False, metric="", suite=name, en=en, es=es)]


def _check(comparison: Comparison, requirement: Requirement, spec: GateSpec) -> Check:
    if requirement.metric == _INJECTION:
        return _check_injection(comparison, requirement, spec.min_attacks)
    if requirement.metric in _DISMISSALS:
        return _check_dismissals(comparison, requirement)
    name_en, name_es = NAMES[requirement.metric]
    cell = comparison.suites[requirement.suite].metrics.get(requirement.metric)
    if cell is None:
        passed = False
        en = f"{name_en} wasn't measured, so it can't be shown."
        es = f"no se midió {name_es}, así que no se puede demostrar."
    else:
        passed, why_en, why_es = _judge(cell, requirement, spec.alpha)
        figures = f"{cell.candidate:.3f} [{cell.low:.3f}, {cell.high:.3f}], base {cell.base:.3f}"
        en = f"{name_en}: candidate {figures} (n={cell.n}): {why_en}."
        es = f"{name_es}: candidato {figures} (n={cell.n}): {why_es}."
    suite = requirement.suite
    return Check(
        passed=passed, metric=requirement.metric, suite=suite, en=f"{suite}: {en}", es=f"{suite}: {es}"
    )


def _check_injection(comparison: Comparison, requirement: Requirement, least: int) -> Check:
    """Check the attacks by text; too few of them don't pass."""
    figures, value = comparison.injection, requirement.value or 0.0
    passed, en, es = False, "they weren't tried", "no se probaron"
    if figures is not None:
        worth = comparison.dismissals.get("candidate", {}).get(TRAINED)
        removed = f"{worth.removed}/{worth.false}" if worth else "–"
        en = (
            f"{figures.flipped} of {figures.attacks} ({figures.critical_flipped} of {figures.critical} of "
            f"critical severity), where {removed} false positives are removed"
        )
        es = (
            f"{figures.flipped} de {figures.attacks} ({figures.critical_flipped} de {figures.critical} de "
            f"gravedad crítica), con {removed} falsos positivos eliminados"
        )
        if figures.attacks < least:
            en, es = f"{en}: too few, {least} are asked for", f"{es}: no bastan, se exigen {least}"
        else:
            passed = figures.share <= value and not figures.critical_flipped
            en = f"{en} ({'at most' if passed else 'more than'} {value:.1%}, none critical)"
            es = f"{es} ({'como máximo' if passed else 'más de'} {value:.1%}, ninguno crítico)"
    name_en, name_es, _ = _DISMISSALS[_INJECTION]
    return Check(
        passed=passed, metric=_INJECTION, suite=HELD_OUT, en=f"{name_en}: {en}.", es=f"{name_es}: {es}."
    )


def _check_dismissals(comparison: Comparison, requirement: Requirement) -> Check:
    """Check a figure of the candidate's dismissals; what wasn't measured doesn't pass."""
    name_en, name_es, _ = _DISMISSALS[requirement.metric]
    suite, value = requirement.suite, requirement.value or 0.0
    ours = comparison.dismissals.get("candidate", {}).get(suite)
    other_name = requirement.baseline or "base"
    other = comparison.dismissals.get(other_name, {}).get(suite)
    behind = comparison.auc_differences.get(other_name, {}).get(suite)
    figure = None if ours is None else _figure(ours, requirement.metric)
    passed, en, es = False, "it wasn't measured", "no se midió"
    if ours is not None and figure is not None and requirement.rule == "at_most":
        passed = figure <= value
        en = f"{_describe(ours, requirement.metric)} ({'at most' if passed else 'above'} {value:.1%})"
        es = f"{figure:.1%} ({'como máximo' if passed else 'por encima de'} {value:.1%})"
    elif ours is not None and figure is not None and other is not None:
        # A model without any score ranks as chance does.
        bar = CHANCE_AUC if other.auc is None else other.auc
        figures = f"{figure:.3f} [{ours.auc_low:.3f}, {ours.auc_high:.3f}], {other_name} {bar:.3f}"
        if requirement.rule == "lower_bound_above_base":
            passed = ours.auc_low is not None and ours.auc_low > bar
            en = f"{figures}: {'not below' if passed else 'below'} what it has to reach"
            es = f"{figures}: {'alcanza' if passed else 'no alcanza'} lo exigido"
        elif behind is not None:
            passed = behind.high >= 0 and behind.difference >= -value
            span = f"{behind.difference:+.4f} [{behind.low:+.4f}, {behind.high:+.4f}]"
            en = f"{figures}, difference {span}: {'not below it' if passed else 'below it'} (margin {value})"
            es = (
                f"{figures}, diferencia {span}: {'no es inferior' if passed else 'inferior'} (margen {value})"
            )
    return Check(
        passed=passed,
        metric=requirement.metric,
        suite=suite,
        en=f"{suite}: {name_en}: {en}.",
        es=f"{suite}: {name_es}: {es}.",
    )


def _figure(dismissals: Dismissals, metric: str) -> float | None:
    figures = {
        "lost": dismissals.lost_upper,
        "calibration_error": dismissals.calibration_error,
        "auc": dismissals.auc,
    }
    return figures[metric]


def _describe(dismissals: Dismissals, metric: str) -> str:
    if metric == "lost":
        upper = f"with 95 % confidence at most {dismissals.lost_upper:.1%}"
        return f"{dismissals.lost} of {dismissals.true}, {upper}"
    return f"{dismissals.calibration_error:.3f}"


def _judge(cell: Cell, requirement: Requirement, alpha: float) -> tuple[bool, str, str]:
    """Return (passed, why in English, why in Spanish)."""
    value = requirement.value or 0.0
    sure = f"p={cell.p:.3g}"
    match requirement.rule:
        case "lower_bound_above_base":
            return _above(cell.low, cell.base, "the base's figure", "la cifra del modelo base")
        case "lower_bound_above_majority":
            floor = cell.majority or 0.0
            return _above(cell.low, floor, "the majority class's figure", "la cifra de la clase mayoritaria")
        case "lower_bound_at_least":
            passed = cell.low >= value
            es = "alcanza" if passed else "no alcanza"
            return (
                passed,
                f"the lower bound {'reaches' if passed else 'does not reach'} {value:.3f}",
                f"el límite inferior {es} {value:.3f}",
            )
        case "not_significantly_worse":
            passed = not (cell.difference < 0 and cell.p < alpha)
            words = ("not significantly worse", "no significativamente peor")
            worse = ("significantly worse", "significativamente peor")
            en, es = words if passed else worse
            return passed, f"{en} ({sure})", f"{es} ({sure})"
        case "significantly_better":
            passed = cell.difference > 0 and cell.p < alpha
            words = ("significantly better", "significativamente mejor")
            worse = ("not significantly better", "no significativamente mejor")
            en, es = words if passed else worse
            return passed, f"{en} ({sure})", f"{es} ({sure})"
        case _:  # not_worse_by
            passed = cell.difference_low >= -value
            span = f"[{cell.difference_low:+.3f}, {cell.difference_high:+.3f}]"
            return (
                passed,
                f"the difference {span} {'excludes' if passed else 'allows'} a loss of more than {value:.3f}",
                f"la diferencia {span} {'excluye' if passed else 'admite'} una pérdida mayor que {value:.3f}",
            )


def _above(low: float, floor: float, en: str, es: str) -> tuple[bool, str, str]:
    passed = low > floor
    return (
        passed,
        f"the lower bound {low:.3f} {'lies' if passed else 'does not lie'} above {en} {floor:.3f}",
        f"el límite inferior {low:.3f} {'supera' if passed else 'no supera'} {es} {floor:.3f}",
    )
