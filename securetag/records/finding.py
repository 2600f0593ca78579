"""What a scanner reports: a Finding, its place, its evidence and its identity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from securetag.records.vocabulary import Confidence, PathClass, RuleKind, Severity


class WebLocation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a web application shows an issue: `securetag.scanning.web.location` makes it, without secrets."""

    #: Scheme, host, port and path. Without the query, which is part of `request`.
    url: Annotated[str, msgspec.Meta(max_length=2_000)]
    method: Annotated[str, msgspec.Meta(max_length=20)]
    #: The parameter, header or cookie that was attacked; empty where the issue is the page's own.
    parameter: Annotated[str, msgspec.Meta(max_length=200)] = ""
    #: The request that shows the issue, as HTTP/1.1 writes it.
    request: Annotated[str, msgspec.Meta(max_length=4_000)] = ""
    #: What the scanner, or the answer, says of it.
    evidence: Annotated[str, msgspec.Meta(max_length=2_000)] = ""


class RuleMatch(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of one engine that reports the place of a finding."""

    tool: str
    rule_id: str
    cwe: str
    kind: RuleKind
    #: 1-based and inclusive, in the file.
    start_line: int
    end_line: int


class TraceStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a data flow, from the source to the sink."""

    #: Relative to the project's root, `/` as separator.
    path: str
    #: 1-based and inclusive, in the file.
    start_line: int
    end_line: int
    #: What stands there, for a reader; may be empty.
    text: Annotated[str, msgspec.Meta(max_length=300)] = ""


class CodeTerm(msgspec.Struct, frozen=True, array_like=True):
    """An expression. It equals another one where the shapes are equal and the local names correspond."""

    #: Digest of its tokens, local names apart.
    shape: str
    #: Digests of the local names in it, in order.
    names: Annotated[list[str], msgspec.Meta(max_length=100)] = []


class CodeIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Digests of the code around a finding. Layout, comments, quotes and names of values don't count."""

    #: Of everything below that decides whether a verdict still holds.
    digest: str
    #: Of the file's bytes.
    file: str
    statement: str
    #: Two statements before and two after; empty where there is none.
    context: Annotated[list[str], msgspec.Meta(max_length=4)] = []
    #: A sketch of the function's body (the lowest digests of its token triples), for similarity.
    body: Annotated[list[int], msgspec.Meta(max_length=64)] = []
    #: What is called, and what it gets.
    sink: CodeTerm
    sources: Annotated[list[CodeTerm], msgspec.Meta(max_length=64)] = []
    #: Conditions that hold wherever the flagged code runs.
    guards: Annotated[list[CodeTerm], msgspec.Meta(max_length=64)] = []
    #: Local names of the function and its callers.
    local_names: Annotated[list[str], msgspec.Meta(max_length=200)] = []
    #: Qualified names of the functions of the file that call this one.
    callers: Annotated[list[str], msgspec.Meta(max_length=20)] = []
    #: Of sink, sources and guards as the function itself shows them, without the rest of its file.
    own_digest: str = ""
    #: Names outside the function whose definitions were read for the terms above: 8 digits of the name's
    #: digest, then 8 of its definition's.
    outer_names: Annotated[list[str], msgspec.Meta(max_length=100)] = []
    #: As `digest`, with what the function's only caller shows, which is in another file; else empty.
    outside_digest: str = ""


class SliceLine(msgspec.Struct, frozen=True, array_like=True):
    """One line of a slice: `securetag.scanning.slicing` says what is in one."""

    #: The line's number in its file, from 1.
    number: int
    #: The line without comments and without white space at its end.
    text: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One issue that a scanner reports, normalized: the unit that is triaged.

    `snippet` is the code that a reader needs (the enclosing function where that is short),
    `snippet_line` the file's line number of its first line. Of a web application's issue `path` is the
    URL's path, `snippet` the request with the evidence, and `scope` the parameter.
    """

    tool: str
    rule_id: str
    cwe: str
    title: str
    message: str
    severity: Severity
    confidence: Confidence
    language: str
    #: Relative to the project's root, `/` as separator.
    path: str
    #: 1-based and inclusive, in the file.
    start_line: int
    end_line: int
    snippet: str
    snippet_line: int
    #: Qualified name of the enclosing function or class; empty at module level.
    scope: str
    #: `v2:` + 64 hex digits; of a web application's issue `v1:`.
    fingerprint: Annotated[str, msgspec.Meta(pattern=r"^v\d+:[0-9a-f]{64}$")]
    owasp: str = ""
    recommendation: str = ""
    #: Every rule and engine that reports this place; empty: only `tool` and `rule_id` do.
    matches: list[RuleMatch] = []
    #: 0 to 1,000; lists begin with the highest.
    rank: int = 0
    path_class: PathClass = "source"
    #: The data flow, where an engine gives one.
    trace: list[TraceStep] = []
    #: None for code.
    web: WebLocation | None = None
    #: None where there is no code.
    identity: CodeIdentity | None = None
    #: The lines of the file that the flagged ones depend on, in its order; empty where nobody can tell.
    code_slice: list[SliceLine] = []


#: Fields of a Finding that a new scan may find changed: where it stands, and the code there. By the others
#: it is the same finding.
OCCURRENCE_FIELDS = (
    "path",
    "start_line",
    "end_line",
    "snippet",
    "snippet_line",
    "scope",
    "path_class",
    "trace",
    "web",
    "identity",
    "code_slice",
)


def rewrite_slice(lines: list[SliceLine], rewrite: Callable[[str], str]) -> list[SliceLine]:
    """Return a slice whose text was rewritten as a whole; none where that changed the number of lines."""
    texts = rewrite("\n".join(line.text for line in lines)).split("\n") if lines else []
    if len(texts) != len(lines):
        return []
    return [SliceLine(line.number, text) for line, text in zip(lines, texts, strict=True)]
