"""Scan an uploaded project: download, unpack, Semgrep, triage, result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import securetag.triage
from securetag.errors import InputError, LimitError, SecuretagError, ToolError
from securetag.records import Finding, Lang, Verdict
from securetag.scanning.scanner import SCANNERS, Scanner, ScannerRun, ScanRequest
from securetag.scanning.unpack import Limits, unpack
from securetag.serving.client import ModelClient, connect
from securetag.settings import Settings
from securetag.system.version import package_version
from securetag.wire.queue import (
    ResultRequest,
    SkipReason,
    ToolExecution,
    TriagedFinding,
    UnpackMetrics,
)
from securetag.worker.attempt import Attempt, TimeLimitError
from securetag.worker.triager import Triager

#: Bytes of one stored tool output; the api's own default limit is above it.
MAX_ARTIFACT = 16 * 1024 * 1024
SHORT_ARTIFACT = 64 * 1024
#: Seconds of the task's time that are kept for sending the result.
RESERVE_S = 5.0


@dataclass
class Audit:
    """One attempt at a code audit. `executions` grows as it goes, so that a failure reports them too."""

    attempt: Attempt
    connect: Callable[[Settings], ModelClient] = connect
    executions: list[ToolExecution] = field(default_factory=list)
    #: Files in folders of version-control systems, which are not unpacked.
    _version_control: int = 0

    def run(self) -> ResultRequest:
        """The result to send. Raises what `Attempt.check` raises, and UnavailableError for another try."""
        try:
            findings = self._scan(self._project())
            verdicts = self._triage(findings)
            self.attempt.check_lease()
        except InputError as error:  # ArchiveError too: the user's to correct
            return self._result("failed", error)
        except TimeLimitError as error:
            return self._result("timeout", error)
        except ToolError as error:
            return self._result("retry", error)
        return ResultRequest(
            task_id=self.attempt.lease.task_id,
            outcome="completed",
            tool_executions=self.executions,
            findings=[
                TriagedFinding(finding=finding, verdict=verdict)
                for finding, verdict in zip(findings, verdicts, strict=True)
            ],
        )

    def _project(self) -> Path:
        """The unpacked upload."""
        attempt, limits = self.attempt, self.attempt.settings.worker
        attempt.check()
        attempt.stage("downloading")
        archive = attempt.folder / "upload.zip"
        attempt.client.download(attempt.lease, archive)
        attempt.check()
        attempt.stage("unpacking")
        root = attempt.folder / "project"
        started, began, metrics, code = datetime.now(UTC), time.monotonic(), UnpackMetrics(), 1
        try:
            unpacked = unpack(archive, root, Limits(limits.max_files, limits.max_unpacked, limits.max_ratio))
            metrics = UnpackMetrics(files=unpacked.files, bytes=unpacked.bytes, skipped=unpacked.skipped)
            self._version_control = unpacked.skipped
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

    def _scan(self, project: Path) -> list[Finding]:
        """The findings of all scanners, one after the other."""
        findings: list[Finding] = []
        for name in self.attempt.settings.worker.scanners:
            findings += self._scan_with(SCANNERS.get(name)(self.attempt.settings), project)
        return findings

    def _scan_with(self, scanner: Scanner, project: Path) -> list[Finding]:
        attempt = self.attempt
        attempt.check()
        attempt.stage(scanner.name)
        try:
            run = scanner.scan(
                ScanRequest(
                    project,
                    attempt.folder / scanner.name,
                    lang=self._lang(),
                    timeout_s=max(1.0, attempt.left_s() - RESERVE_S),
                    stop=attempt.stop,
                    on_start=attempt.tool_started,
                    progress=lambda done, total: attempt.stage(f"{scanner.name} {done}/{total} files"),
                )
            )
        finally:
            attempt.tool_started(None)
        attempt.check_lease()
        self.executions.append(self._logged(run))
        if run.failure and run.limited:
            raise TimeLimitError(run.failure, hint="Upload less code, or have the limit raised.")
        return run.check().findings

    def _logged(self, run: ScannerRun) -> ToolExecution:
        stdout = self._store(run.stdout_path.name, run.stdout_path)
        stderr = self._store(run.stderr_path.name, run.stderr_path)
        metrics = run.metrics
        if self._version_control and metrics.coverage is not None:
            reasons = {**run.coverage.skipped_by_reason, SkipReason.VERSION_CONTROL: self._version_control}
            coverage = run.coverage.model_copy(update={"skipped_by_reason": reasons})
            metrics = metrics.model_copy(update={"coverage": coverage})
        return ToolExecution(
            tool=run.tool,
            version=run.version,
            arguments=run.argv,
            exit_code=run.result.exit_code,
            duration_s=run.result.duration_s,
            started_at=run.result.started_at,
            timed_out=run.limited,
            stdout=stdout,
            stderr=stderr,
            metrics=metrics,
        )

    def _triage(self, findings: list[Finding]) -> list[Verdict | None]:
        attempt, settings = self.attempt, self.attempt.settings
        started, began = datetime.now(UTC), time.monotonic()
        client = self.connect(settings)
        try:
            triager = Triager(client, settings.triage, lang=self._lang())
            run = triager.run(
                findings,
                budget_s=attempt.left_s() - RESERVE_S,
                stop=attempt.stop,
                progress=lambda done, total: attempt.stage(f"triage {done + 1}/{total}"),
            )
        finally:
            client.close()
        attempt.check_lease()
        output = None
        if run.transcript:
            path = attempt.folder / "triage.jsonl"
            path.write_text("".join(f"{line}\n" for line in run.transcript), encoding="utf-8")
            output = self._store("triage.stdout.jsonl", path)
        triage_settings = settings.triage
        self.executions.append(
            ToolExecution(
                tool="triage",
                version=securetag.triage.PROMPT_VERSIONS[triage_settings.profile],
                arguments=[
                    triage_settings.backend,
                    *triage_settings.aliases,
                    triage_settings.profile,
                    self._lang(),
                ],
                exit_code=0,
                duration_s=time.monotonic() - began,
                started_at=started,
                stdout=output,
                metrics=run.metrics,
            )
        )
        return run.verdicts

    def _store(self, name: str, path: Path) -> str:
        self.attempt.check_lease()
        store = self.attempt.client.put_artifact
        try:
            store(self.attempt.lease, name, path, limit=MAX_ARTIFACT)
        except LimitError:  # an api with a lower limit: the beginning is better than no scan
            store(self.attempt.lease, name, path, limit=SHORT_ARTIFACT)
        return name

    def _lang(self) -> Lang:
        """The task's own language where it names one of the product's, else the worker's."""
        wanted = self.attempt.lease.params.get("lang")
        if wanted == "es":
            return "es"
        return "en" if wanted == "en" else self.attempt.settings.triage.lang

    def _result(self, outcome: Literal["failed", "timeout", "retry"], error: SecuretagError) -> ResultRequest:
        return ResultRequest(
            task_id=self.attempt.lease.task_id,
            outcome=outcome,
            error=f"{error}. {error.hint}".strip(),
            tool_executions=self.executions,
        )


def run(attempt: Attempt) -> ResultRequest:
    """Do the task `codeaudit`."""
    return Audit(attempt).run()
