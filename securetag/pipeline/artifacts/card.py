"""The model card of a registered model, in the form of the Hugging Face hub.

https://huggingface.co/docs/hub/model-cards: a YAML header, with the evaluation as `model-index`, and
Markdown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import yaml

from securetag.errors import NotFoundError, SecuretagError
from securetag.evaluation.metrics import HELD_OUT, NAMES
from securetag.pipeline.evaluate import Evaluation, latest_evaluation
from securetag.records import JsonObject
from securetag.serving.registry import ModelEntry
from securetag.settings import Settings
from securetag.training.adapter import HUB_LICENCES

#: Figures that a card's header names.
HEADLINES = ("accuracy", "macro_f1")


def build_card(entry: ModelEntry, settings: Settings, manifest: JsonObject) -> str:
    """Return the card of a model: of its manifest, newest evaluation, gate, calibration and comparison."""
    try:
        evaluation = latest_evaluation(entry.model_id, settings)
    except NotFoundError:
        evaluation = None
    population = _find_population(evaluation, settings)
    recipe = manifest["recipe"] or {}
    name = recipe.get("name") or entry.base
    sections = [
        _header(entry, manifest, evaluation, name),
        f"# {name}",
        *([f"{recipe['attribution']}."] if recipe.get("attribution") else []),
        "Judges findings of static analyzers (true or false positive, with the lines that show it). It knows "
        f"the prompts that Securetag renders (profile `{recipe.get('profile', 'compact')}`), and no others.",
        "## What its figures hold for",
        population,
        "## Evaluation",
        *_describe_evaluation(evaluation),
        "## Gate",
        *_describe_gate(entry, evaluation),
        "## Calibration",
        _describe_calibration(entry),
        "## The served file against its adapter",
        _describe_parity(entry),
        "## Training",
        *_describe_training(entry, manifest),
        "## Limits",
        "A verdict is a suggestion to a person. Verdicts of code that is unlike the population above weren't "
        "measured, and a model that the demo's gate let through proves the machinery, not skill.",
        "## Terms",
        f"Weights: {entry.licence}, as the base's. Whom to name for the training rows is in the card of "
        f"release `{(entry.release or 'none')[:12]}`.",
    ]
    return "\n\n".join(sections) + "\n"


def _header(entry: ModelEntry, manifest: JsonObject, evaluation: Evaluation | None, name: str) -> str:
    license_id = HUB_LICENCES.get(entry.licence, "other")
    fields: JsonObject = {
        "base_model": manifest["base"]["hub"] or entry.base,
        "base_model_relation": "quantized" if entry.adapter is None else "finetune",
        "library_name": "gguf",
        "pipeline_tag": "text-generation",
        "language": ["en", "es"],
        "license": license_id,
        **({"license_name": entry.licence} if license_id == "other" else {}),
        "tags": ["security", "static-analysis", "triage", "gguf"],
    }
    if evaluation is not None:
        cells = evaluation.comparison.suites[HELD_OUT].metrics
        metrics = [
            {"type": metric, "name": NAMES[metric][0], "value": round(cells[metric].candidate, 4)}
            for metric in HEADLINES
            if metric in cells
        ]
        dataset = {"type": "securetag", "name": f"held-out rows of release {evaluation.release}"}
        task = {"type": "text-classification", "name": "triage of findings"}
        fields["model-index"] = [
            {"name": name, "results": [{"task": task, "dataset": dataset, "metrics": metrics}]}
        ]
    return "---\n" + yaml.safe_dump(fields, sort_keys=False, allow_unicode=True) + "---"


def _find_population(evaluation: Evaluation | None, settings: Settings) -> str:
    """Return which rows the figures are of, and where these come from."""
    if evaluation is None:
        return "It has not been evaluated: there are no figures but those of its training."
    from securetag.datasets.releases.release import find_release, read_manifest

    suite = evaluation.comparison.suites[HELD_OUT]
    labels = ", ".join(f"{count:,} {label}" for label, count in sorted(suite.labels.items()))
    rows = f"{suite.n:,} held-out rows of triage of release `{evaluation.release}` ({labels})"
    try:
        sources = read_manifest(find_release(evaluation.release, settings.releases_dir)).counts["by_source"]
    except (SecuretagError, KeyError):
        return f"{rows}. The release isn't on this machine any more, so its sources aren't named here."
    names = ", ".join(f"{source} {count:,}" for source, count in sorted(sources.items()))
    return f"{rows}. Rows of that release by source: {names}. They say nothing of code of another kind."


def _describe_evaluation(evaluation: Evaluation | None) -> list[str]:
    if evaluation is None:
        return ["None."]
    rows = [
        [
            suite,
            NAMES[metric][0],
            str(cell.n),
            f"{cell.base:.3f}",
            f"{cell.candidate:.3f}",
            f"{cell.low:.3f} to {cell.high:.3f}",
        ]
        for suite, compared in evaluation.comparison.suites.items()
        for metric, cell in compared.metrics.items()
        if metric in NAMES
    ]
    against = f"Against model `{evaluation.base_id[:12]}` on the same rows."
    fixes = evaluation.comparison.fixes.get("candidate")
    return [
        against,
        _table(["rows", "figure", "n", "base", "model", "95 %"], rows),
        f"Recommendations: {fixes.describe()}." if fixes else "Code in recommendations wasn't checked.",
    ]


def _describe_gate(entry: ModelEntry, evaluation: Evaluation | None) -> list[str]:
    if evaluation is None:
        return ["It has passed none."]
    decision = evaluation.decision
    passed = (
        f"It has passed the gate `{entry.gate_pass.gate}`." if entry.gate_pass else "It is not published."
    )
    verdict = "passed" if decision.passed else "rejected"
    return [
        f"{passed} Its newest evaluation, by `{decision.gate}`: {verdict}.",
        "\n".join(f"- {reason}" for reason in decision.reasons),
    ]


def _describe_calibration(entry: ModelEntry) -> str:
    calibration = entry.calibration
    if calibration is None:
        return "None: nothing is dismissed by its word."
    bound = calibration.bound
    threshold = (
        "no probability is enough to dismiss a finding"
        if calibration.threshold is None
        else f"a finding is dismissed from a probability of {calibration.threshold:.3f} on"
    )
    return (
        f"`{calibration.id[:12]}` ({calibration.method}, {calibration.rows:,} rows): {threshold}. Of true "
        f"positives, {bound.lost} of {bound.of} were lost, at most {bound.upper:.1%} (one-sided 95 %), on "
        f"{bound.population}."
    )


def _describe_parity(entry: ModelEntry) -> str:
    parity = entry.parity
    if parity is None:
        return "Not compared yet: publishing compares them."
    return (
        f"The same {parity.rows:,} held-out rows of release `{parity.release}` through the adapter on its "
        f"base, the merged model and this file ({entry.quantisation}): {parity.flips_merged} verdicts of the "
        f"merged model and {parity.flips_served} of the file ({parity.flips_served / parity.rows:.1%}) are "
        f"not the adapter's. The largest shift of the probability of a false positive is "
        f"{parity.shift_merged:.4f} by merging and {parity.shift_served:.4f} in all; {parity.unscored} rows "
        "have no score."
    )


def _describe_training(entry: ModelEntry, manifest: JsonObject) -> list[str]:
    run, recipe = manifest["run"], manifest["recipe"]
    if recipe is None:
        return ["None here: these are the base's weights." if entry.adapter is None else "Its run is gone."]
    hardware, cost = manifest["hardware"] or {}, manifest["cost"]
    machine = hardware.get("gpu") or hardware.get("cpu") or "not recorded"
    cells = {
        "release": f"`{manifest['release']['digest']}`",
        "rows by task": _counts(manifest["release"]["by_task"]),
        "rows by label": _counts(manifest["release"]["by_label"]),
        "steps, epochs": f"{run['steps']}, {run['epochs']}",
        "objective": recipe["objective"],
        "rank, alpha": f"{recipe['lora']['r']}, {recipe['lora']['alpha']}",
        "learning rate, batch": f"{recipe['learning_rate']:g}, {recipe['batch']}",
        "AUC on validation rows": _number(run["validation_auc"]),
        "machine": f"{max(1, hardware.get('gpus') or 1)} x {machine}",
        "seconds": _number(run["wall_s"]),
        "cost": f"{cost['usd']:.2f} USD ({cost['of']})" if cost else "none: it was not rented",
        "versions": ", ".join(f"{name} {version}" for name, version in (manifest["versions"] or {}).items()),
    }
    return [_table(["", ""], [[name, str(value)] for name, value in cells.items()])]


def _counts(counts: Mapping[str, int] | None) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted((counts or {}).items())) or "not recorded"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:g}"


def _table(columns: Iterable[str], rows: Iterable[list[str]]) -> str:
    names = list(columns)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
