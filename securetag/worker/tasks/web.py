"""Scan a web application: reach it, run the scanners behind the egress proxy, triage, result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from securetag.errors import SettingsError
from securetag.records import Finding
from securetag.scanning.evidence import rank_findings
from securetag.scanning.web.addresses import Target, parse_target
from securetag.scanning.web.scanner import WebScanner, WebScanRequest, reach, select_scanners
from securetag.wire.queue import ResultRequest
from securetag.worker.attempt import Attempt
from securetag.worker.tasks.scan_task import RESERVE_S, ScanTask


@dataclass
class WebScan(ScanTask):
    """One attempt at a scan of a web application. That it may be scanned was the api's to check."""

    limit_hint: ClassVar[str] = "Begin the scan at a page further down, or have web.timeout_s raised."

    def scan(self) -> list[Finding]:
        """Return the findings of all scanners, one after the other."""
        attempt, settings = self.attempt, self.attempt.settings
        url = str(attempt.lease.params.get("url", ""))
        target = parse_target(url)
        attempt.check()
        scanners = select_scanners(settings)
        attempt.stage("reaching the application")
        reach(url, target, settings.web)
        return rank_findings(
            [finding for scanner in scanners for finding in self._scan_with(scanner, url, target)]
        )

    def _scan_with(self, scanner: WebScanner, url: str, target: Target) -> list[Finding]:
        attempt = self.attempt
        attempt.check()
        attempt.stage(scanner.name)
        left_s = max(1.0, attempt.left_s() - RESERVE_S)
        try:
            run = scanner.scan(
                WebScanRequest(
                    url,
                    target,
                    attempt.folder / scanner.name,
                    timeout_s=min(attempt.settings.web.timeout_s, left_s),
                    stop=attempt.stop,
                    on_start=attempt.tool_started,
                )
            )
        finally:
            attempt.tool_started(None)
        return self.log_run(run)


def run(attempt: Attempt) -> ResultRequest:
    """Do the task `web`."""
    try:
        return WebScan(attempt).run()
    except SettingsError as error:  # on this worker another try would end the same
        return ResultRequest(
            task_id=attempt.lease.task_id, outcome="failed", error=f"{error}. {error.hint}".strip()
        )
