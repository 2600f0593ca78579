"""What every scan has in common: triage, stored tool output, and the result to send."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

import securetag.triage
from securetag.errors import InputError, LimitError, SecuretagError, ToolError
from securetag.records import Finding, Lang, Verdict
from securetag.scanning.scanner import ScannerRun
from securetag.scanning.secrets.mask import mask_issued
from securetag.scanning.secrets.output import mask_file
from securetag.serving.client import ModelClient, connect
from securetag.settings import Settings
from securetag.wire.queue import (
    MODEL_POLICY,
    FindingsAnswer,
    FindingsRequest,
    OccurrenceVerdict,
    ResultRequest,
    ToolExecution,
    ToolMetrics,
    TriagedFinding,
)
from securetag.worker.attempt import Attempt, TimeLimitError
from securetag.worker.gates import PublishedGates
from securetag.worker.model_policy import describe_refusal
from securetag.worker.sending import repeat_while_away, send_or_shorten
from securetag.worker.triager import Triager, needs_model

#: Bytes of one stored tool output; the api's own default limit is above it.
MAX_ARTIFACT = 16 * 1024 * 1024
SHORT_ARTIFACT = 64 * 1024
#: Characters of a scanner's failure that are kept.
MAX_FAILURE = 500
#: Seconds of the task's time that are kept for sending the result.
RESERVE_S = 5.0
_LOOPBACK = re.compile(r"https?://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?/?")


@dataclass
class ScanTask(ABC):
    """One attempt at a scan. `executions` grows as it goes, so that a failure reports them too.

    Once they were sent with the findings it begins anew.
    """

    attempt: Attempt
    connect: Callable[[Settings], ModelClient] = connect
    executions: list[ToolExecution] = field(default_factory=list)
    #: Digests of the project's files (`ResultRequest.inventory`); empty where no code is scanned.
    inventory: str = ""
    #: What helps where the time ran out.
    limit_hint: ClassVar[str]

    def run(self) -> ResultRequest:
        """The result to send. Raises what `Attempt.check` raises, and UnavailableError for another try."""
        try:
            findings = self.scan()
            questions, refusal = self._questions(findings)
            # Who waits sees the findings while a model is asked about them.
            sent = self._send(findings, questions) if any(questions) else None
            verdicts = self._triage(findings, refusal)
            self.attempt.check_lease()
        except InputError as error:  # ArchiveError too: the user's to correct
            return self._result("failed", error)
        except TimeLimitError as error:
            return self._result("timeout", error)
        except ToolError as error:
            return self._result("retry", error)
        result = self._result("completed")
        if sent is not None:
            given = [
                OccurrenceVerdict(occurrence_id=occurrence_id, verdict=verdict)
                for occurrence_id, verdict in zip(sent.occurrence_ids, verdicts, strict=True)
                if verdict is not None
            ]
            return result.model_copy(update={"findings_sent": True, "verdicts": given})
        triaged = [
            TriagedFinding(finding=finding, verdict=verdict)
            for finding, verdict in zip(findings, verdicts, strict=True)
        ]
        return result.model_copy(update={"inventory": self.inventory, "findings": triaged})

    def _questions(self, findings: list[Finding]) -> tuple[list[bool], str]:
        """Return which findings the model is asked about, and why none is although it should be."""
        settings = self.attempt.settings.triage
        questions = [needs_model(finding, settings) for finding in findings]
        refusal = self._refuse_model(sum(questions))
        return ([False] * len(findings) if refusal else questions), refusal

    def _send(self, findings: list[Finding], questions: list[bool]) -> FindingsAnswer:
        """Have what was found stored. Raises FencedError, UnavailableError."""
        attempt = self.attempt
        attempt.stage("storing findings")
        body = FindingsRequest(
            task_id=attempt.lease.task_id,
            tool_executions=self.executions,
            inventory=self.inventory,
            findings=[
                TriagedFinding(finding=finding, awaits_verdict=is_asked)
                for finding, is_asked in zip(findings, questions, strict=True)
            ],
        )
        answer = send_or_shorten(attempt.client.findings, attempt.lease, body, attempt.stop)
        attempt.metrics.count_runs(self.executions)
        # The result brings what runs from here on.
        self.executions = []
        return answer

    @abstractmethod
    def scan(self) -> list[Finding]:
        """Return what the scanners report; their runs are logged by `log_run`."""

    def log_run(
        self,
        run: ScannerRun,
        metrics: ToolMetrics | None = None,
        *,
        keeps_others: bool = False,
        is_required: bool = True,
    ) -> list[Finding]:
        """Store a scanner's output, without secrets, and log its run; return its findings.

        Raises TimeLimitError where a limit has ended it, unless the findings of others are to be kept;
        ToolError where one that is required failed.
        """
        self.attempt.check_lease()
        for path in (run.stdout_path, run.stderr_path):
            mask_file(path)
        stdout = self._store(run.stdout_path.name, run.stdout_path)
        stderr = self._store(run.stderr_path.name, run.stderr_path)
        metrics = (metrics or run.metrics).model_copy(
            update={"failure": mask_issued(run.failure)[:MAX_FAILURE]}
        )
        self.executions.append(
            ToolExecution(
                tool=run.tool,
                version=run.version,
                arguments=[hide_place(argument) for argument in run.argv],
                exit_code=run.result.exit_code,
                duration_s=run.result.duration_s,
                started_at=run.result.started_at,
                timed_out=run.limited or "limit" in metrics.refused,
                stdout=stdout,
                stderr=stderr,
                metrics=metrics,
            )
        )
        if run.failure and not is_required:
            return []
        if run.failure and run.limited:
            if keeps_others:
                return []
            raise TimeLimitError(run.failure, hint=self.limit_hint)
        return run.check().findings

    def _triage(self, findings: list[Finding], refusal: str) -> list[Verdict | None]:
        attempt, settings = self.attempt, self.attempt.settings
        started, began = datetime.now(UTC), time.monotonic()
        client = self.connect(settings)
        try:
            published = PublishedGates(settings)
            triager = Triager(
                client,
                settings.triage,
                lang=self.lang(),
                find_gate=published.find,
                find_calibration=published.find_calibration,
            )
            run = triager.run(
                [] if refusal else findings,
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
                    self.lang(),
                ],
                exit_code=0,
                duration_s=time.monotonic() - began,
                started_at=started,
                stdout=output,
                metrics=run.metrics.model_copy(update={"refusal": refusal}),
            )
        )
        return [None] * len(findings) if refusal else run.verdicts

    def _refuse_model(self, questions: int) -> str:
        """Return why the tenant's code isn't shown to this worker's model; empty where it may be."""
        return describe_refusal(
            self.attempt.settings.model_location, self.attempt.lease.params.get(MODEL_POLICY), questions
        )

    def _store(self, name: str, path: Path) -> str:
        self.attempt.check_lease()
        try:
            self._put(name, path, MAX_ARTIFACT)
        except LimitError:  # an api with a lower limit: the beginning is better than no scan
            self._put(name, path, SHORT_ARTIFACT)
        return name

    def _put(self, name: str, path: Path, limit: int) -> None:
        attempt = self.attempt
        repeat_while_away(
            partial(attempt.client.put_artifact, attempt.lease, name, path, limit=limit),
            f"task {attempt.lease.task_id}: {name} is sent again",
            attempt.stop,
        )
        attempt.check_lease()

    def lang(self) -> Lang:
        """The task's own language where it names one of the product's, else the worker's."""
        wanted = self.attempt.lease.params.get("lang")
        if wanted == "es":
            return "es"
        return "en" if wanted == "en" else self.attempt.settings.triage.lang

    def _result(
        self,
        outcome: Literal["completed", "failed", "timeout", "retry"],
        error: SecuretagError | None = None,
    ) -> ResultRequest:
        return ResultRequest(
            task_id=self.attempt.lease.task_id,
            outcome=outcome,
            error=f"{error}. {error.hint}".strip() if error is not None else "",
            tool_executions=self.executions,
        )


def hide_place(argument: str) -> str:
    """Return an argument of a tool without the worker's folders and its addresses on loopback."""
    option, is_option, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    value = f"…/{PurePosixPath(value).name}" if value.startswith("/") else _LOOPBACK.sub("<loopback>", value)
    return f"{option}{is_option}{value}"
