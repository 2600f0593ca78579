"""Known vulnerabilities of real packages: which of them the rules flag, and what else they flag beside them.

Only the files that hold a known place are scanned, in the vulnerable version and in the one that corrects
it. A place is flagged when a finding of the same CWE family is in the same function, or at most NEAR_LINES
lines away. Precision is a lower bound: a finding counts as right only when an advisory names its place,
so that a real vulnerability which nobody reported counts as wrong.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.real.corpus import Place
from benchmarks.real.fetch import fetch_package
from securetag.records import Finding
from securetag.rules import catalogue, compiled_pack
from securetag.scanning.evidence import combine_evidence, family_of
from securetag.scanning.identity.scopes import enclosing, scopes
from securetag.scanning.languages import language_of
from securetag.scanning.semgrep import scan
from securetag.settings.sections import SemgrepSettings

NEAR_LINES = 3


class FamilyScore(msgspec.Struct, kw_only=True):
    """How one CWE family did: places, those flagged, findings, and those at a place."""

    places: int = 0
    flagged: int = 0
    findings: int = 0
    at_places: int = 0


class KnownScore(msgspec.Struct, kw_only=True):
    """How the rules did on the places of one role."""

    families: dict[str, FamilyScore]
    #: Flagged places that the corrected version doesn't have, or has with a lower rank.
    cleared: int
    missed: list[Place]

    def total(self) -> FamilyScore:
        """Return the sum over all families."""
        scores = self.families.values()
        return FamilyScore(
            places=sum(score.places for score in scores),
            flagged=sum(score.flagged for score in scores),
            findings=sum(score.findings for score in scores),
            at_places=sum(score.at_places for score in scores),
        )


def score_places(places: Sequence[Place]) -> KnownScore:
    """Scan the files of `places` in both versions and score the findings."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "code"
        for place in places:
            for version in (place.vulnerable_version, place.fixed_version):
                _copy(place, version, root)
        findings: dict[str, list[Finding]] = defaultdict(list)
        for finding in scan_tree(root):
            findings[finding.path].append(finding)
        return _score(places, findings, root)


def scan_tree(root: Path) -> list[Finding]:
    """Return the findings of Semgrep with our rules in a folder, combined and ranked as a scan does it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        settings = SemgrepSettings(cpu_s=3600, timeout_s=7200)
        pack = compiled_pack(out / "pack")
        done = scan(root, pack=pack, settings=settings, out=out, catalogue=catalogue()).check()
        return combine_evidence(done.findings, root)


def _copy(place: Place, version: str, root: Path) -> None:
    source = fetch_package(place.ecosystem, place.package, version) / place.file
    if source.is_file():
        target = root / _path(place, version)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _path(place: Place, version: str) -> str:
    return f"{place.package.replace('/', '__')}-{version}/{place.file}"


def _score(places: Sequence[Place], findings: dict[str, list[Finding]], root: Path) -> KnownScore:
    families: dict[str, FamilyScore] = defaultdict(FamilyScore)
    at_places: set[tuple[str, int, str]] = set()
    cleared, missed = 0, []
    for place in places:
        family, path = family_of(place.cwe), _path(place, place.vulnerable_version)
        scope = _function_at(root / path, int(place.line))
        hits = [
            finding
            for finding in findings[path]
            if family_of(finding.cwe) == family and _is_at(finding, int(place.line), scope)
        ]
        families[family].places += 1
        families[family].flagged += bool(hits)
        at_places |= {(path, finding.start_line, family) for finding in hits}
        if not hits:
            missed.append(place)
            continue
        after = [
            finding.rank
            for finding in findings[_path(place, place.fixed_version)]
            if family_of(finding.cwe) == family and finding.scope == hits[0].scope
        ]
        cleared += max(after, default=0) < max(finding.rank for finding in hits)
    counted = {(_path(place, place.vulnerable_version), family_of(place.cwe)) for place in places}
    for path, family in counted:
        lines = {item.start_line for item in findings[path] if family_of(item.cwe) == family}
        families[family].findings += len(lines)
        families[family].at_places += len({key for key in at_places if key[0] == path and key[2] == family})
    return KnownScore(families=dict(families), cleared=cleared, missed=missed)


def _function_at(file: Path, line: int) -> str:
    """Return the name of the function that holds a line; empty at module level and in templates."""
    language = language_of(file.name)
    if language not in {"python", "javascript", "typescript"}:
        return ""
    scope = enclosing(scopes(file.read_text(encoding="utf-8", errors="replace"), language), line, line)
    return scope.name if scope is not None and scope.kind == "function" else ""


def _is_at(finding: Finding, line: int, scope: str) -> bool:
    near = finding.start_line - NEAR_LINES <= line <= finding.end_line + NEAR_LINES
    return near or bool(scope and finding.scope == scope)
