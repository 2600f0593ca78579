"""A release of 400 synthetic rows, labeled by the real oracle: made once a run."""

from __future__ import annotations

from pathlib import Path

from made_once import make_once

from securetag.datasets.build import BuildParams, ReleaseSummary
from tests.plugins.small_build import build_small


def synthetic_release(folder: Path) -> ReleaseSummary:
    """Return it; nobody may change its files. `folder` is that of `made_once.run_folder`."""

    def make(work: Path) -> ReleaseSummary:
        return build_small(work, [], BuildParams(seed=1, synthetic=400, knowledge=0))

    return make_once(folder, "synthetic-release", make)
