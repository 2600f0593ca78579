"""From what a web scanner reports to the one Finding: where it is, what shows it, and what identifies it.

A report is hostile: paths, parameters and answers are those of a stranger's application. Everything is
bounded, freed of secrets and control characters, and kept inside the target's own origin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from securetag.records import Confidence, Finding, Severity, WebLocation, content_id
from securetag.scanning.web.redact import redact

#: Characters, as `WebLocation` allows them.
MAX_URL, MAX_METHOD, MAX_PARAMETER, MAX_REQUEST, MAX_EVIDENCE = 2_000, 20, 200, 4_000, 2_000
MAX_TITLE, MAX_MESSAGE = 200, 1_000
#: Findings of one scanner's report; a hostile application can make as many pages as it likes.
MAX_FINDINGS = 2_000
_CONTROL = re.compile(r"[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\uffef\U00010000-\U0010ffff]")
#: Headers that every request has and that no reader needs; `WebLocation.request` keeps them.
_ROUTINE = re.compile(
    r"^(?:connection|user-agent|accept|accept-language|accept-encoding|content-length):.*\n?",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class WebMatch:
    """What a scanner reports of one place of an application."""

    rule_id: str
    title: str
    message: str
    severity: Severity
    #: With or without a query; only its path counts.
    url: str
    method: str = "GET"
    parameter: str = ""
    request: str = ""
    evidence: str = ""
    cwe: str = ""
    confidence: Confidence = "medium"
    recommendation: str = ""


def web_findings(matches: Iterable[WebMatch], *, tool: str, origin: str) -> list[Finding]:
    """Return one Finding for each rule, method, path and parameter, in the order of these.

    `origin` is the target's scheme, host and port. Of several matches of one place the one with the first
    request in order stays, so that neither a payload nor the order of a report changes what is stored.
    """
    findings: dict[str, Finding] = {}
    for match in sorted(set(matches), key=_order):
        finding = _finding(match, tool, origin)
        findings.setdefault(finding.fingerprint, finding)
    return list(findings.values())[:MAX_FINDINGS]


def web_fingerprint(rule_id: str, method: str, url: str, parameter: str) -> str:
    """Return what identifies an issue of an application over scans: no payload, no answer."""
    return f"v1:{content_id(['web', rule_id, method, url, parameter])}"


def clip(text: str, limit: int) -> str:
    """Return at most `limit` characters, without control characters; what is cut ends with an ellipsis."""
    text = _CONTROL.sub("\ufffd", text[: 4 * limit].replace("\r\n", "\n").replace("\r", "\n"))
    return text if len(text) <= limit else f"{text[: limit - 2]} …"


def _order(match: WebMatch) -> tuple[str, ...]:
    return (match.rule_id, _path(match.url), match.method, match.parameter, match.request, match.evidence)


def _path(url: str) -> str:
    """Return the path of a URL, escaped as in a request."""
    try:
        path = urlsplit(url).path
    except ValueError:  # `http://[`: of a report, so anything
        path = ""
    return quote(path, safe="/%:@!$&'()*+,;=-._~", errors="replace") or "/"


def _finding(match: WebMatch, tool: str, origin: str) -> Finding:
    path, method = _path(match.url), clip(match.method.upper(), MAX_METHOD)
    parameter = clip(match.parameter, MAX_PARAMETER).replace("\n", " ")
    rule_id = clip(match.rule_id, MAX_TITLE).replace("\n", " ")
    url = clip(f"{origin}{path if path.startswith('/') else f'/{path}'}", MAX_URL)
    request = clip(redact(match.request.strip(), keep=match.parameter), MAX_REQUEST)
    evidence = clip(redact(match.evidence.strip(), keep=match.parameter), MAX_EVIDENCE)
    shown = _ROUTINE.sub("", request) if request else f"{method} {path} HTTP/1.1"
    snippet = "\n\n".join(part for part in (shown.rstrip(), evidence) if part)
    return Finding(
        tool=tool,
        rule_id=rule_id,
        cwe=match.cwe,
        title=clip(match.title, MAX_TITLE).replace("\n", " "),
        message=clip(redact(match.message), MAX_MESSAGE),
        recommendation=clip(match.recommendation, MAX_MESSAGE),
        severity=match.severity,
        confidence=match.confidence,
        language="http",
        path=url.removeprefix(origin),
        start_line=1,
        end_line=1,
        snippet=snippet,
        snippet_line=1,
        scope=parameter,
        fingerprint=web_fingerprint(rule_id, method, url, parameter),
        web=WebLocation(url=url, method=method, parameter=parameter, request=request, evidence=evidence),
    )
