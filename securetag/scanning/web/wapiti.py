"""Wapiti, in an environment of its own, and its report in JSON.

Format: the class JSONReportGenerator of wapitiCore/report/jsonreportgenerator.py (checked with 3.2.3).
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl

import msgspec

from securetag.errors import ToolError
from securetag.records import Severity
from securetag.scanning.locate import wapiti_executable
from securetag.scanning.web.addresses import Target
from securetag.scanning.web.location import WebMatch
from securetag.scanning.web.scanner import WebScanner, WebScanRequest
from securetag.system.version import package_version

#: Shares of the time for crawling, and for all modules together; the rest is start and report.
CRAWL_SHARE, ATTACK_SHARE = 0.25, 0.6
#: Characters of an answer before and after what was sent.
AROUND = 300
#: Category → CWE and severity, where Wapiti names no CWE or its level says little.
_CATEGORIES: dict[str, tuple[str, Severity | None]] = {
    "Content Security Policy Configuration": ("CWE-693", None),
    "Clickjacking Protection": ("CWE-1021", None),
    "MIME Type Confusion": ("CWE-693", None),
    "HTTP Strict Transport Security (HSTS)": ("CWE-319", None),
    "Unencrypted Channels": ("CWE-319", None),
    "HttpOnly Flag cookie": ("CWE-1004", None),
    "Secure Flag cookie": ("CWE-614", None),
    "HTML Injection": ("CWE-80", None),
    "Stored HTML Injection": ("CWE-80", None),
    "CRLF Injection": ("CWE-93", "medium"),
    "Open Redirect": ("CWE-601", "medium"),
    "Reflected Cross Site Scripting": ("CWE-79", "high"),
    "Stored Cross Site Scripting": ("CWE-79", "high"),
    "XML External Entity": ("CWE-611", "high"),
}
_LEVELS: dict[int, Severity] = {0: "info", 1: "low", 2: "medium", 3: "high", 4: "critical"}
_CWE = re.compile(r"CWE-\d{1,5}")
#: In a text of the JSON, such as an answer, its quotation marks would be escaped.
_VERSION = re.compile(rb'"version": "Wapiti ([0-9.]{1,20})"')
_COOKIE = re.compile(r"cookie : (\S{1,200})")


class _Answer(msgspec.Struct):
    status_code: int = 0
    body: str | None = None


class _Detail(msgspec.Struct):
    response: _Answer | None = None


class _Entry(msgspec.Struct):
    method: str = "GET"
    path: str = "/"
    info: str = ""
    level: int = 1
    parameter: str | None = None
    http_request: str = ""
    detail: _Detail | None = None


class _Class(msgspec.Struct):
    sol: str | None = None
    ref: dict[str, str] | None = None


class _Report(msgspec.Struct):
    vulnerabilities: dict[str, list[_Entry]]
    classifications: dict[str, _Class] = {}


class WapitiScanner(WebScanner):
    """Crawls an application and attacks what it finds."""

    name = "wapiti"

    def detect(self) -> str:
        """Return the executable's path: asking it for its version takes seconds."""
        return str(wapiti_executable(self.settings))

    def command(self, request: WebScanRequest, proxy: str, report: Path) -> list[str]:
        modules = self.settings.wapiti_modules
        attack_s = max(1.0, request.timeout_s * ATTACK_SHARE / len(modules))
        folder = request.out
        return [
            *(self.detect(), "-u", request.url, "--scope", "folder", "-m", ",".join(modules)),
            *("--proxy", proxy, "--verify-ssl", "0", "-t", "10", "--tasks", "8"),
            *("--max-scan-time", f"{max(1.0, request.timeout_s * CRAWL_SHARE):.1f}"),
            *("--max-attack-time", f"{attack_s:.1f}"),
            *("--flush-session", "--no-bugreport", "-v", "0"),
            *("--user-agent", f"Mozilla/5.0 (compatible; Securetag/{package_version()}; Wapiti)"),
            *("--store-session", str(folder / "session"), "--store-config", str(folder / "config")),
            *("-f", "json", "-o", str(report), "--detailed-report", "2"),
        ]

    def read_version(self, report: bytes) -> str:
        match = _VERSION.search(report)
        return match[1].decode() if match else ""

    def parse(self, report: bytes, target: Target) -> list[WebMatch]:  # noqa: ARG002  # it has no hosts
        try:
            document = msgspec.json.decode(report, type=_Report)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ToolError(f"it is no report of Wapiti: {error}") from error
        return [
            _match(category, entry, document.classifications.get(category, _Class()))
            for category, entries in document.vulnerabilities.items()
            for entry in entries
        ]


def _match(category: str, entry: _Entry, kind: _Class) -> WebMatch:
    cwe, severity = _CATEGORIES.get(category, ("", None))
    named = next((match[0] for text in kind.ref or {} if (match := _CWE.match(text))), "")
    cookie = _COOKIE.search(entry.info)
    return WebMatch(
        rule_id=f"wapiti.{re.sub(r'[^a-z0-9]+', '-', category.lower()).strip('-')[:100]}",
        title=category,
        message=entry.info,
        severity=severity or _LEVELS.get(entry.level, "medium"),
        url=entry.path,
        method=entry.method,
        parameter=entry.parameter or (cookie[1] if cookie else ""),
        request=entry.http_request,
        evidence=_evidence(entry),
        cwe=cwe or named,
        recommendation=kind.sol or "",
    )


def _evidence(entry: _Entry) -> str:
    """Return what Wapiti says, and of the answer the part around what was sent."""
    answer = entry.detail.response if entry.detail is not None else None
    if answer is None:
        return entry.info
    body = answer.body or ""
    at = body.find(_sent(entry)) if entry.parameter else -1
    first = max(0, at - AROUND)
    return f"{entry.info}\nHTTP {answer.status_code}\n{body[first : first + 3 * AROUND]}"


def _sent(entry: _Entry) -> str:
    """Return the value of the attacked parameter in the request; NUL, which no answer holds, without one."""
    head, _, body = entry.http_request[:8_000].replace("\r\n", "\n").partition("\n\n")
    query = head.split("\n", 1)[0].partition("?")[2].rpartition(" ")[0]
    values = [value for part in (query, body) for name, value in parse_qsl(part) if name == entry.parameter]
    return values[0] if values and values[0] else "\0"
