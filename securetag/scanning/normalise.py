"""Semgrep's JSON → Findings.

Its `extra.lines` and `extra.fingerprint` are "requires login" without an account, so both are
computed here from the files. Offsets count bytes of the file as it is.
Format: https://semgrep.dev/docs/semgrep-appsec-platform/json-and-sarif#json (checked with 1.182.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import msgspec

from securetag.errors import ToolError
from securetag.records import Finding, Lang, RuleMatch, Severity, SliceLine
from securetag.rules import RuleMetadata
from securetag.scanning.extraction import Extract
from securetag.scanning.identity.describe import Described
from securetag.scanning.identity.fingerprint import fingerprint
from securetag.scanning.identity.outside import DescribedPlace, follow_outside, read_files
from securetag.scanning.scanner import read_source
from securetag.scanning.snippet import Snippet, SourceFile


class _Position(msgspec.Struct, frozen=True):
    line: int
    #: From 1, in bytes.
    col: int
    offset: int


class _Extra(msgspec.Struct, frozen=True):
    message: str = ""
    severity: str = "INFO"


class Match(msgspec.Struct, frozen=True):
    """One entry of `results`."""

    check_id: str
    path: str
    start: _Position
    end: _Position
    extra: _Extra


class Problem(msgspec.Struct, frozen=True):
    """One entry of `errors`: with a path it is about that file, without one about the scan."""

    #: A word, or a list of a word and its details.
    type: str | list[object]
    message: str = ""
    path: str | None = None
    rule_id: str | None = None

    @property
    def kind(self) -> str:
        return self.type if isinstance(self.type, str) else str(self.type[0] if self.type else "")

    @property
    def fatal(self) -> bool:
        """Does it mean that the scan didn't do what was asked? A rule that can't be read does."""
        return self.path is None or self.kind in {
            "Rule parse error",
            "PatternParseError",
            "Pattern parse error",
            "Invalid YAML",
        }


class Paths(msgspec.Struct, frozen=True):
    scanned: list[str] = []


class Report(msgspec.Struct, frozen=True):
    """What Semgrep prints with `--json`, as far as it is used."""

    version: str
    results: list[Match]
    errors: list[Problem]
    paths: Paths


#: Rules that aren't in the catalog carry Semgrep's own severities.
_SEVERITY: dict[str, Severity] = {
    "CRITICAL": "critical",
    "ERROR": "high",
    "HIGH": "high",
    "WARNING": "medium",
    "MEDIUM": "medium",
    "LOW": "low",
    "INFO": "info",
}


def read_report(stdout: bytes) -> Report:
    """Raises ToolError when Semgrep printed something else."""
    try:
        # Messages quote code as it is, so a file that isn't UTF-8 makes the report none either.
        return msgspec.json.decode(stdout.decode("utf-8", errors="replace"), type=Report)
    except msgspec.DecodeError as error:
        raise ToolError(
            f"Semgrep's output is no report: {error}", hint="Read the stderr of this tool execution."
        ) from error


def normalise(
    report: Report,
    root: Path,
    *,
    catalogue: Mapping[str, RuleMetadata],
    lang: Lang = "en",
    extracts: Mapping[str, Extract] | None = None,
) -> list[Finding]:
    """Findings in the order of files and lines, one for each rule and place.

    `root` is the folder that was scanned, `extracts` says of which file a generated copy is. Raises ToolError
    when the report speaks of a file that isn't there.
    """
    extracts = extracts or {}
    unique = {
        (match.path, match.start.offset, match.end.offset, _rule_id(match.check_id, catalogue)): match
        for match in report.results
    }
    files: dict[str, SourceFile] = {}
    drafts: list[_Draft] = []
    described_places: list[DescribedPlace] = []

    def order(place: tuple[str, int, int, str]) -> tuple[str, int, int, str]:
        path, start, end, rule_id = place
        return (extracts[path].path if path in extracts else path, start, end, rule_id)

    for place in sorted(unique, key=order):
        (path, start, end, rule_id), match = place, unique[place]

        inside = extracts.get(path)
        source = files.get(path) or files.setdefault(path, _read(root, path, inside))
        snippet = source.snippet(match.start.line, match.end.line, column=match.start.col - 1)
        described = source.describe(start, end, snippet)
        file = inside.path if inside else path
        cell = inside.describe_place(match.start.line, lang) if inside else ""
        lines = source.slice(match.start.line, match.end.line)
        drafts.append(_Draft(match, rule_id, source.language, described, snippet, lines, file, cell))
        described_places.append(DescribedPlace(file, start, end, source.code_file, described))
    return [
        _finding(replace(draft, described=described), catalogue.get(draft.rule_id), lang)
        for draft, described in zip(drafts, follow_outside(described_places, read_files(root)), strict=True)
    ]


@dataclass(frozen=True)
class _Draft:
    match: Match
    rule_id: str
    language: str
    described: Described
    snippet: Snippet
    code_slice: list[SliceLine]
    #: Relative to the project.
    path: str
    #: Of a notebook: `cell 3, line 2`.
    cell: str


def _read(root: Path, path: str, inside: Extract | None) -> SourceFile:
    """Return the file that Semgrep names, or, for a generated copy, the file that it was made from."""
    if inside is None:
        return read_source(root, path, "Semgrep")
    code = Path(path).read_bytes()
    if not inside.same_offsets:
        return SourceFile(code, inside.language)
    return SourceFile(read_source(root, inside.path, "Semgrep").content, inside.language, code=code)


def _finding(draft: _Draft, rule: RuleMetadata | None, lang: Lang) -> Finding:
    match, snippet, rule_id = draft.match, draft.snippet, draft.rule_id
    cwe = rule.cwe if rule else ""
    message = rule.message.get(lang) if rule else match.extra.message.replace("\0", "\ufffd")
    return Finding(
        tool="semgrep",
        rule_id=rule_id,
        path=PurePosixPath(draft.path).as_posix(),
        language=draft.language,
        start_line=match.start.line,
        end_line=match.end.line,
        snippet=snippet.text,
        snippet_line=snippet.line,
        scope=snippet.scope,
        fingerprint=fingerprint(rule_id, draft.described),
        identity=draft.described.identity,
        code_slice=draft.code_slice,
        cwe=cwe,
        owasp=rule.owasp if rule else "",
        title=rule.title if rule else rule_id.rsplit(".", 1)[-1].replace("-", " "),
        message=f"{message} ({draft.cell})" if draft.cell else message,
        recommendation=rule.recommendation.get(lang) if rule else "",
        severity=rule.severity if rule else _SEVERITY.get(match.extra.severity, "info"),
        confidence=rule.confidence if rule else "medium",
        matches=[
            RuleMatch(
                tool="semgrep",
                rule_id=rule_id,
                cwe=cwe,
                kind=rule.kind if rule else "external",
                start_line=match.start.line,
                end_line=match.end.line,
            )
        ],
    )


def _rule_id(check_id: str, catalogue: Mapping[str, RuleMetadata]) -> str:
    """Semgrep may prefix a rule's id with its file's folders: `srv.packs.securetag.python.eval`."""
    parts = check_id.split(".")
    for start in range(len(parts)):
        if (tail := ".".join(parts[start:])) in catalogue:
            return tail
    return check_id.lstrip(".")
