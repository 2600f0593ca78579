"""Semgrep's reports as bytes: several are written as one without reading each entry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec


class RawPaths(msgspec.Struct):
    """The files that were scanned, as Semgrep wrote their names."""

    scanned: list[msgspec.Raw] = []


class RawReport(msgspec.Struct):
    """A report whose entries stay the bytes that Semgrep wrote."""

    version: str
    results: list[msgspec.Raw]
    errors: list[msgspec.Raw]
    paths: RawPaths


def read_raw_report(content: bytes) -> RawReport:
    """Return a report with its entries unread. Raises msgspec.DecodeError for anything else."""
    # Messages quote code as it is, so a file that isn't UTF-8 makes the report none either.
    return msgspec.json.decode(content.decode("utf-8", errors="replace"), type=RawReport)


def merge_reports(sources: Sequence[Path], target: Path) -> None:
    """Write one report with the entries of all `sources`; one that is no report is left out."""
    merged: RawReport | None = None
    for source in sources:
        try:
            report = read_raw_report(source.read_bytes())
        except msgspec.DecodeError:
            continue
        if merged is None:
            merged = report
            continue
        merged.results += report.results
        merged.errors += report.errors
        merged.paths.scanned += report.paths.scanned
    target.write_bytes(msgspec.json.encode(merged) if merged is not None else b"")
