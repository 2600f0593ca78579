"""Known vulnerabilities of real packages: which of them the rules flag, and what else they flag beside them.

Only the files that hold a known place are scanned, in the vulnerable version and in the one that corrects
it. A place is flagged when a finding of the same CWE family is in the same function, or at most NEAR_LINES
lines away. Precision is a lower bound: a finding counts as right only when an advisory names its place,
so that a real vulnerability which nobody reported counts as wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks.real.corpus import Place
from benchmarks.real.fetch import fetch_package
from benchmarks.real.first_findings import Labels, read_all_labels
from benchmarks.rules.scans import scan_package
from securetag.extractors.catalog import Ecosystem
from securetag.records import Finding
from securetag.scanning.evidence import family_of
from securetag.scanning.identity.scopes import enclosing, scopes
from securetag.scanning.languages import language_of

NEAR_LINES = 3
#: Findings of an application that somebody reads before deciding whether the tool is worth it.
FIRST = 20


class FamilyScore(msgspec.Struct, kw_only=True):
    """How one CWE family did: places, those flagged, findings, and those at a place."""

    places: int = 0
    flagged: int = 0
    findings: int = 0
    at_places: int = 0


class FirstFindings(msgspec.Struct, kw_only=True):
    """The first findings by rank of each application: their number, and of those at a known place."""

    findings: int = 0
    at_places: int = 0
    #: Share of each application's first findings that are at a known place, by package.
    by_package: dict[str, float] = {}

    def add(self, package: str, at_places: Sequence[bool]) -> None:
        """Count one application; `at_places` says of each of its first findings whether it is at a place."""
        if at_places:
            self.findings += len(at_places)
            self.at_places += sum(at_places)
            self.by_package[package] = sum(at_places) / len(at_places)


class KnownScore(msgspec.Struct, kw_only=True):
    """How the rules did on the places of one role."""

    families: dict[str, FamilyScore] = {}
    #: Flagged places that the corrected version doesn't have any more.
    silenced: int = 0
    #: Flagged places that the corrected version has with a lower rank.
    lowered: int = 0
    missed: list[Place] = []
    #: Of the families that the files' places have, as in `families`.
    first: FirstFindings = msgspec.field(default_factory=FirstFindings)
    #: The same, where a finding that a person judged to be true counts as one at a place.
    first_judged: FirstFindings = msgspec.field(default_factory=FirstFindings)
    #: First findings that are at no place and that nobody has judged.
    not_judged: int = 0
    #: Of every family: what somebody sees who asks for all findings of these files.
    first_of_any: FirstFindings = msgspec.field(default_factory=FirstFindings)

    def total(self) -> FamilyScore:
        """Return the sum over all families."""
        scores = self.families.values()
        return FamilyScore(
            places=sum(score.places for score in scores),
            flagged=sum(score.flagged for score in scores),
            findings=sum(score.findings for score in scores),
            at_places=sum(score.at_places for score in scores),
        )


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a package: its findings by path, and where its code is."""

    findings: dict[str, list[Finding]]
    code: Path


#: Ecosystem, package, version.
VersionKey = tuple[Ecosystem, str, str]
#: Path, line and CWE family: what counts as one finding.
_Spot = tuple[str, int, str]


def score_places(places: Sequence[Place]) -> KnownScore:
    """Scan the files of `places` in both versions and score the findings.

    Raises ToolError where a package can't be fetched or scanned.
    """
    files: dict[VersionKey, set[str]] = defaultdict(set)
    applications: dict[VersionKey, list[Place]] = defaultdict(list)
    for place in places:
        vulnerable, fixed = _versions_of(place)
        files[vulnerable].add(place.file)
        files[fixed].add(place.file)
        applications[vulnerable].append(place)
    versions = {key: _scan_version(*key, names) for key, names in sorted(files.items())}
    score, labels = KnownScore(), read_all_labels()
    for key, known in applications.items():
        score_application(score, key, known, versions, labels)
    return score


def _versions_of(place: Place) -> tuple[VersionKey, VersionKey]:
    """Return the vulnerable version and the one that corrects it."""
    return (*place.key, place.vulnerable_version), (*place.key, place.fixed_version)


def _scan_version(ecosystem: Ecosystem, package: str, version: str, files: Iterable[str]) -> Version:
    findings: dict[str, list[Finding]] = defaultdict(list)
    for finding in scan_package(ecosystem, package, version, files).findings:
        findings[finding.path].append(finding)
    return Version(findings=findings, code=fetch_package(ecosystem, package, version))


def score_application(
    score: KnownScore,
    key: VersionKey,
    places: Sequence[Place],
    versions: Mapping[VersionKey, Version],
    labels: Labels,
) -> None:
    """Add what was found in one vulnerable version to `score`; `labels` are of findings at no place."""
    vulnerable = versions[key]
    at_places: set[_Spot] = set()
    for place in places:
        family = family_of(place.cwe)
        hits = _find_hits(place, vulnerable)
        values = score.families.setdefault(family, FamilyScore())
        values.places += 1
        values.flagged += bool(hits)
        at_places |= {_spot(finding) for finding in hits}
        if not hits:
            score.missed.append(place)
            continue
        after = [
            finding.rank
            for finding in versions[_versions_of(place)[1]].findings[place.file]
            if family_of(finding.cwe) == family and finding.scope == hits[0].scope
        ]
        score.silenced += not after
        score.lowered += bool(after) and max(after) < max(finding.rank for finding in hits)
    counted = {(place.file, family_of(place.cwe)) for place in places}
    every = _order({place.file for place in places}, vulnerable)
    related = [spot for spot in every if (spot[0], spot[2]) in counted]
    for spot in related:
        score.families[spot[2]].findings += 1
        score.families[spot[2]].at_places += spot in at_places
    name = f"{key[1]} {key[2]}"
    first = related[:FIRST]
    score.first.add(name, [spot in at_places for spot in first])
    score.first_judged.add(name, [spot in at_places or labels.get((*key, *spot), False) for spot in first])
    score.not_judged += sum(spot not in at_places and (*key, *spot) not in labels for spot in first)
    score.first_of_any.add(name, [spot in at_places for spot in every[:FIRST]])


def _find_hits(place: Place, vulnerable: Version) -> list[Finding]:
    """Return the findings that mean a known place."""
    scope = _function_at(vulnerable.code / place.file, int(place.line))
    return [
        finding
        for finding in vulnerable.findings[place.file]
        if family_of(finding.cwe) == family_of(place.cwe) and _is_at(finding, int(place.line), scope)
    ]


def _order(files: Iterable[str], version: Version) -> list[_Spot]:
    """Return the spots of all findings of some files once, by the highest rank first."""
    findings = [finding for file in files for finding in version.findings[file]]
    findings.sort(key=lambda finding: (-finding.rank, finding.path, finding.start_line))
    return list(dict.fromkeys(_spot(finding) for finding in findings))


def _spot(finding: Finding) -> _Spot:
    return finding.path, finding.start_line, family_of(finding.cwe)


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
