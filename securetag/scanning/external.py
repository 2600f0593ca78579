"""A program that writes SARIF, as a scanner by configuration alone (`[scanners.<name>]`)."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from securetag.errors import InputError, SettingsError, ToolError
from securetag.records import Finding
from securetag.scanning.coverage import CoverageCounter
from securetag.scanning.languages import language_of
from securetag.scanning.process import ProcessResult
from securetag.scanning.sarif.read import read_sarif
from securetag.scanning.scanner import (
    SCANNERS,
    ScanLimits,
    Scanner,
    ScannerRun,
    ScanRequest,
    findings_of,
)
from securetag.settings import Settings, beside_environment
from securetag.system.clock import utc_now
from securetag.wire.queue import ToolMetrics

#: In an argument: the file that the program writes its report to.
REPORT = "{report}"


def list_scanners(settings: Settings) -> list[str]:
    """Return the names of the scanners that read each upload: `worker.scanners`, then the configured ones."""
    return list(dict.fromkeys([*settings.worker.scanners, *settings.scanners]))


def make_scanner(name: str, settings: Settings) -> Scanner:
    """Return the scanner of that name. Raises InputError for an unknown one, SettingsError for a clash."""
    if name not in settings.scanners:
        return SCANNERS.get(name)(settings)
    if name in SCANNERS.names():
        raise SettingsError(
            f"scanners.{name} has the name of a scanner that is built in or installed",
            hint="Give it another name.",
        )
    return ExternalScanner(settings, name)


class ExternalScanner(Scanner):
    """One entry of `scanners` in the settings."""

    name = "external"
    is_required = False

    def __init__(self, settings: Settings, name: str) -> None:
        super().__init__(settings)
        self.name = name  # type: ignore[misc]  # one class for all entries
        self.entry = settings.scanners[name]
        self.good_exit_codes = frozenset(self.entry.exit_codes)  # type: ignore[misc]
        self._report: Path | None = None
        self._unread: frozenset[str] = frozenset()
        self._has_errors = False

    def detect(self) -> str:
        """Return the path of the program. Raises SettingsError with how to install it.

        A name without a folder is looked up in `.venv-<scanner>` beside our environment, in our environment,
        and in PATH.
        """
        program = Path(self.entry.command[0]).expanduser()
        if len(program.parts) > 1:
            candidates = [program.absolute()]
        else:
            beside = beside_environment(f".venv-{self.name}") / "bin" / program
            on_path = shutil.which(program.name)
            candidates = [beside, Path(sys.prefix) / "bin" / program, *([Path(on_path)] if on_path else [])]
        for candidate in candidates:
            if candidate.is_file() and os.access(candidate, os.X_OK):
                return str(candidate)
        raise SettingsError(
            f"{program}, which scanners.{self.name} runs, is neither in {candidates[0].parent} nor on PATH",
            hint=self.entry.install or f"Install it, or remove scanners.{self.name} from the settings.",
        )

    def command(self, project: Path, limits: ScanLimits) -> list[str]:  # noqa: ARG002  # run in the project
        """Return the configured command with the program's path."""
        report = str(self._report or "")
        return [self.detect(), *(part.replace(REPORT, report) for part in self.entry.command[1:])]

    def parse(self, output: bytes, project: Path) -> list[Finding]:
        """Return the findings of a SARIF document. Raises ToolError for something else."""
        content = output
        if self._report is not None:
            content = self._report.read_bytes() if self._report.is_file() else b""
        try:
            report = read_sarif(
                content, project=project, cwes=self.entry.cwes, confidence=self.entry.confidence
            )
        except InputError as error:
            raise ToolError(str(error), hint="Does the command write SARIF?") from error
        self._has_errors = bool(report.failed)
        self._unread = frozenset().union(*report.unread.values())
        return findings_of([result.match for result in report.results], project, tool=self.name)

    @property
    def limits(self) -> ScanLimits:
        return ScanLimits(self.entry.timeout_s, self.entry.cpu_s, self.entry.memory_mb)

    @property
    def environment(self) -> Mapping[str, str]:
        return self.entry.environment

    def scan(self, request: ScanRequest) -> ScannerRun:
        """Run the program once, unless the project has no file in its languages.

        Where its report says that it couldn't read a file, the coverage names it; of a program that reports
        another error nobody can tell what it has read.
        """
        request.out.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(REPORT in part for part in self.entry.command):
            self._report = request.out / f"{self.name}.sarif"
        if self.entry.languages and not _has_language(request.project, set(self.entry.languages)):
            return self._skipped(request)
        run = super().scan(request)
        if run.failure or not (self._has_errors or self._unread):
            return run
        if self._has_errors:
            return replace(run, metrics=run.metrics.model_copy(update={"read_all": False}))
        counter = CoverageCounter()
        for path in sorted(self._unread):
            counter.add_parse_error(path)
        coverage = counter.coverage()
        metrics = run.metrics.model_copy(
            update={"coverage": coverage, "parse_errors": coverage.parse_errors_total}
        )
        return replace(run, metrics=metrics, coverage=coverage)

    def _skipped(self, request: ScanRequest) -> ScannerRun:
        """Return a run of no process and no finding."""
        stdout, stderr = request.out / f"{self.name}.stdout", request.out / f"{self.name}.stderr.txt"
        stdout.write_bytes(b"")
        stderr.write_text(f"not run: the project has no file in {', '.join(self.entry.languages)}\n")
        nothing = ProcessResult(0, False, False, False, utc_now(), 0.0, 0.0, 0.0)
        metrics = ToolMetrics(tool=self.name, read_all=True)
        return ScannerRun(self.name, [], self.detect(), [], nothing, metrics, stdout, stderr)


def _has_language(project: Path, languages: set[str]) -> bool:
    return any(language_of(name) in languages for _, _, names in os.walk(project) for name in names)
