"""What is measured on real findings: a small synthetic release to learn on, and models by name."""

from __future__ import annotations

import os
from pathlib import Path

from securetag.datasets.build import BuildInputs, BuildParams, BuildTools, build
from securetag.settings import Settings

#: Triage rows of the release.
SYNTHETIC_ROWS = 600


def build_synthetic_release(folder: Path, settings: Settings) -> Path:
    """Build a release of synthetic triage rows alone below `folder` and return its path."""
    tools = BuildTools(releases_dir=folder / "releases", work=folder / "work", semgrep=settings.semgrep)
    params = BuildParams(synthetic=SYNTHETIC_ROWS, knowledge=0, test_since=None)
    return Path(build(BuildInputs(records=[]), params, tools).path)


def list_models() -> list[str]:
    """Return the models that BENCH_MODELS names, separated by commas."""
    return [name for name in os.environ.get("BENCH_MODELS", "").split(",") if name]
