"""The system as a whole: false alarms that are shown after triage, at fixed recall, beside other scanners.

On the development set (`benchmarks/real/development.py`): findings of Semgrep with our rules that people
judged. Untriaged, all of them are shown. A triager ranks them, and as many false positives go as its
threshold allows while a stated share of the vulnerabilities stays; the threshold is chosen on the same
findings, so that what it removes is an upper bound. Bandit reads the same files of Python: what it reports at
most NEAR_LINES lines away, of the same CWE family, is the same finding. The set was drawn from what our rules
report, so Bandit's recall on it says nothing of what Bandit alone would find, and its false alarms elsewhere
in these files aren't counted as such: nobody judged them.

Triagers are word counts learned on a small synthetic release, and the models that BENCH_MODELS
names. The figures of all of them are of one run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.real.development import copy_labeled, read_development
from benchmarks.realism.contenders import build_synthetic_release, list_models
from benchmarks.system.bandit import report_places
from benchmarks.system.shown import Shown, count_shown, show_at_recall
from securetag.datasets.realism import LabeledSnippet, read_labeled, score_words
from securetag.datasets.releases.release import read_release
from securetag.pipeline.model_scores import score_model
from securetag.settings import get_settings

#: Shares of the shown vulnerabilities that a triager must leave.
RECALLS = (1.0, 0.98, 0.95, 0.9)


def measure() -> Iterator[Figure]:
    """Yield false alarms and vulnerabilities shown by each system, on all findings and on those of Python."""
    settings = get_settings()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labels = copy_labeled(read_development(), folder / "real")
        findings = read_labeled(labels, folder / "real")
        is_bandit = report_places(findings, folder / "real", folder / "bandit", settings)
        release = read_release(build_synthetic_release(folder, settings))
        triagers: dict[str, Sequence[float]] = {}
        if (scores := score_words(release.train, findings, "compact")) is not None:
            triagers["word counts"] = scores
    for model in list_models():
        triagers[f"model {Path(model).name}"] = score_model(model, findings, "compact", settings).scores
    yield from compare(findings, triagers)
    yield from compare_with_bandit(findings, triagers, is_bandit)


def compare(findings: Sequence[LabeledSnippet], triagers: Mapping[str, Sequence[float]]) -> Iterator[Figure]:
    """Yield the false alarms shown without triage, and by each triager at each recall."""
    everything = count_shown(findings, [True] * len(findings))
    yield _figure("all: Semgrep with our rules, untriaged", everything, everything)
    for name, scores in triagers.items():
        for recall in RECALLS:
            shown = show_at_recall(findings, scores, recall)
            yield _figure(f"all: triaged by {name}, {recall:.0%} of vulnerabilities kept", shown, everything)


def compare_with_bandit(
    findings: Sequence[LabeledSnippet], triagers: Mapping[str, Sequence[float]], is_bandit: Sequence[bool]
) -> Iterator[Figure]:
    """Yield, of findings in Python, what Bandit shows, and what each triager shows at Bandit's recall."""
    places = [place for place, finding in enumerate(findings) if finding.language == "python"]
    python = [findings[place] for place in places]
    everything = count_shown(python, [True] * len(python))
    bandit = count_shown(python, [is_bandit[place] for place in places])
    yield _figure("Python: Semgrep with our rules, untriaged", everything, everything)
    yield _figure("Python: Bandit", bandit, everything)
    for name, scores in triagers.items():
        shown = show_at_recall(python, [scores[place] for place in places], bandit.recall_of(everything))
        yield _figure(f"Python: triaged by {name} at Bandit's recall", shown, everything)


def _figure(name: str, shown: Shown, everything: Shown) -> Figure:
    return Figure(
        figure=f"{name}: false alarms shown",
        value=shown.false,
        unit=f"of {everything.false}",
        peer=f"{shown.true} of {everything.true} vulnerabilities shown",
    )
