"""Which findings of a scan are new: against an earlier scan, or on the lines that a change touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from securetag.cli.scan.git import ChangedLines, Git
from securetag.errors import InputError
from securetag.wire.api import FindingAnswer, ScanAnswer, ScanDetail

if TYPE_CHECKING:
    from securetag.client.api import ApiClient


@dataclass(frozen=True)
class Baseline:
    """An earlier scan and the findings that it reported."""

    scan: ScanAnswer | None
    finding_ids: frozenset[UUID] = frozenset()

    def describe(self) -> str:
        """Return what is compared with: `scan 0192… of main at 3f5c1d15`."""
        if self.scan is None:
            return "no earlier scan: all of them are new"
        branch, commit = self.scan.params.get("branch"), self.scan.params.get("commit")
        of = f" of {branch}" if branch else ""
        return f"scan {self.scan.task_id}{of}{f' at {commit[:12]}' if commit else ''}"

    def select_new(self, findings: Sequence[FindingAnswer]) -> list[FindingAnswer]:
        """Return the findings that the baseline doesn't have."""
        return [finding for finding in findings if finding.id not in self.finding_ids]


def load_baseline(client: ApiClient, scan: ScanDetail, wanted: str | None, git: Git | None) -> Baseline:
    """Return the scan that `wanted` names (an id, a branch or a commit), else what this one continues.

    That is the scan of its base commit, else the newest of the default branch; on the default branch, the
    one before. Raises InputError where `wanted` names no completed scan of the project.
    """
    candidates = (
        item
        for item in client.scans(project=scan.project)
        if item.state == "completed" and item.task_id < scan.task_id and item.kind == scan.kind
    )
    earlier = list(candidates)
    default = next((item.default_branch for item in client.projects() if item.id == scan.project_id), None)
    chosen = _named(earlier, wanted, default, git) if wanted is not None else _before(earlier, scan, default)
    if chosen is None:
        return Baseline(None)
    return Baseline(chosen, frozenset(finding.id for finding in client.scan_findings(chosen.task_id)))


def _named(earlier: Sequence[ScanAnswer], wanted: str, default: str | None, git: Git | None) -> ScanAnswer:
    commit = (git.resolve(wanted) if git is not None else None) or wanted
    branches = {wanted, wanted.removeprefix("origin/")}
    for matches in (
        lambda item: str(item.task_id) == wanted,
        lambda item: item.params.get("commit") == commit,
        lambda item: (item.params.get("branch") or default) in branches,
    ):
        if chosen := next(filter(matches, earlier), None):
            return chosen
    raise InputError(
        f"no earlier completed scan of this project is of {wanted}",
        hint="Scan that branch or commit first, or name the id of a scan.",
    )


def _before(earlier: Sequence[ScanAnswer], scan: ScanDetail, default: str | None) -> ScanAnswer | None:
    params = scan.params
    branch = params.get("branch") or default
    if base := params.get("base_commit"):
        chosen = next((item for item in earlier if item.params.get("commit") == base), None)
        if chosen is not None:
            return chosen
    commit = params.get("commit")
    return next(
        (
            item
            for item in earlier
            if (item.params.get("branch") or default) == default
            # A repeated scan of the same commit would find nothing new.
            and (branch != default or commit is None or item.params.get("commit") != commit)
        ),
        None,
    )


def select_changed(findings: Sequence[FindingAnswer], changes: ChangedLines) -> list[FindingAnswer]:
    """Return the findings whose lines, or a step of whose data flow, a change touches."""
    return [finding for finding in findings if _is_touched(finding, changes)]


def _is_touched(finding: FindingAnswer, changes: ChangedLines) -> bool:
    at = finding.occurrence
    places = [(at.path, at.start_line, at.end_line)]
    places += [(at.path, match.start_line, match.end_line) for match in finding.matches]
    places += [(step.path, step.start_line, step.end_line) for step in at.trace]
    return any(
        first <= changed_last and changed_first <= last
        for path, first, last in places
        for changed_first, changed_last in changes.get(path, ())
    )


@dataclass
class Selection:
    """Which findings `--fail-on` counts, and which are shown, by the options of a command."""

    git: Git | None
    #: What `--baseline` names.
    wanted: str | None
    new_only: bool
    git_diff: str | None
    changes: ChangedLines | None
    baseline: Baseline | None = None
    #: What was counted, in words; empty where everything is.
    note: str = ""

    def load_baseline(self, client: ApiClient, ended: ScanDetail) -> None:
        """Load the earlier scan, where one is wanted. Raises InputError where there is none of that name."""
        if ended.state == "completed" and (self.wanted is not None or self.new_only):
            self.baseline = load_baseline(client, ended, self.wanted, self.git)

    def apply(self, findings: list[FindingAnswer]) -> tuple[list[FindingAnswer], list[FindingAnswer]]:
        """Return the findings to show, and those of them to count."""
        shown, counted, notes = findings, findings, []
        if self.baseline is not None:
            counted = self.baseline.select_new(findings)
            notes.append(f"{len(counted)} of {len(findings)} are new since {self.baseline.describe()}")
            shown = counted if self.new_only else findings
        if self.changes is not None:
            counted = select_changed(counted, self.changes)
            notes.append(f"{len(counted)} on lines that differ from {self.git_diff}")
        self.note = "; ".join(notes)
        return shown, counted
