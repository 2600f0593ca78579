"""Nuclei, where it is installed, and its report in JSON Lines.

Format: the struct ResultEvent of pkg/output/output.go, flags: the help in README.md, both of version 3 at
https://github.com/projectdiscovery/nuclei. A test runs the program itself where it is on PATH.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import msgspec

from securetag.errors import InputError, SettingsError, ToolError
from securetag.records import Severity
from securetag.scanning.web.addresses import Target, parse_target
from securetag.scanning.web.location import WebMatch
from securetag.scanning.web.scanner import WebScanner, WebScanRequest

_SEVERITIES: dict[str, Severity] = {
    "info": "info",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "critical": "critical",
}
_CWE = re.compile(r"CWE-\d{1,5}", re.IGNORECASE)
#: Characters of an answer that are evidence.
MAX_ANSWER = 1_000


class _Classification(msgspec.Struct, rename={"cwe": "cwe-id"}):
    cwe: list[str] | str | None = None


class _Info(msgspec.Struct):
    name: str = ""
    severity: str = "info"
    description: str | None = None
    remediation: str | None = None
    classification: _Classification | None = None


class _Event(msgspec.Struct, rename="kebab"):
    template_id: str
    info: _Info = msgspec.field(default_factory=_Info)
    type: str = "http"
    matcher_name: str | None = None
    matched_at: str = ""
    extracted_results: list[str] | None = None
    request: str = ""
    response: str = ""
    fuzzing_method: str | None = msgspec.field(default=None, name="fuzzing_method")
    fuzzing_parameter: str | None = msgspec.field(default=None, name="fuzzing_parameter")


class NucleiScanner(WebScanner):
    """Runs the operator's templates against an application."""

    name = "nuclei"
    is_optional = True

    def detect(self) -> str:
        executable = self.settings.nuclei or shutil.which("nuclei")
        if executable is None or not Path(executable).is_file():
            raise SettingsError(
                "Nuclei is not installed",
                hint="Put `nuclei` on PATH, or name it by SECURETAG_WEB__NUCLEI.",
            )
        templates = self.settings.nuclei_templates
        if templates is None or not templates.is_dir():
            raise SettingsError(
                "Nuclei has no templates", hint="Name their folder by SECURETAG_WEB__NUCLEI_TEMPLATES."
            )
        return str(executable)

    def command(self, request: WebScanRequest, proxy: str, report: Path) -> list[str]:
        return [
            *(self.detect(), "-target", request.url, "-templates", str(self.settings.nuclei_templates)),
            *("-proxy", proxy, "-type", "http", "-jsonl", "-output", str(report), "-omit-template"),
            # Nothing but the target: no server to call back, no updates, no probes.
            *("-no-interactsh", "-disable-update-check", "-no-httpx", "-no-mhe", "-no-stdin"),
            *("-timeout", "10", "-rate-limit", "50", "-concurrency", "10", "-no-color", "-silent"),
        ]

    def parse(self, report: bytes, target: Target) -> list[WebMatch]:
        try:
            events = [msgspec.json.decode(line, type=_Event) for line in report.splitlines() if line.strip()]
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ToolError(f"a line is no result of Nuclei: {error}") from error
        return [_match(event) for event in events if event.type == "http" and _is_at(event, target)]


def _is_at(event: _Event, target: Target) -> bool:
    """Whether it is the target's: of another host Nuclei saw the egress proxy's refusal."""
    try:
        return parse_target(event.matched_at.split("?", 1)[0].replace(" ", "%20")).origin == target.origin
    except InputError:
        return False


def _match(event: _Event) -> WebMatch:
    info = event.info
    classification = info.classification.cwe if info.classification is not None else None
    cwes = [classification] if isinstance(classification, str) else classification or []
    cwe = next((match[0].upper() for text in cwes if (match := _CWE.search(text))), "")
    method = event.fuzzing_method or event.request.split(" ", 1)[0]
    lines = [f"extracted: {text}" for text in event.extracted_results or []]
    return WebMatch(
        rule_id=f"nuclei.{event.template_id}" + (f".{event.matcher_name}" if event.matcher_name else ""),
        title=info.name or event.template_id,
        message=info.description or info.name,
        severity=_SEVERITIES.get(info.severity.lower(), "info"),
        url=event.matched_at,
        method=method if method.isalpha() else "GET",
        parameter=event.fuzzing_parameter or "",
        request=event.request,
        evidence="\n".join([*lines, event.response[:MAX_ANSWER]]),
        cwe=cwe,
        recommendation=info.remediation or "",
    )
