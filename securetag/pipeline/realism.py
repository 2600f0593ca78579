"""A release's triage code beside real code, and what is learned on the one scored on the other."""

from __future__ import annotations

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
from securetag.triage import Profile

#: Functions of the folder that are compared.
MAX_FUNCTIONS = 5_000


class RealismReport(msgspec.Struct, frozen=True, kw_only=True):
    """The figures, and the snippets that they are of."""

    realism: Realism
    #: None without labels, and where the release has too few labeled rows to learn from.
    transfer: Transfer | None
    release_code: list[str]
    real_code: list[str]


def measure_realism(release: Path, against: Path, labels: Path | None = None) -> RealismReport:
    """Compare a release with functions of a folder, and with `labels` score its findings.

    Raises ReleaseError for a broken release, InputError for a folder without code and for labels that
    don't fit it.
    """
    content = read_release(release)
    examples = [*content.train, *content.validation, *content.test]
    findings = read_labeled(labels, against) if labels is not None else []
    release_code = triage_code(examples)
    real_code = sample_functions(against, MAX_FUNCTIONS)
    profile: Profile = "full" if content.manifest.params.get("profile") == "full" else "compact"
    return RealismReport(
        realism=compare_with_real(release_code, real_code),
        transfer=score_word_transfer(examples, findings, profile) if findings else None,
        release_code=release_code,
        real_code=real_code,
    )
