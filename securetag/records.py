"""The vocabulary that every package speaks in, as msgspec structs: Record, Example, Finding, Verdict."""

from __future__ import annotations

import hashlib
import unicodedata
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import rfc8785

#: Languages of product texts and prompts.
Lang = Literal["en", "es"]
#: Language of a text: ISO 639-1, `und` where nobody can tell.
TextLang = Annotated[str, msgspec.Meta(pattern="^[a-z]{2,3}$")]
Label = Literal["true_positive", "false_positive"]
Severity = Literal["info", "low", "medium", "high", "critical"]
Confidence = Literal["low", "medium", "high"]
#: What a rule looks at. `shape`: a dangerous construct whose input isn't a constant, whatever its source.
#: `traced`: data from outside that reaches a sink. `template`: markup that doesn't escape. `secret`: a
#: credential. `pattern`: everything else. `external`: a rule of another tool, of which nothing is known.
RuleKind = Literal["shape", "traced", "template", "secret", "pattern", "external"]
#: What a file is for, by its path and its first lines.
PathClass = Literal["source", "test", "example", "vendored", "generated"]
#: Where a model runs, nearest first: our network, an endpoint of the operator's alone, somebody else's.
ModelLocation = Literal["local", "operator", "third_party"]
#: The strictest gate that a served model has passed.
Gate = Literal["production", "demo", "none"]
#: Is a finding in the code of a branch? `new`: since this commit; `open`: since an earlier one; `fixed`: a
#: scan has read its file and no longer reports it; `reopened`: it came back, or its code has changed so that
#: what was decided doesn't hold.
BranchState = Literal["new", "open", "fixed", "reopened"]

#: Orders severities; a finding at or above `high` goes to the model.
SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")

#: A JSON object as Python decodes it; nothing is known of its values.
JsonObject = dict[str, Any]


class Status(StrEnum):
    """The state of an upstream item in its publication. Only `active` trains by default."""

    ACTIVE = "active"
    SUPERSEDED = "superseded"
    DEPRECATED = "deprecated"
    REVOKED = "revoked"
    WITHDRAWN = "withdrawn"
    REJECTED = "rejected"


class Task(StrEnum):
    """What an Example teaches."""

    QA = "qa"
    TRIAGE = "triage"
    REMEDIATION = "remediation"
    MAPPING = "mapping"


class Decision(StrEnum):
    """A verdict's value. `needs_review` is a model's or the machinery's way to abstain."""

    TRUE_POSITIVE = "true_positive"
    FALSE_POSITIVE = "false_positive"
    NEEDS_REVIEW = "needs_review"


def normalise_text(text: str) -> str:
    """NFC with LF line ends, without BOM: the form in which text is hashed and stored."""
    lf = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", lf)


def canonical_json(value: object) -> bytes:
    """RFC 8785 JSON of builtins or structs. Raises `rfc8785.CanonicalizationError` on NaN or big ints."""
    return rfc8785.dumps(msgspec.to_builtins(value))


def content_id(value: object) -> str:
    """64 hex digits: sha256 over `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a Record beside its prose. Unset fields stay out of JSON and of the id."""

    #: Kind of item inside its dataset: `weakness`, `technique`, `control`, `section`, `advisory`, …
    kind: str | None = None
    severity: Severity | None = None
    cvss: float | None = None  # base score, 0.0 to 10.0, of the best source
    #: Keys of Records of the same or another source.
    parents: list[str] = []
    related: list[str] = []
    aliases: list[str] = []
    cwe: list[str] = []
    #: Prose, one entry each.
    mitigations: list[str] = []
    detections: list[str] = []
    consequences: list[str] = []
    examples: list[str] = []
    observed: list[str] = []  # who used a technique, which CVE has a weakness; a sentence each
    taxonomies: list[str] = []  # `WASC 19: SQL Injection`
    platforms: list[str] = []  # platforms and languages that the item applies to; short words
    tactics: list[str] = []
    #: Headings from the document's title down to this section.
    section: list[str] = []
    #: Upstream's own word on use as a mapping target (CWE: Allowed, Discouraged, Prohibited).
    mapping_usage: str | None = None
    #: Upstream's own word on how likely an attack is (CWE, CAPEC): High, Medium, Low.
    likelihood: str | None = None
    #: Day on which upstream first published the item, `YYYY-MM-DD`: splits by time lean on it.
    published: str | None = None
    cvss_vector: str | None = None
    cvss_metrics: list[
        str
    ] = []  # `AV:N: the attack comes over a network`, for each base metric of the vector
    exploited: bool = False  # CISA KEV lists it
    #: Affected packages or products as upstream names them: `PyPI/django`, `crates.io/time`.
    packages: list[str] = []
    #: Levels, profiles or baselines that hold the item: `L1`, `MODERATE`.
    levels: list[str] = []
    references: list[str] = []  # URLs that upstream refers to
    #: Programming language of `vulnerable` and `fixed`, lower case.
    language: str | None = None
    #: A fix as a pair: the code before and after.
    vulnerable: str | None = None
    fixed: str | None = None
    #: An instruction and its answer, where upstream is instruction data.
    instruction: str | None = None
    response: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One normalized item of a source, with where it came from and under which license.

    Build it with `Record.of`, which normalizes the text and computes `id`.
    """

    id: str
    #: Name of the catalog row, for example `mitre-cwe`.
    source: str
    publisher: str
    #: The publisher's own key: `CWE-79`, `AC-2(1)`, `T1059.001`.
    key: str
    title: str
    #: Clean Markdown.
    text: str
    facts: Facts
    lang: TextLang
    url: str
    edition: str
    #: A valid SPDX expression; `LicenseRef-…` where SPDX has no name.
    licence: str
    #: Of the file that it was read from, as fetched.
    file_sha256: str
    #: JSON pointer, XPath, heading path or page inside that file.
    locator: str
    status: Status = Status.ACTIVE

    @classmethod
    def of(
        cls,
        *,
        source: str,
        publisher: str,
        key: str,
        title: str,
        text: str,
        lang: TextLang,
        url: str,
        edition: str,
        licence: str,
        file_sha256: str,
        locator: str,
        facts: Facts | None = None,
        status: Status = Status.ACTIVE,
    ) -> Record:
        """A Record with normalized title and text, its id computed from content alone."""
        facts = facts or Facts()
        title, text = normalise_text(title).strip(), normalise_text(text).strip()
        identity = content_id([source, key, lang, title, text, facts])
        return cls(
            id=identity,
            source=source,
            publisher=publisher,
            key=key,
            title=title,
            text=text,
            facts=facts,
            lang=lang,
            url=url,
            edition=edition,
            licence=licence,
            file_sha256=file_sha256,
            locator=locator,
            status=status,
        )


class Message(msgspec.Struct, frozen=True):
    """One chat turn."""

    role: Literal["system", "user", "assistant"]
    content: str


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an Example exists. It survives an erasure only while another origin remains."""

    record_id: str | None = None
    finding_id: str | None = None
    tenant_id: str | None = None
    consent_id: str | None = None


class Construction(msgspec.Struct, frozen=True, kw_only=True):
    """How a synthetic triage row was put together; the key by which splits hold parts out."""

    source: str
    guard: str
    guard_family: str
    sink: str
    framework: str
    shape: str
    #: Version of the oracle whose execution gave the label, and the inputs that it tried.
    oracle: str
    inputs: int = 0
    #: The input that did harm and what every other parameter held then; None where no input did harm.
    witness: str | None = None
    witness_other: str | None = None
    #: What reached the sink in that attack; of a safe function, what became of an attack there, if anything.
    effect: str | None = None


class EvidenceSpan(msgspec.Struct, frozen=True):
    """Lines (first, last; 1-based, inclusive, counted in the rendered snippet) that carry a role."""

    role: Literal["source", "guard", "sink"]
    first: int
    last: int


class Teacher(msgspec.Struct, frozen=True, kw_only=True):
    """Which model wrote a row, and how it was asked."""

    #: 64 hex digits; `openai:<name>` or `ollama:<digest>` for a model that isn't ours.
    model_id: str
    prompt_version: str


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One chat-format training row.

    The last message is the assistant's. Build it with `Example.of`, which computes `id`.
    """

    id: str
    task: Task
    messages: list[Message]
    lang: TextLang
    licence: str
    #: Examples of one group are in one split.
    group: str
    label: Label | None
    #: What gave the label; never a model.
    label_source: Literal["execution", "fix", "analyst"] | None
    origin: Literal["template", "composition", "teacher", "analyst"]
    origins: list[Origin]
    source: str
    split: Literal["train", "validation", "test"] | None = None
    #: Hard axis of a test row: in_distribution, unseen_sink, unseen_framework, unseen_guard.
    axis: str | None = None
    construction: Construction | None = None
    pair_id: str | None = None
    evidence: list[EvidenceSpan] = []
    #: Where a person gave the label: what the model had said before, if it did.
    model_decision: Decision | None = None
    #: Of a row of origin `teacher`.
    teacher: Teacher | None = None

    @classmethod
    def of(
        cls,
        *,
        task: Task,
        messages: list[Message],
        lang: TextLang,
        licence: str,
        group: str,
        origin: Literal["template", "composition", "teacher", "analyst"],
        origins: list[Origin],
        source: str,
        label: Label | None = None,
        label_source: Literal["execution", "fix", "analyst"] | None = None,
        construction: Construction | None = None,
        pair_id: str | None = None,
        evidence: list[EvidenceSpan] | None = None,
    ) -> Example:
        """An Example without a split yet, its id computed from task and messages."""
        return cls(
            id=content_id([task, messages]),
            task=task,
            messages=messages,
            lang=lang,
            licence=licence,
            group=group,
            label=label,
            label_source=label_source,
            origin=origin,
            origins=origins,
            source=source,
            construction=construction,
            pair_id=pair_id,
            evidence=evidence or [],
        )


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
    #: Names outside the function whose definitions were read for the terms above.
    outer_names: Annotated[list[str], msgspec.Meta(max_length=100)] = []


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
)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a model, or the machinery in its stead, says of a Finding.

    A verdict always exists: where no model answered, or answered nonsense, the decision is
    `needs_review` and `reason` says why.
    """

    decision: Decision
    #: Why the machinery abstained; empty when the model's answer was valid.
    reason: str = ""
    #: Line spans in the file.
    evidence: list[tuple[int, int]] = []
    reasoning: str = ""
    recommendation: str = ""
    model_id: str = ""
    alias: str = ""
    prompt_sha256: str = ""
    prompt_version: str = ""
    schema_version: int = 1
    lang: Lang = "en"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    duration_ms: int = 0
    #: Stamped by the worker from the served model's metadata, never by the model.
    gate: Gate = "none"
    #: Calibrated; None where the backend gives no log-probabilities.
    p_false_positive: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


class HarvestedVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """A consented, scrubbed finding with a person's verdict on it, as it leaves the database.

    `record` is the scrubbed finding as a Record (its id comes from content, never from the
    database); `origin` names the database rows, and stays out of the training files.
    """

    record: Record
    finding: Finding
    label: Label
    #: Did the person see the model's answer first?
    saw_model: bool
    model_decision: Decision | None
    #: True where the verdict was scripted from ground truth rather than given by a person.
    scripted: bool
    reviewer: str
    origin: Origin
    #: Its project, named by the scrubbed fingerprint of the project's oldest finding; empty: not known.
    project: str = ""
    bulk: str = ""  # Id of the bulk decision that it is a part of, which is one vote.
