"""Builds releases from a few inputs, in a folder of the test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from securetag.datasets.build import BuildInputs, BuildParams, BuildTools, ReleaseSummary, build
from securetag.records import Record
from securetag.settings import get_settings


def build_small(
    folder: Path, records: Sequence[Record], params: BuildParams, **inputs: Any
) -> ReleaseSummary:
    """Build below `folder`; `inputs` are the other fields of `BuildInputs`."""
    tools = BuildTools(releases_dir=folder / "releases", work=folder / "work", semgrep=get_settings().semgrep)
    return build(BuildInputs(records=records, **inputs), params, tools)
