"""Findings per 1,000 lines on well-kept packages, named in `clean.csv` before the first measurement.

What is reported there is noise as a rule: these packages have many readers. Whole packages are scanned.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import msgspec

from benchmarks.real.fetch import fetch_package
from benchmarks.rules.scans import scan_package
from securetag.extractors.catalog import Ecosystem
from securetag.scanning.targets import count_lines

CLEAN_CSV = Path(__file__).with_name("clean.csv")
SUFFIXES = frozenset({".py", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx"})
#: Below the default confidence nothing is shown unless it is asked for.
DEFAULT_CONFIDENCES = frozenset({"medium", "high"})


class CleanPackage(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `clean.csv`; `uses` names what it does that a rule looks at."""

    ecosystem: Ecosystem
    package: str
    version: str
    uses: str


class Density(msgspec.Struct, frozen=True, kw_only=True):
    """Findings of one package per 1,000 lines."""

    package: str
    lines: int
    #: Of the default confidence and above.
    shown: float
    all: float
    #: CPU-seconds of Semgrep.
    cpu_s: float


def read_clean(path: Path = CLEAN_CSV) -> list[CleanPackage]:
    """Return the packages in the order of the file."""
    with path.open(encoding="utf-8", newline="") as file:
        return [msgspec.convert(row, CleanPackage) for row in csv.DictReader(file)]


def measure_density(package: CleanPackage) -> tuple[Density, Counter[str]]:
    """Scan a whole package; return its density, and the findings of each rule.

    Raises ToolError where it can't be fetched or scanned.
    """
    code = fetch_package(package.ecosystem, package.package, package.version)
    done = scan_package(package.ecosystem, package.package, package.version)
    lines = sum(count_lines(path) for path in code.rglob("*") if path.suffix in SUFFIXES)
    shown = sum(finding.confidence in DEFAULT_CONFIDENCES for finding in done.findings)
    density = Density(
        package=f"{package.package}-{package.version}",
        lines=lines,
        shown=round(1000 * shown / lines, 2),
        all=round(1000 * len(done.findings) / lines, 2),
        cpu_s=done.cpu_s,
    )
    return density, Counter(match.rule_id for finding in done.findings for match in finding.matches)
