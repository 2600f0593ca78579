"""Writes the rows of a test as a release, without a build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from securetag.datasets.drops import Drop
from securetag.datasets.releases.manifest import Manifest
from securetag.datasets.releases.release import write_release
from securetag.records import Example


def write_small(
    folder: Path, rows: Sequence[Example], drops: Sequence[Drop] = (), **changes: Any
) -> tuple[Path, Manifest]:
    """Write a release below `folder`; `changes` are other arguments of `write_release`."""
    arguments: dict[str, Any] = {
        "params": {},
        "inputs": {},
        "counts": {},
        "sources": [],
        "card": lambda _: "",
        "code_version": "1",
        **changes,
    }
    return write_release(rows, drops, releases_dir=folder, **arguments)
