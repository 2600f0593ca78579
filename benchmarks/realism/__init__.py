"""How real synthetic triage code is, and what is learned on it scores on real findings.

Real code are the packages of the development set (`benchmarks/real/development.py`), fetched from their
index; labels are those that people gave. `model_test` isn't touched: it is for the last measurement. Word
counts are learned on a small synthetic release. Models that BENCH_MODELS names (separated by
commas; GGUF files, registered models or names of the endpoint) are asked about the same findings.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.real.corpus import Role
from benchmarks.real.development import copy_labeled, read_development, read_judged
from benchmarks.real.labels import read_findings
from benchmarks.realism.contenders import build_synthetic_release, list_models
from securetag.datasets.realism import MEASURES, Transfer
from securetag.pipeline.realism import measure_realism
from securetag.settings import get_settings

#: Bars of the area under the curve: of word counts that were learned on the release, and of a model.
MIN_AUC, MIN_MODEL_AUC = 0.5, 0.65


def measure() -> Iterator[Figure]:
    """Yield the figures of a small synthetic release beside the development set."""
    yield _compare_labels()
    findings = read_development()
    models = list_models()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labels = copy_labeled(findings, folder / "real")
        settings = get_settings()
        release = build_synthetic_release(folder, settings)
        report = measure_realism(release, folder / "real", labels, models=models, settings=settings)
    realism = report.realism
    for measure_name, words in MEASURES.items():
        yield Figure(
            figure=f"{words}, median",
            value=realism.release_spread[measure_name].p50,
            unit="",
            peer=f"real: {realism.real_spread[measure_name].p50:g}",
        )
    yield Figure(figure="release or real by word counts", value=realism.separability, unit="AUC")
    if report.transfer is not None:
        yield from _list_transfer("word counts", report.transfer, MIN_AUC)
    for model, scored in report.models.items():
        yield from _list_transfer(f"model {Path(model).name}", scored.transfer, MIN_MODEL_AUC)
        yield Figure(figure=f"model {Path(model).name}: unanswered", value=scored.unanswered, unit="findings")


def _list_transfer(name: str, transfer: Transfer, min_auc: float) -> Iterator[Figure]:
    yield Figure(
        figure=f"{name} on real findings",
        value=transfer.auc,
        unit="AUC",
        peer=f"{transfer.low:.2f} to {transfer.high:.2f}, {transfer.true_positives} true and "
        f"{transfer.false_positives} false positives",
        bar=f"≥ {min_auc}",
        ok=transfer.auc >= min_auc,
    )
    for lost, share in transfer.removed.items():
        yield Figure(figure=f"{name}: false positives removed, {lost} lost", value=share, unit="share")


def _compare_labels() -> Figure:
    """Return how many labels by rule a person contradicts."""
    by_rule = {
        (row.ecosystem, row.package, row.version, row.file, row.line, row.cwe): row.label
        for row in read_findings(roles=[Role.MODEL_DEV])
    }
    judged = [row for row in read_judged() if row.place in by_rule]
    wrong = sum(by_rule[row.place] != row.label for row in judged)
    return Figure(
        figure="labels by rule that a person contradicts", value=wrong, unit=f"of {len(judged)} judged"
    )
