"""Word counts learned on a release, and served models, on suites of other people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from securetag.datasets.realism import Transfer, score_word_transfer
from securetag.datasets.realism.external import iterate_suites
from securetag.datasets.releases.release import read_release
from securetag.errors import SettingsError
from securetag.pipeline.model_scores import ModelTransfer, score_model
from securetag.settings import Settings
from securetag.triage import Profile


class SuiteScores(msgspec.Struct, frozen=True, kw_only=True):
    """How well each contender tells the labels of one suite apart."""

    name: str
    #: Vulnerabilities that the suite's scanner missed: no triager can show them.
    missed: int
    unlabeled: int
    #: None where the release has too few labeled rows to learn from.
    word_counts: Transfer | None
    models: dict[str, ModelTransfer]


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
        yield SuiteScores(
            name=suite.name,
            missed=suite.missed,
            unlabeled=suite.unlabeled,
            word_counts=score_word_transfer(content.train, suite.findings, profile),
            models={name: score_model(name, suite.findings, profile, settings) for name in models},
        )
