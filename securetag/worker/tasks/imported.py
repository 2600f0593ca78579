"""Import what another tool has reported: SARIF, with the code it is about or without."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar

from securetag.records import Finding, Verdict
from securetag.scanning.coverage import CoverageCounter
from securetag.scanning.evidence import combine_evidence
from securetag.scanning.identity.inventory import take_inventory
from securetag.scanning.languages import language_of
from securetag.scanning.sarif.bundle import read_bundle
from securetag.scanning.sarif.findings import name_tool, to_findings
from securetag.scanning.sarif.read import SarifReport, read_sarif
from securetag.system.clock import utc_now
from securetag.wire.queue import Coverage, ResultRequest, SkipReason, ToolExecution, ToolMetrics
from securetag.worker.attempt import Attempt
from securetag.worker.tasks.codeaudit import Audit

#: Characters of a tool's version that are kept.
MAX_VERSION = 100


@dataclass
class Import(Audit):
    """One attempt at an import."""

    limit_hint: ClassVar[str] = "Import fewer results, or have the limit raised."
    has_code: bool = False

    def scan(self) -> list[Finding]:
        """Return what the report says: one finding for each place, as of our own scanners."""
        attempt = self.attempt
        bundle = read_bundle(self.download("import.zip"), attempt.folder)
        self.has_code = bundle.source is not None
        if bundle.source is not None:
            project = self.unpack(bundle.source)
        else:
            project = attempt.folder / "project"
            project.mkdir(mode=0o700)
        attempt.stage("reading the report")
        report = read_sarif(
            bundle.report.read_bytes(), project=project if self.has_code else None, confidence="medium"
        )
        findings = to_findings(report.results, project if self.has_code else None)
        self._log_tools(report, findings)
        if self.has_code:
            self.inventory = take_inventory(project, (finding.path for finding in findings)).pack()
        return combine_evidence(findings, project, path_globs=attempt.settings.evidence.path_classes)

    def _questions(self, findings: list[Finding]) -> tuple[list[bool], str]:
        """Ask the model where there is code to ask about."""
        return super()._questions(findings) if self.has_code else ([False] * len(findings), "")

    def _triage(self, findings: list[Finding], refusal: str) -> list[Verdict | None]:
        """Ask the model where there is code to ask about."""
        return super()._triage(findings, refusal) if self.has_code else [None] * len(findings)

    def _log_tools(self, report: SarifReport, findings: list[Finding]) -> None:
        """Log an execution for each tool of the report, with what it says of the project."""
        by_tool: dict[str, list[Finding]] = defaultdict(list)
        for finding in findings:
            by_tool[finding.tool].append(finding)
        versions: dict[str, str] = {}
        failed: set[str] = set()
        outside: dict[str, list[str]] = defaultdict(list)
        unread: dict[str, set[str]] = defaultdict(set)
        for tool, version in report.tools.items():
            name = name_tool(tool)
            versions[name] = versions.get(name) or version[:MAX_VERSION]
            outside[name] += report.outside.get(tool, [])
            unread[name] |= report.unread.get(tool, set())
            failed |= {name} if tool in report.failed else set()
        is_partial = self.attempt.lease.params.get("partial") is True
        for name, version in versions.items():
            coverage = _coverage(by_tool[name], outside[name], unread[name])
            # Without a coverage nobody takes what the tool doesn't report for fixed.
            says_all = name not in failed and not is_partial
            self.executions.append(
                ToolExecution(
                    tool=name,
                    version=version,
                    arguments=["import"],
                    exit_code=1 if name in failed else 0,
                    duration_s=0.0,
                    started_at=utc_now(),
                    metrics=ToolMetrics(
                        tool=name,
                        findings=len(by_tool[name]),
                        files=sum(coverage.files.values()),
                        coverage=coverage if says_all else None,
                    ),
                )
            )


def _coverage(findings: list[Finding], outside: list[str], unread: set[str]) -> Coverage:
    """Return the files that a tool has reported something in, and those that didn't come with the report.

    `unread` are those that the tool couldn't read.

    Of a path that can't be told the count alone goes in: then nobody knows which file it is about.
    """
    counter = CoverageCounter()
    for path in {finding.path for finding in findings}:
        counter.add_scanned(language_of(path), 0)
    for path in dict.fromkeys(path for path in outside if path):
        counter.add_skipped(path, SkipReason.UNKNOWN, 0)
    for path in sorted(unread):
        counter.add_parse_error(path)
    coverage = counter.coverage()
    reasons = dict(coverage.skipped_by_reason)
    if untold := outside.count(""):
        reasons[SkipReason.UNKNOWN] = reasons.get(SkipReason.UNKNOWN, 0) + untold
    return coverage.model_copy(update={"skipped_by_reason": reasons})


def run(attempt: Attempt) -> ResultRequest:
    """Do the task `import`."""
    return Import(attempt).run()
