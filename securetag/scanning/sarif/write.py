"""Findings, verdicts and coverage → one SARIF 2.1.0 document, within the limits of GitHub code scanning.

Limits: https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support. What is
over one of them is cut by rank, the least first, and a notification in the document says how much.

>>> document = write_sarif([], RunInfo(project="shop", version="1.0"))  # bytes
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from urllib.parse import quote

import msgspec

from securetag.records import SEVERITIES, BranchState, Finding, JsonObject, Severity, TraceStep, Verdict
from securetag.scanning.sarif import document as sarif
from securetag.scanning.sarif.coverage import describe_coverage
from securetag.scanning.sarif.document import Message
from securetag.scanning.sarif.reported import Reported
from securetag.system.version import package_version
from securetag.wire.api import ScanDetail
from securetag.wire.queue import Coverage

#: Name of the base of every relative path.
ROOT = "%SRCROOT%"
_CWE = "CWE"
_LEVELS: dict[Severity, Literal["note", "warning", "error"]] = {
    "info": "note",
    "low": "note",
    "medium": "warning",
    "high": "error",
    "critical": "error",
}
#: GitHub's levels by `security-severity`: from 0.1 low, 4.0 medium, 7.0 high, above 9.0 critical.
_SECURITY_SEVERITY: dict[Severity, str] = {"low": "2.0", "medium": "5.5", "high": "8.0", "critical": "9.5"}
#: A finding's state in its branch → what SARIF calls it, compared with the scans before.
_BASELINE: dict[BranchState, Literal["new", "unchanged", "updated", "absent"]] = {
    "new": "new",
    "open": "unchanged",
    "reopened": "updated",
    "fixed": "absent",
}
#: Characters of one text; GitHub shows 1,024 of a description and takes longer ones.
_MAX_TEXT = 4_000


@dataclass(frozen=True)
class SarifLimits:
    """What one document may hold. The defaults are what GitHub accepts, as of November 2026."""

    results: int = 25_000
    rules: int = 25_000
    #: Locations of one result, the related ones included.
    locations: int = 1_000
    #: Steps of the data flow of one result. 10,000 are accepted and 1,000 stored.
    flow_locations: int = 1_000
    #: Tags of one rule. 20 are accepted and 10 stored.
    tags: int = 10
    #: Bytes of the document after gzip.
    gzip_bytes: int = 10_000_000


@dataclass(frozen=True)
class RunInfo:
    """What a document says of the scan itself."""

    project: str
    #: Securetag's own version.
    version: str
    branch: str = ""
    commit: str = ""
    task_id: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    #: False where the scan ended before its time.
    successful: bool = True
    coverage: Coverage | None = None
    #: Tool → version.
    tools: dict[str, str] = field(default_factory=dict)


def describe_run(scan: ScanDetail) -> RunInfo:
    """Return what a SARIF document says of a scan."""
    return RunInfo(
        project=scan.project,
        version=package_version(),
        branch=str(scan.params.get("branch") or ""),
        commit=str(scan.params.get("commit") or ""),
        task_id=str(scan.task_id),
        started_at=scan.started_at,
        finished_at=scan.finished_at,
        coverage=scan.coverage,
        tools={run.tool: run.version for run in scan.tool_executions if run.attempt == scan.attempt},
    )


def write_sarif(
    reported: Iterable[Reported],
    info: RunInfo,
    *,
    limits: SarifLimits | None = None,
    total: int = 0,
) -> bytes:
    """Return the document as UTF-8 JSON, the highest rank first.

    `total`: findings of the scan, where that is more than are given.
    """
    limits = limits or SarifLimits()
    ordered = sorted(reported, key=_order)
    total = max(total, len(ordered))
    kept = _within_rules(ordered[: limits.results], limits)
    while True:
        written = msgspec.json.encode(_log(kept, total, info, limits))
        packed = len(gzip.compress(written, compresslevel=6, mtime=0))
        if packed <= limits.gzip_bytes or not kept:
            return written
        # The size grows with the results; 5 % less, so that a second try seldom needs a third.
        kept = kept[: min(len(kept) - 1, int(len(kept) * limits.gzip_bytes / packed * 0.95))]


def rule_id_of(finding: Finding) -> str:
    """Return the rule's id in a document: of other tools than ours with the tool before it."""
    is_ours = finding.tool == "semgrep" or finding.rule_id.startswith("securetag.")
    return finding.rule_id if is_ours else f"{finding.tool}/{finding.rule_id}"


def _order(item: Reported) -> tuple[int, int, str, int, str]:
    finding = item.finding
    severity = SEVERITIES.index(finding.severity)
    return -finding.rank, -severity, finding.path, finding.start_line, finding.rule_id


def _within_rules(items: Sequence[Reported], limits: SarifLimits) -> list[Reported]:
    """Return the items whose rules are among the first `limits.rules`."""
    rules: set[str] = set()
    kept = []
    for item in items:
        rule = rule_id_of(item.finding)
        if rule in rules or len(rules) < limits.rules:
            rules.add(rule)
            kept.append(item)
    return kept


def _log(items: Sequence[Reported], total: int, info: RunInfo, limits: SarifLimits) -> sarif.Log:
    rules = _rules(items, limits)
    numbers = {rule.id: number for number, rule in enumerate(rules)}
    twins: Counter[tuple[str, str]] = Counter()
    results = []
    for item in items:
        place = (item.finding.fingerprint, item.finding.path)
        twins[place] += 1
        results.append(_result(item, numbers, twins[place], limits))
    cwes = sorted({cwe for item in items if (cwe := _cwe_number(item.finding.cwe))}, key=int)
    coverage = describe_coverage(info.coverage)
    run = sarif.Run(
        tool=sarif.Tool(
            driver=sarif.Component(
                name="Securetag",
                version=info.version,
                rules=rules,
                notifications=coverage.descriptors,
                supported_taxonomies=[sarif.ToolComponentReference(name=_CWE, index=0)],
            )
        ),
        results=results,
        invocations=[
            sarif.Invocation(
                execution_successful=info.successful,
                start_time_utc=_time(info.started_at),
                end_time_utc=_time(info.finished_at),
                tool_execution_notifications=coverage.notifications,
                tool_configuration_notifications=_describe_cut(total - len(items)),
            )
        ],
        taxonomies=[
            sarif.Component(
                name=_CWE,
                organization="MITRE",
                information_uri="https://cwe.mitre.org/",
                short_description=Message(text="The MITRE Common Weakness Enumeration"),
                taxa=[sarif.Descriptor(id=number, help_uri=_cwe_page(number)) for number in cwes],
            )
        ],
        automation_details=_automation(info),
        original_uri_base_ids={
            ROOT: sarif.ArtifactLocation(description=Message(text="The project's root folder"))
        },
        column_kind="unicodeCodePoints",
        properties={
            name: value
            for name, value in {
                "project": info.project,
                "branch": info.branch,
                "commit": info.commit,
                "taskId": info.task_id,
                "tools": info.tools,
                "coverage": None if info.coverage is None else info.coverage.model_dump(mode="json"),
            }.items()
            if value
        },
    )
    return sarif.Log(schema=sarif.SCHEMA_URI, version="2.1.0", runs=[run])


def _describe_cut(missing: int) -> list[sarif.Notification]:
    if not missing:
        return []
    text = (
        f"{missing:,} findings of the lowest rank are not in this file, which holds as many as GitHub code "
        "scanning takes. Securetag's api and command line list all of them."
    )
    return [sarif.Notification(message=Message(text=text), level="warning")]


def _automation(info: RunInfo) -> sarif.AutomationDetails:
    """GitHub takes what is before the last slash as the category: the same on every branch."""
    project, branch = (quote(text.replace("/", "-"), safe=" ") for text in (info.project, info.branch))
    text = f"Securetag's scan of {info.project}" + (f", branch {info.branch}" if info.branch else "")
    return sarif.AutomationDetails(id=f"securetag/{project}/{branch}", description=Message(text=text))


def _rules(items: Sequence[Reported], limits: SarifLimits) -> list[sarif.Descriptor]:
    """Return one descriptor for each rule, with the highest severity that one of its findings has."""
    worst: dict[str, Finding] = {}
    for item in items:
        rule, finding = rule_id_of(item.finding), item.finding
        before = worst.get(rule)
        if before is None or SEVERITIES.index(before.severity) < SEVERITIES.index(finding.severity):
            worst[rule] = finding
    return [_rule(rule, finding, limits) for rule, finding in sorted(worst.items())]


def _rule(rule: str, finding: Finding, limits: SarifLimits) -> sarif.Descriptor:
    title = _text(finding.title) or rule
    message, advice = _text(finding.message) or title, _text(finding.recommendation)
    number = _cwe_number(finding.cwe)
    tags = ["security"]
    if number:
        tags.append(f"external/cwe/cwe-{number.zfill(3)}")
    if finding.owasp:
        tags.append(f"external/owasp/{finding.owasp}".lower())
    # Of a rule's findings some may be surer than others; `precision` orders alerts of like severity.
    properties: JsonObject = {"tags": tags[: limits.tags], "precision": finding.confidence}
    if finding.severity in _SECURITY_SEVERITY:
        properties["security-severity"] = _SECURITY_SEVERITY[finding.severity]
    return sarif.Descriptor(
        id=rule,
        name=title,
        short_description=Message(text=title),
        full_description=Message(text=message),
        help=Message(
            text=f"{message}\n\n{advice}".strip(),
            markdown=f"{message}\n\n{advice}".strip()
            + (f"\n\n[{finding.cwe}]({_cwe_page(number)})" if number else ""),
        ),
        help_uri=_cwe_page(number) if number else None,
        default_configuration=sarif.Configuration(level=_LEVELS[finding.severity]),
        relationships=[sarif.Relationship(target=_cwe_reference(number), kinds=["superset"])]
        if number
        else [],
        properties=properties,
    )


def _result(item: Reported, numbers: dict[str, int], ordinal: int, limits: SarifLimits) -> sarif.Result:
    finding = item.finding
    rule = rule_id_of(finding)
    number = _cwe_number(finding.cwe)
    version, digest = finding.fingerprint.split(":", 1)
    suppressions: list[sarif.Suppression] = []
    if item.justification is not None:
        suppressions = [
            sarif.Suppression(
                kind="external", status="accepted", justification=_text(item.justification) or None
            )
        ]
    return sarif.Result(
        rule_id=rule,
        rule_index=numbers[rule],
        level=_LEVELS[finding.severity],
        message=Message(text=_text(finding.message) or _text(finding.title) or rule),
        locations=[_location(finding)],
        taxa=[_cwe_reference(number)] if number else [],
        partial_fingerprints={
            f"securetag/{version}": digest,
            # By this one GitHub follows an alert, within a file and a rule.
            "primaryLocationLineHash": f"{digest[:16]}:{ordinal}",
        },
        code_flows=_code_flows(finding.trace, limits),
        related_locations=_related(finding, limits),
        suppressions=suppressions,
        baseline_state=None if item.state is None else _BASELINE[item.state],
        rank=min(finding.rank, 1_000) / 10,
        properties=_properties(item),
    )


def _properties(item: Reported) -> JsonObject:
    """Return what SARIF has no field for; one of no value is left out."""
    finding = item.finding
    values: JsonObject = {
        "verdict": item.verdict,
        "by": item.by,
        "reviewer": item.reviewer,
        "mode": item.mode or "",
        "model": None if item.model is None else _describe_model(item.model),
        "severity": finding.severity,
        "confidence": finding.confidence,
        "rank": finding.rank,
        "pathClass": finding.path_class,
        "tool": finding.tool,
        "cwe": finding.cwe,
        "owasp": finding.owasp,
        "findingId": item.finding_id,
        "occurrenceId": item.occurrence_id,
        "matches": [msgspec.to_builtins(match) for match in finding.matches],
    }
    return {name: value for name, value in values.items() if value not in ("", [], None)}


def _describe_model(verdict: Verdict) -> JsonObject:
    """Return what the model said, as far as it said anything."""
    values: JsonObject = {
        "verdict": verdict.decision.value,
        "probabilityFalsePositive": verdict.p_false_positive,
        "threshold": verdict.threshold,
        "calibrationId": verdict.calibration_id,
        "gate": verdict.gate,
        "id": verdict.model_id,
        "alias": verdict.alias,
        "reason": _text(verdict.reason),
        "reasoning": _text(verdict.reasoning),
        "recommendation": _text(verdict.recommendation),
        "evidence": verdict.evidence,
    }
    return {name: value for name, value in values.items() if value not in ("", [], None)}


def _location(finding: Finding) -> sarif.Location:
    scopes = [sarif.LogicalLocation(fully_qualified_name=finding.scope)] if finding.scope else []
    if finding.web is not None:
        place = sarif.PhysicalLocation(artifact_location=sarif.ArtifactLocation(uri=_uri(finding.web.url)))
        return sarif.Location(physical_location=place, logical_locations=scopes)
    first = finding.start_line - finding.snippet_line
    lines = finding.snippet.split("\n")[max(0, first) : finding.end_line - finding.snippet_line + 1]
    return sarif.Location(
        physical_location=_physical(
            finding.path, finding.start_line, finding.end_line, "\n".join(lines) if first >= 0 else ""
        ),
        logical_locations=scopes,
    )


def _physical(path: str, first: int, last: int, code: str = "") -> sarif.PhysicalLocation:
    first = max(1, first)
    return sarif.PhysicalLocation(
        artifact_location=sarif.ArtifactLocation(uri=_uri(path), uri_base_id=ROOT),
        region=sarif.Region(
            start_line=first,
            end_line=max(first, last),
            snippet=sarif.Snippet(text=code[:_MAX_TEXT].encode("utf-8", "replace").decode())
            if code
            else None,
        ),
    )


def _code_flows(trace: Sequence[TraceStep], limits: SarifLimits) -> list[sarif.CodeFlow]:
    if not trace:
        return []
    # The source and the sink say most: what is too much goes from the middle.
    half = limits.flow_locations // 2
    steps = trace if len(trace) <= limits.flow_locations else [*trace[:half], *trace[-half:]]
    return [
        sarif.CodeFlow(
            thread_flows=[
                sarif.ThreadFlow(
                    locations=[
                        sarif.ThreadFlowLocation(
                            location=sarif.Location(
                                physical_location=_physical(step.path, step.start_line, step.end_line),
                                message=Message(text=_text(step.text) or "step"),
                            )
                        )
                        for step in steps
                    ]
                )
            ]
        )
    ]


def _related(finding: Finding, limits: SarifLimits) -> list[sarif.Location]:
    """Return where the other rules that report the finding have matched."""
    places: dict[tuple[int, int], list[str]] = {}
    for match in finding.matches:
        if (match.start_line, match.end_line) != (finding.start_line, finding.end_line):
            places.setdefault((match.start_line, match.end_line), []).append(f"{match.tool}: {match.rule_id}")
    return [
        sarif.Location(
            physical_location=_physical(finding.path, first, last),
            message=Message(text=_text("; ".join(rules))),
        )
        for (first, last), rules in sorted(places.items())[: limits.locations - 1]
    ]


def _cwe_number(cwe: str) -> str:
    """Return `78` of `CWE-78`; empty for anything else."""
    number = cwe.upper().removeprefix("CWE-").lstrip("0")
    return number if cwe.upper().startswith("CWE-") and number.isascii() and number.isdigit() else ""


def _cwe_page(number: str) -> str:
    return f"https://cwe.mitre.org/data/definitions/{number}.html"


def _cwe_reference(number: str) -> sarif.DescriptorReference:
    return sarif.DescriptorReference(
        id=number, tool_component=sarif.ToolComponentReference(name=_CWE, index=0)
    )


def _uri(path: str) -> str:
    """Return a path, or a URL, as a valid URI: what isn't allowed in one is percent-encoded."""
    if path.startswith(("http://", "https://")):
        return quote(path, safe="/:?#[]@!$&'()*+,;=%~", errors="replace")
    # A colon in the first part would make it a scheme; an absolute path would leave the root.
    return quote(path.lstrip("/") or ".", safe="/@!$&'()*+,;=~", errors="replace")


def _text(text: str) -> str:
    """Return a text without control characters, of at most `_MAX_TEXT` characters."""
    text = text[: _MAX_TEXT + 1].encode("utf-8", "replace").decode()
    clean = "".join(c if c >= " " or c in "\n\t" else "\ufffd" for c in text).strip()
    return clean if len(clean) <= _MAX_TEXT else clean[: _MAX_TEXT - 1] + "…"


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
