"""SARIF 2.1.0 of any tool → what it reports, and where.

Standard: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. Tools differ in how they name a
CWE, a severity and a path; docs/howto/add-a-scanner.md says which forms are read. Unknown fields are left
aside, and so is a result that names no line of a file: `SarifReport.left_out` counts it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

import msgspec

from securetag.errors import InputError
from securetag.records import Confidence, TraceStep
from securetag.scanning.sarif.grades import (
    Properties,
    confidence_of,
    cwe_by_prefix,
    cwe_of,
    is_cwe_number,
    severity_of,
)
from securetag.scanning.sarif.known_cwes import KNOWN_CWES
from securetag.scanning.scanner import Match
from securetag.scanning.snippet import Columns

LeftOut = Literal["not a problem", "no place", "outside the project"]

#: Steps of a data flow, characters of a title, of a message and of a piece of code that are kept.
MAX_STEPS, MAX_TITLE, MAX_MESSAGE, MAX_CODE = 100, 200, 2_000, 4_000
#: Characters of a path and of a rule's id; a result with a longer path is left out. Folders of a path of
#: another machine, and bases that a path is put together from.
MAX_PATH, MAX_RULE, MAX_FOLDERS, MAX_BASES = 400, 300, 60, 10
#: Characters of a message before it is cut, and of what is put in for one of its placeholders.
_MAX_TEXT, _MAX_ARGUMENT = 10_000, 1_000
_LINK = re.compile(r"\[([^\[\]\n]{1,300})\]\(\d{1,4}\)")
#: Kinds of results that report no problem.
_NO_PROBLEM = frozenset({"pass", "notApplicable", "informational"})


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    """Base of what is read of a document."""


class _Message(_Part, frozen=True):
    text: str | None = None
    id: str | None = None
    arguments: list[str] | None = None


class _Artifact(_Part, frozen=True):
    uri: str | None = None
    uri_base_id: str | None = None
    index: int = -1


class _ListedArtifact(_Part, frozen=True):
    location: _Artifact | None = None


class _Region(_Part, frozen=True):
    start_line: int | None = None
    end_line: int | None = None
    #: From 1; the end is exclusive.
    start_column: int | None = None
    end_column: int | None = None
    snippet: _Message | None = None


class _Physical(_Part, frozen=True):
    artifact_location: _Artifact | None = None
    region: _Region | None = None


class _Location(_Part, frozen=True):
    physical_location: _Physical | None = None
    message: _Message | None = None


class _FlowLocation(_Part, frozen=True):
    location: _Location | None = None


class _ThreadFlow(_Part, frozen=True):
    locations: list[_FlowLocation] | None = None


class _CodeFlow(_Part, frozen=True):
    thread_flows: list[_ThreadFlow] | None = None


class _Component(_Part, frozen=True):
    name: str | None = None
    index: int = -1


class _Reference(_Part, frozen=True):
    id: str | None = None
    index: int = -1
    tool_component: _Component | None = None


class _Relationship(_Part, frozen=True):
    target: _Reference | None = None


class _Configuration(_Part, frozen=True):
    level: str | None = None


class _Rule(_Part, frozen=True):
    id: str = ""
    name: str | None = None
    short_description: _Message | None = None
    full_description: _Message | None = None
    help: _Message | None = None
    message_strings: dict[str, _Message] | None = None
    default_configuration: _Configuration | None = None
    relationships: list[_Relationship] | None = None
    properties: Properties | None = None


class _Driver(_Part, frozen=True):
    name: str = ""
    version: str | None = None
    semantic_version: str | None = None
    rules: list[_Rule] | None = None


class _Tool(_Part, frozen=True):
    driver: _Driver
    extensions: list[_Driver] | None = None


class _Notification(_Part, frozen=True):
    level: str = "warning"
    locations: list[_Location] | None = None


class _Invocation(_Part, frozen=True):
    execution_successful: bool | None = None
    tool_configuration_notifications: list[_Notification] | None = None
    tool_execution_notifications: list[_Notification] | None = None


class _Result(_Part, frozen=True):
    rule_id: str | None = None
    rule_index: int = -1
    rule: _Reference | None = None
    kind: str | None = None
    level: str | None = None
    message: _Message = _Message()
    locations: list[_Location] | None = None
    code_flows: list[_CodeFlow] | None = None
    taxa: list[_Reference] | None = None
    suppressions: list[Properties] | None = None
    baseline_state: str | None = None
    properties: Properties | None = None


class _Taxonomy(_Part, frozen=True):
    name: str = ""
    taxa: list[_Reference] | None = None


class _Run(_Part, frozen=True):
    tool: _Tool
    taxonomies: list[_Taxonomy] | None = None
    column_kind: str | None = None
    results: list[_Result] | None = None
    artifacts: list[_ListedArtifact] | None = None
    original_uri_base_ids: dict[str, _Artifact] | None = None
    invocations: list[_Invocation] | None = None


class _Log(_Part, frozen=True):
    version: str
    runs: list[_Run]


@dataclass(frozen=True)
class SarifResult:
    """One result that names a place in a file."""

    #: Name of the tool as it stands in the document, `Bandit`.
    tool: str
    match: Match
    #: The code as the document quotes it; may be empty.
    snippet: str
    #: Has somebody marked it as suppressed, in the tool or in the code?
    suppressed: bool
    #: Where it stands in the document: `runs[run].results[index]`.
    run: int = 0
    index: int = 0


@dataclass
class SarifReport:
    """What a document reports."""

    results: list[SarifResult] = field(default_factory=list)
    #: Name → version of each tool.
    tools: dict[str, str] = field(default_factory=dict)
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    #: Tools that ended with an error, as the document says: what they don't report may still be there.
    failed: set[str] = field(default_factory=set)
    #: Tool → files that it couldn't read, as it says (Bandit: a syntax error).
    unread: dict[str, set[str]] = field(default_factory=dict)
    #: Tool → paths of its results that aren't files of the project; empty for one of another machine.
    outside: dict[str, list[str]] = field(default_factory=dict)


def read_sarif(
    content: bytes,
    *,
    project: Path | None = None,
    cwes: Mapping[str, str] | None = None,
    confidence: Confidence = "low",
) -> SarifReport:
    """Return what the document reports, in its order.

    With `project`, the folder that was scanned, paths are made relative to it; one that isn't a file there is
    left out. `cwes` names the CWE of a rule, or of all rules whose id begins so, where the document doesn't.
    `confidence` is that of rules without one. Raises InputError for something else than SARIF 2.1.0.
    """
    try:
        log = msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"), type=_Log)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"this is no SARIF document: {error}", hint="Write it as SARIF 2.1.0.") from error
    if not log.version.startswith("2.1"):
        raise InputError(f"SARIF {log.version} isn't read", hint="Write it as SARIF 2.1.0.")
    report = SarifReport()
    for number, run in enumerate(log.runs):
        _RunReader(run, number, project, cwes or {}, confidence, report).read()
    return report


@dataclass
class _RunReader:
    run: _Run
    number: int
    project: Path | None
    cwes: Mapping[str, str]
    confidence: Confidence
    report: SarifReport

    def read(self) -> None:
        """Append the run's results to the report."""
        driver = self.run.tool.driver
        tool = driver.name.strip() or "unknown"
        self.report.tools[tool] = driver.semantic_version or driver.version or ""
        self._read_errors(tool)
        rules = [*(driver.rules or ())]
        for extension in self.run.tool.extensions or ():
            rules += extension.rules or ()
        by_id = {rule.id: rule for rule in rules}
        for index, result in enumerate(self.run.results or ()):
            if result.kind in _NO_PROBLEM or result.baseline_state == "absent":
                self.report.left_out["not a problem"] += 1
                continue
            self._add(tool, index, result, self._rule_of(result, by_id))

    def _read_errors(self, tool: str) -> None:
        """Note what the tool couldn't do; an error that names no file of the project concerns any."""
        for call in self.run.invocations or ():
            if call.execution_successful is False:
                self.report.failed.add(tool)
            for notification in (
                *(call.tool_configuration_notifications or ()),
                *(call.tool_execution_notifications or ()),
            ):
                if notification.level != "error":
                    continue
                places = [place.physical_location for place in notification.locations or ()]
                paths = [
                    self._path(place.artifact_location) if place is not None else None for place in places
                ]
                if not paths or None in paths:
                    self.report.failed.add(tool)
                self.report.unread.setdefault(tool, set()).update(path for path in paths if path is not None)

    def _rule_of(self, result: _Result, by_id: Mapping[str, _Rule]) -> _Rule:
        reference = result.rule
        identity = result.rule_id or (reference.id if reference is not None else None)
        index = result.rule_index if result.rule_index >= 0 or reference is None else reference.index
        # CodeQL's rules are those of its packs, which are extensions of the tool.
        component = reference.tool_component.index if reference and reference.tool_component else -1
        extensions = self.run.tool.extensions or []
        owner = extensions[component] if 0 <= component < len(extensions) else self.run.tool.driver
        rules = owner.rules or ()
        if identity is None and 0 <= index < len(rules):
            return rules[index]
        # `rule/sub-rule` is a form that the standard allows. Beside an id an index may be wrong: gosec's is.
        return (
            by_id.get(identity or "")
            or by_id.get((identity or "").rpartition("/")[0])
            or _Rule(identity or "")
        )

    def _cwe(self, tool: str, result: _Result, rule: _Rule, identity: str) -> str:
        """Return the CWE as result or rule name it, else as the caller or the tool's own table does."""
        references = [
            *(result.taxa or ()),
            *(link.target for link in rule.relationships or () if link.target),
        ]
        for reference in references:
            if number := self._taxon(reference):
                return number
        named = cwe_of(_properties(result, rule))
        return (
            named or cwe_by_prefix(identity, self.cwes) or KNOWN_CWES.get(tool.lower(), {}).get(identity, "")
        )

    def _taxon(self, reference: _Reference) -> str:
        """Return the CWE that a reference names by its id, or by its place in a taxonomy of the run."""
        component, taxonomies = reference.tool_component, self.run.taxonomies or []
        name = (component.name if component is not None else None) or ""
        taxon = reference
        if component is not None and 0 <= component.index < len(taxonomies):
            taxonomy = taxonomies[component.index]
            name = name or taxonomy.name
            if reference.id is None and 0 <= reference.index < len(taxonomy.taxa or ()):
                taxon = (taxonomy.taxa or [])[reference.index]
        digits = (taxon.id or "").upper().removeprefix("CWE-")
        return f"CWE-{int(digits)}" if name.upper().startswith("CWE") and is_cwe_number(digits) else ""

    def _add(self, tool: str, index: int, result: _Result, rule: _Rule) -> None:
        place = next((place.physical_location for place in result.locations or ()), None)
        region = place.region if place is not None else None
        if place is None or region is None or region.start_line is None:
            self.report.left_out["no place"] += 1
            return
        path = self._path(place.artifact_location)
        if path is None:
            self.report.left_out["outside the project"] += 1
            shown = self._shown_path(place.artifact_location)
            self.report.outside.setdefault(tool, []).append(shown)
            return
        message = _text(result.message, rule)
        identity = (result.rule_id or rule.id or "unnamed")[:MAX_RULE]
        match = Match(
            rule_id=identity,
            path=path,
            start_line=region.start_line,
            end_line=max(region.start_line, region.end_line or 0),
            title=_title(rule, message, identity),
            message=message[:MAX_MESSAGE],
            severity=severity_of(_properties(result, rule), _level(result, rule)),
            confidence=confidence_of(_properties(result, rule)) or self.confidence,
            cwe=self._cwe(tool, result, rule, identity),
            recommendation=((rule.help and rule.help.text) or "")[:MAX_MESSAGE],
            kind="external",
            trace=tuple(self._trace(result)),
            columns=_columns(region, in_utf16=self.run.column_kind != "unicodeCodePoints"),
        )
        snippet = ((region.snippet and region.snippet.text) or "")[:MAX_CODE]
        self.report.results.append(
            SarifResult(tool, match, snippet, bool(result.suppressions), self.number, index)
        )

    def _trace(self, result: _Result) -> list[TraceStep]:
        """Return the first data flow of a result."""
        flows = [thread for flow in result.code_flows or () for thread in flow.thread_flows or ()]
        steps = []
        for step in (flows[0].locations or ())[:MAX_STEPS] if flows else ():
            place = step.location.physical_location if step.location is not None else None
            if place is None or place.region is None or not (line := place.region.start_line):
                continue
            if (path := self._path(place.artifact_location)) is None:
                continue
            text = (step.location and step.location.message and step.location.message.text) or ""
            last = max(line, place.region.end_line or 0)
            steps.append(TraceStep(path=path, start_line=line, end_line=last, text=text[:300]))
        return steps

    def _path(self, artifact: _Artifact | None) -> str | None:
        """Return the file's path relative to the project; None for what isn't one of its files."""
        path = self._read_path(artifact)
        return None if path is None else _relative(path, self.project)

    def _shown_path(self, artifact: _Artifact | None) -> str:
        """Return a relative path, wherever its file is; empty for another one."""
        path = self._read_path(artifact)
        if path is None or re.match(r"/|[A-Za-z]:/", path):
            return ""
        return _relative(path, None) or ""

    def _read_path(self, artifact: _Artifact | None) -> str | None:
        """Return the path as the document has it, without its scheme; None for what is no path."""
        listed = self.run.artifacts or ()
        if artifact is not None and artifact.uri is None and 0 <= artifact.index < len(listed):
            artifact = listed[artifact.index].location
        if artifact is None or not artifact.uri:
            return None
        uri, base = artifact.uri, artifact.uri_base_id
        bases = self.run.original_uri_base_ids or {}
        try:
            for _ in range(min(len(bases), MAX_BASES)):  # a base may have a base
                if urlsplit(uri).scheme or base is None or (parent := bases.get(base)) is None:
                    break
                uri, base = (parent.uri or "") + uri, parent.uri_base_id
            parts = urlsplit(uri)
        except ValueError:  # `http://[`
            return None
        # A Windows drive is one letter.
        path = unquote(parts.path if parts.scheme == "file" else uri).replace("\\", "/")
        if "\0" in path or (parts.scheme != "file" and len(parts.scheme) > 1):
            return None
        return path


def _relative(path: str, project: Path | None) -> str | None:
    """Return a path below the project, without `.` and `..`."""
    pure = PurePosixPath(re.sub(r"^/?[A-Za-z]:/", "/", path))
    parts = [part for part in pure.parts if part not in {"/", "."}]
    if len(path) > MAX_PATH or len(parts) > MAX_FOLDERS:
        return None
    if project is None:
        return "/".join(parts) if parts and ".." not in parts else None
    if pure.is_absolute():
        for root in (project, project.resolve()):
            if pure.is_relative_to(root.as_posix()):
                parts = list(pure.relative_to(root.as_posix()).parts)
                break
        else:
            # Of another machine: the longest end of it that is a file here.
            ends = (parts[start:] for start in range(len(parts)))
            parts = next((end for end in ends if _is_file(project, end)), [])
    if not parts or ".." in parts or not _is_file(project, parts):
        return None
    return "/".join(parts)


def _is_file(project: Path, parts: Sequence[str]) -> bool:
    try:
        return project.joinpath(*parts).is_file()
    except OSError:  # a name longer than a file system allows
        return False


def _columns(region: _Region, *, in_utf16: bool) -> Columns | None:
    """Return a region's columns; None where it has none, or where they hold nothing."""
    first, last = region.start_column, region.end_column
    if first is None or last is None or first < 1:
        return None
    is_one_line = (region.end_line or region.start_line) == region.start_line
    return Columns(first, last, in_utf16) if last > first or not is_one_line else None


def _text(message: _Message, rule: _Rule) -> str:
    named = (rule.message_strings or {}).get(message.id or "")
    text = (message.text or (named.text if named is not None else "") or "")[:_MAX_TEXT]
    for index, argument in enumerate((message.arguments or ())[:20]):
        text = text.replace(f"{{{index}}}", argument[:_MAX_ARGUMENT])[:_MAX_TEXT]
    # CodeQL links words to related locations: `[a value](1)`.
    return _LINK.sub(r"\1", text).strip()


def _title(rule: _Rule, message: str, identity: str) -> str:
    short = rule.short_description.text if rule.short_description is not None else None
    title = (short or rule.name or message or identity).strip().splitlines()[0]
    return title[:MAX_TITLE]


def _properties(result: _Result, rule: _Rule) -> list[Properties]:
    """Those of the result before those of its rule."""
    return [result.properties or {}, rule.properties or {}]


def _level(result: _Result, rule: _Rule) -> str:
    default = rule.default_configuration.level if rule.default_configuration is not None else None
    return result.level or default or "warning"
