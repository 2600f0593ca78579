"""The same edits, with the places that Semgrep reports by our rules instead of those that `sites` finds.

All versions of all edits are scanned in one run. An edit counts where Semgrep reports the target before and
after it: a guard that it sees through ends the report, and then there is nothing to follow.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.identity import guards, moves, neutral
from benchmarks.identity.edits import Case, Edit, Kind, Unfit
from benchmarks.identity.score import Outcome, follow
from benchmarks.identity.sites import Project, find_sites, finding_id
from securetag.db.identity import ScannedPlace
from securetag.db.matching import Place
from securetag.db.staleness import changes_between
from securetag.records import Finding
from securetag.rules import catalogue, compiled_pack
from securetag.scanning.evidence import combine_evidence
from securetag.scanning.identity.inventory import Inventory, digests_of
from securetag.scanning.semgrep import scan
from securetag.settings.sections import SemgrepSettings

#: Edits that need other rules, which this run has not.
_OTHER_RULES = (moves.rule_renamed, moves.rule_split)


@dataclass
class ReportedTally:
    """What became of the edits whose target Semgrep reports."""

    outcomes: list[Outcome]
    #: Edits after which Semgrep doesn't report the target any more.
    silent: int


def judge_reported(files: Sequence[tuple[str, bytes]], *, per_kind: int, seed: int) -> ReportedTally:
    """Make edits at places that Semgrep reports, scan every version, and compare with the truth."""
    edits = _make_edits(files, per_kind=per_kind, seed=seed)
    projects = {
        f"e{number}/v{version}": project
        for number, edit in enumerate(edits)
        for version, project in enumerate(edit.versions)
    }
    reported = _scan_all(projects)
    tally = ReportedTally([], 0)
    for number, edit in enumerate(edits):
        versions = [reported[f"e{number}/v{version}"] for version in range(len(edit.versions))]
        outcome = _judge(edit, versions)
        if outcome is None:
            tally.silent += 1
        else:
            tally.outcomes.append(outcome)
    return tally


def _make_edits(files: Sequence[tuple[str, bytes]], *, per_kind: int, seed: int) -> list[Edit]:
    rng = random.Random(seed)
    reported = _scan_all({"base": dict(files)})["base"]
    cases = [
        (path, content, site)
        for path, content in files
        for site in find_sites(path, content)
        if _at(reported, path, _line(content, site.start)) is not None
    ]
    kinds: list[Kind] = [*neutral.COMMON, *moves.COMMON, *guards.COMMON, *neutral.PYTHON, *guards.PYTHON]
    edits: list[Edit] = []
    for kind in kinds:
        if kind in _OTHER_RULES:
            continue
        made: Counter[str] = Counter()
        for path, content, site in rng.sample(cases, len(cases)):
            if sum(made.values()) >= per_kind:
                break
            if made[path]:
                continue
            try:
                edits.append(kind(Case(path, content, site, rng)))
                made[path] += 1
            except Unfit:
                continue
    return edits


def _scan_all(projects: dict[str, Project]) -> dict[str, list[Finding]]:
    """Scan all projects in one run; each has a folder of its name, which its findings' paths don't have."""
    by_project: dict[str, list[Finding]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, project in projects.items():
            for path, content in project.items():
                (root / name / path).parent.mkdir(parents=True, exist_ok=True)
                (root / name / path).write_bytes(content)
        for finding in _scan_folder(root):
            name = next(name for name in _prefixes(finding.path) if name in projects)
            by_project[name].append(finding)
    return by_project


def _scan_folder(root: Path) -> list[Finding]:
    """Return what Semgrep reports by our rules, combined as a scan does it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        settings = SemgrepSettings(cpu_s=3600, timeout_s=7200)
        pack = compiled_pack(out / "pack")
        done = scan(root, pack=pack, settings=settings, out=out, catalogue=catalogue()).check()
        return combine_evidence(done.findings, root)


def _prefixes(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def _line(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1


def _at(findings: Sequence[Finding], path: str, line: int) -> int | None:
    """Return the finding that is reported at a line, where it is one alone."""
    at = [
        number
        for number, finding in enumerate(findings)
        if finding.path.endswith(f"/{path}") and finding.start_line <= line <= finding.end_line
    ]
    return at[0] if len(at) == 1 else None


def _place(finding: Finding, name: str) -> Place:
    path = finding.path.removeprefix(f"{name}/")
    return ScannedPlace.of(finding, path, finding.scope, has_verdict=False).compared()


def _judge(edit: Edit, versions: Sequence[list[Finding]]) -> Outcome | None:
    """Return what became of an edit; None where Semgrep doesn't report the target before and after it."""
    path, start = edit.target
    target = _at(versions[0], path, _line(edit.versions[0][path], start))
    to = edit.truth[edit.target]
    last = versions[-1]
    expected = _at(last, to[0], _line(edit.versions[-1][to[0]], to[1])) if to is not None else None
    if target is None or (to is not None and expected is None):
        return None
    names = [_common_folder(findings) for findings in versions]
    scans = [
        ([_place(finding, name) for finding in findings], _inventory(project))
        for findings, name, project in zip(versions, names, edit.versions, strict=True)
    ]
    keys = follow(scans[0][0], scans[1:])
    now = keys.index(finding_id(target)) if finding_id(target) in keys else None
    misplaced = 0
    for key_index, finding in enumerate(versions[0]):
        allowed = _allowed(edit, finding, names[0])
        if allowed and finding_id(key_index) in keys:
            place = last[keys.index(finding_id(key_index))]
            misplaced += not any(_covers(place, at, edit.versions[-1], names[-1]) for at in allowed)
    changes: tuple[str, ...] = ()
    if now is not None and now == expected:
        before, after = versions[0][target].identity, last[now].identity
        is_moved = to is not None and to[0] != path
        if before is not None and after is not None:
            changes = tuple(changes_between(before, after, is_moved=is_moved))
    is_followed = now == expected if to is not None else now is None
    where = f"{path}:{start}"
    return Outcome(edit.kind, edit.expected, where, is_followed, bool(changes), misplaced, changes)


def _common_folder(findings: Sequence[Finding]) -> str:
    return "/".join(findings[0].path.split("/")[:2]) if findings else ""


def _allowed(edit: Edit, finding: Finding, name: str) -> list[tuple[str, int]]:
    """Return where the calls on a finding's lines are in the last version; empty where there is no call."""
    path = finding.path.removeprefix(f"{name}/")
    content = edit.versions[0][path]
    return [
        to
        for (at, start), to in edit.truth.items()
        if to is not None and at == path and finding.start_line <= _line(content, start) <= finding.end_line
    ]


def _covers(finding: Finding, at: tuple[str, int], project: Project, name: str) -> bool:
    path, start = at
    line = _line(project[path], start)
    is_path = finding.path.removeprefix(f"{name}/") == path
    # Near findings are one: the place is that of the strongest.
    return is_path and finding.start_line - 3 <= line <= finding.end_line + 3


def _inventory(project: Project) -> Inventory:
    digests = set(Inventory.MARKERS)
    for path, content in project.items():
        digests |= set(digests_of(path, content, nameless=True))
    return Inventory(digests)
