"""Results of a SARIF document → Findings, with the code where it is there."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from securetag.records import Finding
from securetag.scanning.evidence import PathClasses, rank, weigh
from securetag.scanning.identity.describe import describe_alone
from securetag.scanning.languages import language_of
from securetag.scanning.sarif.read import SarifResult
from securetag.scanning.scanner import Match, findings_of, make_finding
from securetag.scanning.secrets.mask import collect_values, mask_finding
from securetag.scanning.snippet import Snippet

_MAX_TOOL = 50
#: Names of tool executions that are no scanner's.
_RESERVED = frozenset({"triage", "unpack"})


def to_findings(results: Sequence[SarifResult], project: Path | None) -> list[Finding]:
    """Return one finding for each result, in the order of the results.

    With `project`, in which the results' files are, a finding has the code around it, as one of our own
    scanners'; without it the code is what the document quotes. Raises ToolError for a file that isn't there.
    """
    if project is None:
        return [_without_code(result) for result in results]
    findings: dict[tuple[str, Match], Finding] = {}
    for tool, matches in _group_by_tool(results).items():
        for layer in _layers(matches):
            findings |= {
                (tool, match): finding
                for match, finding in zip(layer, findings_of(layer, project, tool=tool), strict=True)
            }
    return [findings[name_tool(result.tool), result.match] for result in results]


def name_tool(name: str) -> str:
    """Return a tool's name in the form of our scanners' names: `Semgrep OSS` is `semgrep-oss`."""
    name = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    is_free = name[:1].isalpha() and name not in _RESERVED
    return (name if is_free else f"tool-{name}")[:_MAX_TOOL].strip("-")


def _group_by_tool(results: Sequence[SarifResult]) -> dict[str, list[Match]]:
    grouped: dict[str, list[Match]] = defaultdict(list)
    for result in results:
        grouped[name_tool(result.tool)].append(result.match)
    return grouped


def _layers(matches: Sequence[Match]) -> list[list[Match]]:
    """Return all matches once, in lists whose order `findings_of` keeps: no place twice in a list."""
    layers: list[dict[tuple[str, int, str], Match]] = []
    for match in dict.fromkeys(matches):
        place = (match.path, match.start_line, match.rule_id)
        layer = next((layer for layer in layers if place not in layer), None)
        if layer is None:
            layers.append(layer := {})
        layer[place] = match
    return [[layer[place] for place in sorted(layer)] for layer in layers]


def _without_code(result: SarifResult) -> Finding:
    match, tool = result.match, name_tool(result.tool)
    language = language_of(match.path)
    code = result.snippet.replace("\0", "\ufffd")
    first = max(1, match.start_line)
    last = max(first, match.end_line)
    return make_finding(
        match,
        tool=tool,
        language=language,
        lines=(first, last),
        snippet=Snippet(text=code, line=first, scope=""),
        described=describe_alone(code or match.path, language),
        identity=None,
        code_slice=[],
    )


def rank_each(findings: Sequence[Finding], project: Path) -> list[Finding]:
    """Return each finding with the rank that its own evidence gives, in the same order: none is merged.

    Values of secrets are masked, as `combine_evidence` masks them.
    """
    classes = PathClasses(project)
    values = collect_values(project, (finding.path for finding in findings))
    ranked = []
    for finding in findings:
        path_class = classes.get(finding.path)
        evidence = weigh(finding.matches, finding.confidence)
        ranked.append(
            msgspec.structs.replace(
                mask_finding(finding, values),
                path_class=path_class,
                rank=rank(finding.severity, evidence, path_class),
            )
        )
    return ranked
