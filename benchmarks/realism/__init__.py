"""How real synthetic triage code is, and what word counts learned on it score on real findings.

Real code are the packages of role `model_dev` in `benchmarks/real/packages.csv`, fetched from their index;
labels are `benchmarks/real/findings.csv`. `model_test` isn't touched: it is for the last measurement.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.real.corpus import Role
from benchmarks.real.fetch import fetch_package
from benchmarks.real.labels import LabeledFinding, read_findings
from securetag.datasets.build import BuildInputs, BuildParams, BuildTools, build
from securetag.datasets.realism import MEASURES
from securetag.pipeline.realism import measure_realism
from securetag.settings import get_settings

#: Triage rows of the release that is measured.
SYNTHETIC_ROWS = 600
#: Bar of the area under the curve of word counts that were learned on the release.
MIN_AUC = 0.5


def measure() -> Iterator[Figure]:
    """Yield the figures of a small synthetic release beside `model_dev`."""
    findings = read_findings(roles=[Role.MODEL_DEV])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labels = copy_labeled(findings, folder / "real")
        tools = BuildTools(
            releases_dir=folder / "releases", work=folder / "work", semgrep=get_settings().semgrep
        )
        params = BuildParams(synthetic=SYNTHETIC_ROWS, knowledge=0, test_since=None)
        release = Path(build(BuildInputs(records=[]), params, tools).path)
        report = measure_realism(release, folder / "real", labels)
    realism, transfer = report.realism, report.transfer
    for measure_name, words in MEASURES.items():
        yield Figure(
            figure=f"{words}, median",
            value=realism.release_spread[measure_name].p50,
            unit="",
            peer=f"real: {realism.real_spread[measure_name].p50:g}",
        )
    yield Figure(figure="release or real by word counts", value=realism.separability, unit="AUC")
    if transfer is not None:
        yield Figure(
            figure="word counts on real findings",
            value=transfer.auc,
            unit="AUC",
            peer=f"{transfer.low:.2f} to {transfer.high:.2f}, {transfer.true_positives} true and "
            f"{transfer.false_positives} false positives",
            bar=f"≥ {MIN_AUC}",
            ok=transfer.auc >= MIN_AUC,
        )
        for lost, share in transfer.removed.items():
            yield Figure(figure=f"false positives removed, {lost} lost", value=share, unit="share")


def copy_labeled(findings: Sequence[LabeledFinding], folder: Path) -> Path:
    """Copy the packages of labeled findings into `folder` and return the CSV of their labels.

    Raises ToolError where the index hasn't got one of them.
    """
    versions = {(row.ecosystem, row.package, row.version) for row in findings}
    for ecosystem, package, version in sorted(versions):
        shutil.copytree(fetch_package(ecosystem, package, version), folder / _name(package, version))
    labels = folder / "labels.csv"
    with labels.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "line", "label", "cwe"])
        for row in findings:
            writer.writerow([f"{_name(row.package, row.version)}/{row.file}", row.line, row.label, row.cwe])
    return labels


def _name(package: str, version: str) -> str:
    return f"{package.replace('/', '__')}-{version}"
