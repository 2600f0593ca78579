"""`securetag scan --local`: the same scan in this process, without service and database."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import typer
from uuid_utils.compat import uuid7

from securetag.cli.scan.interrupt import Interrupted, raise_on_signals
from securetag.cli.scan.options import Lang
from securetag.cli.scan.packing import Packed, pack
from securetag.errors import SettingsError, ToolError
from securetag.records import OCCURRENCE_FIELDS, Finding, Verdict
from securetag.scanning.coverage import merge_coverage
from securetag.scanning.evidence import combine_evidence
from securetag.scanning.exclusion import leave_out
from securetag.scanning.external import list_scanners, make_scanner
from securetag.scanning.scanner import ScannerRun, ScanRequest
from securetag.scanning.unpack import Limits, unpack
from securetag.settings import Settings
from securetag.wire.api import FindingAnswer, OccurrenceAnswer, ScanDetail, VerdictAnswer

if TYPE_CHECKING:
    from securetag.wire.queue import Coverage

Progress = Callable[[str], None] | None


def scan_locally(
    folder: Path,
    settings: Settings,
    *,
    project: str,
    lang: Lang | None,
    timeout_s: float,
    triage: bool,
    exclude: Sequence[str] = (),
    progress: Progress = None,
) -> tuple[ScanDetail, list[FindingAnswer], Packed]:
    """Scan a folder; return what an api would have answered. The ids in it are of this run alone.

    The folder is packed and unpacked as an upload is, so that the same files are scanned. Raises
    SettingsError where a required scanner is missing, ToolError where one fails,
    ModelUnavailableError where `triage` finds no model.
    """
    started = datetime.now(UTC)
    try:
        with raise_on_signals(), tempfile.TemporaryDirectory(prefix="securetag-") as temporary:
            work = Path(temporary)
            packed = pack(folder, work / "upload.zip", exclude=exclude)
            root, limits = work / "project", settings.worker
            unpacked = unpack(
                work / "upload.zip", root, Limits(limits.max_files, limits.max_unpacked, limits.max_ratio)
            )
            before = leave_out(root, unpacked, exclude, packed.count_by_reason(), packed.named)
            language = lang or settings.triage.lang
            runs, failures = _run_all(
                settings, ScanRequest(root, work / "scanners", language, timeout_s), progress
            )
            findings = combine_evidence(
                [finding for run in runs for finding in run.findings],
                root,
                path_globs=settings.evidence.path_classes,
            )
            verdicts: list[Verdict | None] = [None] * len(findings)
            if triage:
                verdicts = _triage(findings, settings, language, progress)
    except Interrupted as interrupted:
        typer.echo("the scan was stopped", err=True)
        raise typer.Exit(interrupted.exit_code) from interrupted
    scan = describe_scan(project, started, findings, verdicts, _coverage(runs, before, failures))
    answers = [answer_of(scan, finding, verdict) for finding, verdict in zip(findings, verdicts, strict=True)]
    return scan, answers, packed


def _run_all(
    settings: Settings, request: ScanRequest, progress: Progress
) -> tuple[list[ScannerRun], dict[str, str]]:
    """Run all scanners in folders below `request.out`; return the runs, and scanner → why it failed.

    Raises SettingsError and ToolError where one that is required fails.
    """
    runs: list[ScannerRun] = []
    failures: dict[str, str] = {}
    for name in list_scanners(settings):
        if progress is not None:
            progress(f"running {name}")
        scanner = make_scanner(name, settings)
        try:
            runs.append(scanner.scan(replace(request, out=request.out / name)).check())
        except (SettingsError, ToolError) as error:
            if scanner.is_required:
                raise
            failures[name] = str(error)
    return runs, failures


def _triage(
    findings: Sequence[Finding], settings: Settings, lang: Lang, progress: Progress
) -> list[Verdict | None]:
    from securetag.serving.client import connect
    from securetag.worker.gates import PublishedGates
    from securetag.worker.triager import Triager

    client = connect(settings)
    try:
        client.resolve()  # without a model the whole triage would be reasons for no verdict
        published = PublishedGates(settings)
        run = Triager(
            client,
            settings.triage,
            lang=lang,
            find_gate=published.find,
            find_calibration=published.find_calibration,
        ).run(
            findings,
            budget_s=settings.triage.budget_s,
            progress=None if progress is None else lambda done, total: progress(f"triage {done + 1}/{total}"),
        )
    finally:
        client.close()
    return run.verdicts


def describe_scan(
    project: str,
    started: datetime,
    findings: Sequence[Finding],
    verdicts: Sequence[Verdict | None],
    coverage: Coverage | None,
) -> ScanDetail:
    return ScanDetail(
        task_id=uuid7(),
        kind="codeaudit",
        project_id=uuid7(),
        project=project,
        state="completed",
        attempt=1,
        max_attempts=1,
        stage="",
        reason="",
        params={},
        created_at=started,
        started_at=started,
        finished_at=datetime.now(UTC),
        findings=len(findings),
        by_severity=Counter(finding.severity for finding in findings),
        by_verdict=Counter(verdict.decision.value if verdict else "none" for verdict in verdicts),
        upload=None,
        coverage=coverage,
        tool_executions=[],
        history=[],
    )


def _coverage(runs: Sequence[ScannerRun], before: Coverage, failures: Mapping[str, str]) -> Coverage | None:
    """Return what the scanners covered together, as the api does; None where none of them says it."""
    reported = [run.metrics.coverage for run in runs if run.metrics.coverage is not None]
    return merge_coverage(reported, before, failures) if reported or failures else None


def answer_of(scan: ScanDetail, finding: Finding, verdict: Verdict | None) -> FindingAnswer:
    at = OccurrenceAnswer(
        id=uuid7(),
        task_id=scan.task_id,
        **{
            name: getattr(finding, name)
            for name in OCCURRENCE_FIELDS
            if name in OccurrenceAnswer.model_fields
        },
    )
    words = {name: getattr(finding, name) for name in FindingAnswer.model_fields if hasattr(finding, name)}
    now = scan.created_at
    return FindingAnswer(
        **words,
        id=uuid7(),
        project_id=scan.project_id,
        first_seen_at=now,
        last_seen_at=now,
        occurrence=at,
        verdict=None if verdict is None else _verdict(uuid7(), verdict, now),
        feedback=None,
    )


def _verdict(identity: UUID, verdict: Verdict, at: datetime) -> VerdictAnswer:
    names = VerdictAnswer.model_fields.keys() - {"id", "created_at"}
    words = {name: getattr(verdict, name) for name in names}
    return VerdictAnswer(**words, id=identity, created_at=at)
