"""The scanner `secrets`: our detection in a process of its own, within limits."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import msgspec

from securetag.errors import SettingsError, ToolError
from securetag.records import Confidence, Finding, Lang, Severity
from securetag.scanning.coverage import CoverageCounter
from securetag.scanning.scanner import Match, ScanLimits, Scanner, ScannerRun, ScanRequest, findings_of
from securetag.scanning.secrets.__main__ import Line
from securetag.system.version import package_version

_TITLES = {
    "private-key": "Private key in a file",
    "provider-token": "Token of a service in a file",
    "connection-string": "Password in a connection string",
    "environment-default": "Secret as a default value",
    "assigned": "Hard-coded secret",
}
_SEVERITIES: Mapping[str, Severity] = {"private-key": "critical", "provider-token": "critical"}
_MESSAGES: Mapping[Lang, str] = {
    "en": "A credential is written down here, where everyone who reads the files has it.",
    "es": "Aquí hay una credencial escrita, donde la tiene todo el que lea los archivos.",
}
_RECOMMENDATIONS: Mapping[Lang, str] = {
    "en": "Revoke it, and read its successor from the environment or a secret store.",
    "es": "Revócala y lee la nueva del entorno o de un almacén de secretos.",
}


class SecretsScanner(Scanner):
    """Credentials in any text file."""

    name = "secrets"
    _lang: Lang = "en"

    def detect(self) -> str:
        """Return our version. Raises SettingsError where detect-secrets is missing."""
        if find_spec("detect_secrets") is None:
            raise SettingsError("detect-secrets is not installed", hint="pip install 'securetag[worker]'")
        return package_version()

    def command(self, project: Path, limits: ScanLimits) -> list[str]:  # noqa: ARG002  # run in the project
        """Return the command of our own detection."""
        return [sys.executable, "-I", "-m", "securetag.scanning.secrets"]

    @property
    def limits(self) -> ScanLimits:
        """As for Semgrep, with less memory."""
        semgrep = self.settings.semgrep
        return ScanLimits(semgrep.timeout_s, semgrep.cpu_s, min(1024, semgrep.memory_mb))

    def scan(self, request: ScanRequest) -> ScannerRun:
        """Scan, with texts in the language that the request names."""
        self._lang = request.lang
        run = super().scan(request)
        if run.failure:
            return run
        entries = _read_report(run.stdout_path.read_bytes())
        # A file that it reads is no code that was scanned: a project in another language stays unscanned.
        counter = CoverageCounter()
        for entry in entries:
            if entry.skipped is not None:
                counter.add_skipped(entry.path, entry.skipped, entry.bytes)
        coverage = counter.coverage()
        metrics = run.metrics.model_copy(update={"files": entries[-1].files, "coverage": coverage})
        return replace(run, metrics=metrics, coverage=coverage)

    def parse(self, output: bytes, project: Path) -> list[Finding]:
        """Return the findings of the report. Raises ToolError for one that isn't whole."""
        entries = [entry for entry in _read_report(output) if entry.kind]
        return findings_of([self._match(entry) for entry in entries], project, tool=self.name)

    def _match(self, entry: Line) -> Match:
        confidence = next(word for word in get_args(Confidence) if word == entry.confidence)
        return Match(
            rule_id=f"secrets.{entry.kind}",
            path=entry.path,
            start_line=entry.line,
            end_line=entry.end_line,
            title=_TITLES[entry.kind],
            message=_MESSAGES[self._lang],
            recommendation=_RECOMMENDATIONS[self._lang],
            severity=_SEVERITIES.get(entry.kind, "high"),
            cwe="CWE-798",
            owasp="A07:2025",
            confidence=confidence,
            kind="secret",
        )


def _read_report(output: bytes) -> list[Line]:
    """Return the lines of a report, of which the last says that it is whole. Raises ToolError."""
    try:
        entries = msgspec.json.Decoder(Line).decode_lines(output)
    except msgspec.DecodeError as error:
        raise ToolError(f"the report of secrets can't be read: {error}") from error
    if not entries or entries[-1].files < 0:
        raise ToolError("the report of secrets isn't whole")
    return entries
