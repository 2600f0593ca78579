"""Word counts learned on a release, and served models, on suites of other people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from securetag.calibration import Calibration
from securetag.datasets.realism import LabeledSnippet, Transfer, score_word_transfer
from securetag.datasets.realism.external import iterate_suites
from securetag.datasets.releases.release import read_release
from securetag.errors import SettingsError
from securetag.evaluation.calibrate import bound_share
from securetag.evaluation.dismissals import Dismissals
from securetag.pipeline.model_scores import ModelTransfer, find_registered, score_model
from securetag.records import Decision
from securetag.settings import Settings
from securetag.triage import PROMPT_VERSIONS, Profile


class SuiteScores(msgspec.Struct, frozen=True, kw_only=True):
    """How well each contender tells the labels of one suite apart."""

    name: str
    #: Vulnerabilities that the suite's scanner missed: no triager can show them.
    missed: int
    unlabeled: int
    #: None where the release has too few labeled rows to learn from.
    word_counts: Transfer | None
    models: dict[str, ModelTransfer]
    #: At the model's own threshold, in whose choice no finding had a part; of models that have a calibration.
    dismissals: dict[str, Dismissals]


def score_suites(
    release: Path, models: Sequence[str], settings: Settings, *, folder: Path | None = None
) -> Iterator[SuiteScores]:
    """Yield the scores on each suite of `folder`, by default SECURETAG_EXTERNAL_SUITES.

    Prompts are those of the release's profile; `securetag.pipeline.model_scores.open_model` says what the
    name of a model means. Raises SettingsError where no folder is named, InputError for a suite of another
    form or with one label alone, ReleaseError, ModelUnavailableError, NotFoundError.
    """
    folder = folder or settings.external_suites
    if folder is None:
        raise SettingsError(
            "no suites are named",
            hint="Set SECURETAG_EXTERNAL_SUITES to a folder of suites, or give --suites.",
        )
    content = read_release(release)
    profile: Profile = "full" if content.manifest.params.get("profile") == "full" else "compact"
    for suite in iterate_suites(folder):
        scored = {name: score_model(name, suite.findings, profile, settings) for name in models}
        dismissals = {
            name: measure_threshold(suite.findings, scores, calibration)
            for name, scores in scored.items()
            if scores.has_logprobs and (calibration := _find_calibration(name, profile, settings))
        }
        yield SuiteScores(
            name=suite.name,
            missed=suite.missed,
            unlabeled=suite.unlabeled,
            word_counts=score_word_transfer(content.train, suite.findings, profile),
            models=scored,
            dismissals=dismissals,
        )


def measure_threshold(
    findings: Sequence[LabeledSnippet], scores: ModelTransfer, calibration: Calibration
) -> Dismissals:
    """Return what the threshold of `calibration` dismisses of findings that a model gave these scores."""
    dismissed = [
        finding.label
        for finding, margin in zip(findings, scores.scores, strict=True)
        if calibration.decide(calibration.compute_probability(margin)) is Decision.FALSE_POSITIVE
    ]
    lost, transfer = dismissed.count("true_positive"), scores.transfer
    return Dismissals(
        true=transfer.true_positives,
        false=transfer.false_positives,
        lost=lost,
        lost_upper=bound_share(lost, transfer.true_positives),
        removed=len(dismissed) - lost,
        auc=transfer.auc,
        auc_low=transfer.low,
        auc_high=transfer.high,
    )


def _find_calibration(name: str, profile: Profile, settings: Settings) -> Calibration | None:
    entry = find_registered(name, settings)
    calibration = entry.calibration if entry else None
    return calibration if calibration and calibration.fits(PROMPT_VERSIONS[profile]) else None
