"""Findings per 1,000 lines on well-kept packages, named in `clean.csv` before the first measurement.

What is reported there is noise as a rule: these packages have many readers. Whole packages are scanned.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import msgspec

from benchmarks.real.corpus import Ecosystem
from benchmarks.real.fetch import fetch_package
from benchmarks.rules.known import scan_tree
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


def read_clean(path: Path = CLEAN_CSV) -> list[CleanPackage]:
    """Return the packages in the order of the file."""
    with path.open(encoding="utf-8", newline="") as file:
        return [msgspec.convert(row, CleanPackage) for row in csv.DictReader(file)]


def measure_density() -> tuple[list[Density], Counter[str]]:
    """Scan every package; return the densities, and the findings of each rule on all of them."""
    by_rule: Counter[str] = Counter()
    densities = []
    with tempfile.TemporaryDirectory() as folder:
        for package in read_clean():
            name = f"{package.package}-{package.version}"
            root = Path(folder) / name
            shutil.copytree(fetch_package(package.ecosystem, package.package, package.version), root)
            findings = scan_tree(root)
            by_rule.update(match.rule_id for finding in findings for match in finding.matches)
            lines = sum(count_lines(path) for path in root.rglob("*") if path.suffix in SUFFIXES)
            shown = sum(finding.confidence in DEFAULT_CONFIDENCES for finding in findings)
            densities.append(
                Density(
                    package=name,
                    lines=lines,
                    shown=round(1000 * shown / lines, 2),
                    all=round(1000 * len(findings) / lines, 2),
                )
            )
    return densities, by_rule
