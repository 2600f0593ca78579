"""A release's triage code beside real code, and what is learned on the one scored on the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from securetag.datasets.realism import (
    Realism,
    Transfer,
    compare_with_real,
    read_labeled,
    sample_functions,
    score_word_transfer,
    triage_code,
)
from securetag.datasets.releases.release import read_release
from securetag.errors import InputError
from securetag.pipeline.model_scores import ModelTransfer, score_model
from securetag.settings import Settings, get_settings
from securetag.triage import Profile

#: Functions of the folder that are compared.
MAX_FUNCTIONS = 5_000


class RealismReport(msgspec.Struct, frozen=True, kw_only=True):
    """The figures, and the snippets that they are of."""

    realism: Realism
    #: None without labels, and where the release has too few labeled rows to learn from.
    transfer: Transfer | None
    #: Name that was given → how a served model does on the same findings.
    models: dict[str, ModelTransfer]
    release_code: list[str]
    real_code: list[str]


def measure_realism(
    release: Path,
    against: Path,
    labels: Path | None = None,
    *,
    models: Sequence[str] = (),
    settings: Settings | None = None,
) -> RealismReport:
    """Compare a release with functions of a folder, and with `labels` score its findings.

    `models` are asked about the findings too (`securetag.pipeline.model_scores.open_model` says what a name
    means), with the prompts of the release's profile. Raises ReleaseError for a broken release; InputError
    for a folder without code, for labels that don't fit it, and for models without labels;
    ModelUnavailableError, NotFoundError.
    """
    if models and labels is None:
        raise InputError("models are asked about labeled findings", hint="Name a CSV with --labels.")
    content = read_release(release)
    examples = [*content.train, *content.validation, *content.test]
    findings = read_labeled(labels, against) if labels is not None else []
    release_code = triage_code(examples)
    profile: Profile = "full" if content.manifest.params.get("profile") == "full" else "compact"
    real_code = sample_functions(against, MAX_FUNCTIONS, profile)
    return RealismReport(
        realism=compare_with_real(release_code, real_code),
        transfer=score_word_transfer(examples, findings, profile) if findings else None,
        models={name: score_model(name, findings, profile, settings or get_settings()) for name in models},
        release_code=release_code,
        real_code=real_code,
    )
