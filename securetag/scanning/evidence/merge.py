"""Make one finding of all that the rules and engines report at one place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from securetag.records import SEVERITIES, Finding, PathClass, RuleKind, RuleMatch
from securetag.scanning.evidence.families import family_of
from securetag.scanning.evidence.paths import PathClasses
from securetag.scanning.evidence.texts import Texts
from securetag.scanning.evidence.weights import CONFIDENCES, rank, weigh

#: Lines between two findings of one place: a statement that is built on one line and run on another.
NEAR_LINES = 3
#: Lines of one finding that the index of places holds; a longer one is found by its first lines.
_INDEXED_LINES = 60
#: Whose statement a merged finding keeps: the sink of a data flow before the construct around it.
_STATEMENT_ORDER: tuple[RuleKind, ...] = ("traced", "template", "shape", "secret", "pattern", "external")


def combine_evidence(
    findings: Sequence[Finding],
    project: Path,
    *,
    path_globs: Mapping[PathClass, Sequence[str]] | None = None,
) -> list[Finding]:
    """Return one finding for each place, the highest rank first.

    Input: the findings of all scanners of one project. Output: `matches` lists every rule, `severity` is the
    highest, `confidence` and `rank` come from the combination, `path_class` from the path and from
    `path_globs`; the rest is of the finding with the strongest kind of rule.

    No secret's value is left in a snippet, a message or a data flow.

    A place is one file, one CWE family, one function and at most NEAR_LINES lines. Two findings of the same
    rule are two places, unless they overlap or are in one text: the rule tells them apart. A text that is put
    together further up in the function is of the place where it is used.
    """
    # Here, since detect-secrets takes a while to import, and masking knows the families of this package.
    from securetag.scanning.secrets.mask import collect_values, mask_finding

    # A value that another file has, or another function, is hidden wherever it stands.
    values = collect_values(project, (finding.path for finding in findings))
    classes = PathClasses(project, path_globs)
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.path, family_of(finding.cwe) or finding.rule_id].append(finding)
    texts = Texts(project)
    combined = [
        mask_finding(place.combine(classes.get(place.first.path)), values)
        for group in groups.values()
        for place in _find_places(group, texts)
    ]
    return sorted(combined, key=lambda item: (-item.rank, item.path, item.start_line, item.rule_id))


def rank_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings of a running application, which have no file, by rank."""
    ranked = [
        msgspec.structs.replace(
            finding, rank=rank(finding.severity, weigh(matches_of(finding), finding.confidence), "source")
        )
        for finding in findings
    ]
    return sorted(ranked, key=lambda finding: -finding.rank)


@dataclass
class _Place:
    """Findings that mean the same place; `first` is the one whose statement counts."""

    first: Finding
    findings: list[Finding] = field(default_factory=list)
    #: Lines of the texts that `first` uses.
    text_lines: frozenset[int] = frozenset()
    #: Lines of the text that `first` is in, where its rule reports others of them too.
    own_lines: frozenset[int] = frozenset()

    def distance(self, finding: Finding) -> int:
        """Return the lines between the place and a finding, 0 where they overlap."""
        return max(0, self.first.start_line - finding.end_line, finding.start_line - self.first.end_line)

    def includes(self, finding: Finding) -> bool:
        """Return whether a finding means this place."""
        if self.uses(finding) or (self.is_of_rule(finding) and finding.start_line in self.own_lines):
            return True
        distance = self.distance(finding)
        if distance > NEAR_LINES or not _same_scope(self.first.scope, finding.scope):
            return False
        rule = (finding.tool, finding.rule_id)
        same_rule = [other for other in self.findings if (other.tool, other.rule_id) == rule]
        return all(
            other.start_line <= finding.end_line and finding.start_line <= other.end_line
            for other in same_rule
        )

    def uses(self, finding: Finding) -> bool:
        """Return whether a finding of another rule is about a text that is used here."""
        return (
            not self.is_of_rule(finding)
            and finding.scope == self.first.scope
            and not self.text_lines.isdisjoint(_lines_of(finding))
        )

    def is_of_rule(self, finding: Finding) -> bool:
        """Return whether a finding is of the rule that the place's statement is of."""
        return (finding.tool, finding.rule_id) == (self.first.tool, self.first.rule_id)

    def combine(self, path_class: PathClass) -> Finding:
        """Return the place as one finding."""
        matches = sorted(
            {match for finding in self.findings for match in matches_of(finding)},
            key=lambda match: (
                _STATEMENT_ORDER.index(match.kind),
                match.tool,
                match.rule_id,
                match.start_line,
            ),
        )
        severity = max((finding.severity for finding in self.findings), key=SEVERITIES.index)
        declared = max((finding.confidence for finding in self.findings), key=CONFIDENCES.index)
        evidence = weigh(matches, declared)
        return msgspec.structs.replace(
            self.first,
            matches=matches,
            severity=severity,
            confidence=evidence.confidence,
            rank=rank(severity, evidence, path_class),
            path_class=path_class,
            trace=next((finding.trace for finding in self.findings if finding.trace), []),
        )


def matches_of(finding: Finding) -> list[RuleMatch]:
    """Return the rules that report the finding; of a scanner that names no kind, one of kind `external`."""
    return finding.matches or [
        RuleMatch(
            tool=finding.tool,
            rule_id=finding.rule_id,
            cwe=finding.cwe,
            kind="external",
            start_line=finding.start_line,
            end_line=finding.end_line,
        )
    ]


def _find_places(findings: Sequence[Finding], texts: Texts) -> list[_Place]:
    """Assign each finding of one file and family to the nearest place, the strongest ones first."""
    places: list[_Place] = []
    by_line: dict[int, list[_Place]] = defaultdict(list)
    by_scope: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_scope[finding.scope].append(finding)
    text_lines = {id(finding): texts.find_lines(finding, by_scope[finding.scope]) for finding in findings}
    for finding in sorted(findings, key=lambda item: _strength(item, uses_text=bool(text_lines[id(item)]))):
        near = [place for line in _lines_of(finding) for place in by_line[line]]
        candidates = [place for place in near if place.includes(finding)]
        if candidates:
            nearest = min(candidates, key=lambda place: (place.distance(finding), place.first.start_line))
            nearest.findings.append(finding)
            continue
        own_lines = texts.find_own_lines(finding, by_scope[finding.scope])
        place = _Place(finding, [finding], text_lines[id(finding)], own_lines)
        places.append(place)
        lines = _lines_of(finding)
        for line in {
            *range(lines.start - NEAR_LINES, lines.stop + NEAR_LINES),
            *place.text_lines,
            *own_lines,
        }:
            by_line[line].append(place)
    return places


def _lines_of(finding: Finding) -> range:
    return range(finding.start_line, min(finding.end_line, finding.start_line + _INDEXED_LINES) + 1)


def _strength(finding: Finding, *, uses_text: bool) -> tuple[int, bool, bool, int, int, int, str, str, int]:
    kind = min(_STATEMENT_ORDER.index(match.kind) for match in matches_of(finding))
    return (
        kind,
        # Stored findings are known by the fingerprint of our rules: another engine doesn't replace it.
        finding.tool != "semgrep",
        not uses_text,
        -CONFIDENCES.index(finding.confidence),
        -SEVERITIES.index(finding.severity),
        finding.start_line,
        finding.tool,
        finding.rule_id,
        finding.end_line,
    )


def _same_scope(left: str, right: str) -> bool:
    """Return whether two scopes are one, or one is inside the other."""
    return left == right or (left + ".").startswith(right + ".") or (right + ".").startswith(left + ".")
