"""Which labeled findings Bandit reports too."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from securetag.datasets.realism import LabeledSnippet
from securetag.records import Finding
from securetag.scanning.evidence import family_of
from securetag.scanning.external import make_scanner
from securetag.scanning.scanner import ScanRequest
from securetag.settings import Settings
from securetag.settings.sections import ExternalScannerSettings

#: Lines between two places that are one.
NEAR_LINES = 3
#: As docs/howto/add-a-scanner.md configures it; what names no confidence is taken as it is.
BANDIT = ExternalScannerSettings(
    command=["bandit", "-r", ".", "-q", "-f", "sarif", "--exit-zero", "--ignore-nosec", "--ini", "/dev/null"],
    languages=["python"],
    install="make bandit",
)


def report_places(
    findings: Sequence[LabeledSnippet], root: Path, work: Path, settings: Settings
) -> list[bool]:
    """Return of each finding whether Bandit reports it, from a scan of the files of Python that hold any.

    Raises SettingsError where Bandit isn't installed, ToolError where it fails.
    """
    project = work / "project"
    for name in sorted({finding.file for finding in findings if finding.language == "python"}):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, project / name)
    scanner = make_scanner("bandit", settings.model_copy(update={"scanners": {"bandit": BANDIT}}))
    run = scanner.scan(ScanRequest(project=project, out=work / "out")).check()
    by_file: dict[str, list[Finding]] = defaultdict(list)
    for finding in run.findings:
        by_file[finding.path].append(finding)
    return [any(is_same(finding, other) for other in by_file[finding.file]) for finding in findings]


def is_same(finding: LabeledSnippet, other: Finding) -> bool:
    """Return whether two findings of one file are of the same CWE family and near each other."""
    is_near = other.start_line - NEAR_LINES <= finding.line <= other.end_line + NEAR_LINES
    return is_near and family_of(other.cwe) == family_of(finding.cwe)
