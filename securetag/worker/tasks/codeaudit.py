"""Scan an uploaded project, or a commit: download or fetch, unpack, scanners, triage, result."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

from securetag.errors import SettingsError
from securetag.records import Finding
from securetag.scanning.evidence import combine_evidence
from securetag.scanning.exclusion import leave_out, read_ignore_file
from securetag.scanning.external import list_scanners, make_scanner
from securetag.scanning.identity.inventory import take_inventory
from securetag.scanning.repository import FetchRequest, fetch_commit
from securetag.scanning.scanner import Scanner, ScanRequest
from securetag.scanning.unpack import ArchiveSummary, Limits, unpack
from securetag.system.version import package_version
from securetag.wire.api import ScanParams
from securetag.wire.queue import Coverage, ResultRequest, ToolExecution, ToolMetrics, UnpackMetrics
from securetag.wire.repositories import GitScanBody
from securetag.worker.attempt import Attempt
from securetag.worker.sending import repeat_while_away
from securetag.worker.tasks.scan_task import MAX_FAILURE, RESERVE_S, ScanTask

#: Seconds of wall time that the fetching of a commit may take.
FETCH_S = 600.0


@dataclass
class Audit(ScanTask):
    """One attempt at a code audit."""

    limit_hint: ClassVar[str] = "Upload less code, or have the limit raised."

    def scan(self) -> list[Finding]:
        """Run all scanners, one after the other; return one finding for each place."""
        settings = self.attempt.settings
        fetch = self.fetch if "git_url" in self.attempt.lease.params else self.download
        project = self.unpack(fetch("upload"))
        findings: list[Finding] = []
        for number, name in enumerate(list_scanners(settings)):
            if number and self.attempt.left_s() <= RESERVE_S:
                self._note_failure(name, "the task's time was used up before its turn", timed_out=True)
                continue
            scanner = make_scanner(name, settings)
            try:
                findings += self._scan_with(scanner, project, is_first=not number)
            except SettingsError as error:
                if scanner.is_required:
                    raise
                self._note_failure(name, str(error))
        self.inventory = take_inventory(project, (finding.path for finding in findings)).pack()
        return combine_evidence(findings, project, path_globs=settings.evidence.path_classes)

    def download(self, name: str) -> Path:
        """Fetch the upload into a file of this name."""
        attempt = self.attempt
        attempt.check()
        attempt.stage("downloading")
        archive = attempt.folder / name
        repeat_while_away(
            partial(attempt.client.download, attempt.lease, archive),
            f"task {attempt.lease.task_id}: the upload is fetched again",
            attempt.stop,
        )
        attempt.check()
        return archive

    def fetch(self, name: str) -> Path:
        """Fetch the commit that the task names into a file of this name."""
        attempt = self.attempt
        attempt.check()
        attempt.stage("fetching the commit")
        source = GitScanBody.model_validate(
            {field: attempt.lease.params.get(field) for field in ("git_url", "commit")}
        )
        settings = attempt.settings
        authorities = os.environ.get("SSL_CERT_FILE")
        try:
            archive = fetch_commit(
                FetchRequest(
                    source.git_url,
                    source.commit,
                    attempt.folder / name,
                    max_bytes=settings.worker.max_unpacked,
                    timeout_s=max(1.0, min(FETCH_S, attempt.left_s() - RESERVE_S)),
                    networks=settings.private_networks,
                    authorities=Path(authorities) if authorities else None,
                    hidden=settings.private_paths,
                    stop=attempt.stop,
                    on_start=attempt.tool_started,
                )
            )
        finally:
            attempt.tool_started(None)
        attempt.check()
        return archive

    def unpack(self, archive: Path) -> Path:
        """Return the folder of the unpacked code; the archive is removed."""
        attempt, limits = self.attempt, self.attempt.settings.worker
        attempt.stage("unpacking")
        root = attempt.folder / "project"
        started, began, metrics, code = datetime.now(UTC), time.monotonic(), UnpackMetrics(), 1
        try:
            unpacked = unpack(archive, root, Limits(limits.max_files, limits.max_unpacked, limits.max_ratio))
            metrics = UnpackMetrics(
                files=unpacked.files,
                bytes=unpacked.bytes,
                skipped=unpacked.skipped,
                coverage=self._leave_out(root, unpacked),
            )
            code = 0
        finally:
            archive.unlink()
            self.executions.append(
                ToolExecution(
                    tool="unpack",
                    version=package_version(),
                    arguments=[],
                    exit_code=code,
                    metrics=metrics,
                    duration_s=time.monotonic() - began,
                    started_at=started,
                )
            )
        return root

    def _note_failure(self, name: str, reason: str, *, timed_out: bool = False) -> None:
        """Log a scanner that wasn't run; what the others reported is kept."""
        execution = ToolExecution(
            tool=name,
            version="",
            arguments=[],
            exit_code=None,
            duration_s=0.0,
            started_at=datetime.now(UTC),
            timed_out=timed_out,
            metrics=ToolMetrics(tool=name, failure=reason[:MAX_FAILURE]),
        )
        self.executions.append(execution)

    def _scan_with(self, scanner: Scanner, project: Path, *, is_first: bool) -> list[Finding]:
        attempt = self.attempt
        attempt.check_lease()
        if is_first:
            attempt.check()
        attempt.stage(scanner.name)
        try:
            run = scanner.scan(
                ScanRequest(
                    project,
                    attempt.folder / scanner.name,
                    lang=self.lang(),
                    timeout_s=max(1.0, attempt.left_s() - RESERVE_S),
                    stop=attempt.stop,
                    on_start=attempt.tool_started,
                    progress=lambda done, total: attempt.stage(f"{scanner.name} {done}/{total} files"),
                )
            )
        finally:
            attempt.tool_started(None)
        return self.log_run(run, keeps_others=not is_first, is_required=scanner.is_required)

    def _leave_out(self, root: Path, unpacked: ArchiveSummary) -> Coverage:
        """Remove what the scan's exclusions name; return what no scanner is going to see.

        Raises InputError for a pattern that can't be read.
        """
        given = self.attempt.lease.params
        params = ScanParams.model_validate(
            {name: value for name, value in given.items() if name in ScanParams.model_fields}
        )
        ignored = read_ignore_file(root) if given.get("allow_ignore_file") is True else []
        patterns = [*params.exclude, *ignored]
        return leave_out(root, unpacked, patterns, params.not_uploaded, params.not_uploaded_files)


def run(attempt: Attempt) -> ResultRequest:
    """Do the task `codeaudit`."""
    return Audit(attempt).run()
