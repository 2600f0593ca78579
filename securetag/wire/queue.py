"""The queue's protocol between api and worker: requests, answers, results.

Both sides import these types, so a field that one side adds is a type error on the other.
A worker speaks only this; it has no storage or database credential.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Discriminator, Field, Tag, model_validator

from securetag.records import Finding, JsonObject, Verdict
from securetag.wire.base import AS_JSON, Wire

#: Seconds that a lease lasts without a heartbeat.
LEASE_S = 30
#: Seconds between heartbeats: three may be lost before the lease is.
HEARTBEAT_S = 8
#: Version of everything in this module. Raise it with every change that the other side wouldn't understand:
#: a new field in a request or answer, another meaning of an old one. Adding a `SkipReason` is one.
PROTOCOL = 3
#: The oldest version that the api still answers.
MIN_PROTOCOL = 1
#: Header in which a worker says which version it speaks; without one it is 1.
PROTOCOL_HEADER = "X-Queue-Protocol"
#: Header that carries the lease token of every call after the claim.
LEASE_HEADER = "X-Lease-Token"
#: Header that carries the hex sha256 of an uploaded artifact.
SHA256_HEADER = "X-Content-SHA256"

#: Key of a lease's `params`: the farthest place whose models may be shown the code (`ModelLocation`). There,
#: and not a field of the lease, since older workers refuse fields that they don't know.
MODEL_POLICY = "model_policy"

TaskKind = Literal["codeaudit", "web", "import"]


class NextRequest(Wire):
    """`POST /queue/next`: ask for one task."""

    worker_id: Annotated[str, Field(min_length=1, max_length=200)]
    kinds: list[TaskKind] = ["codeaudit"]
    #: Seconds to wait for work before answering 204.
    wait_s: Annotated[float, Field(ge=0, le=30)] = 0


class Upload(Wire):
    """The bytes that belong to a task."""

    sha256: str
    size: int
    filename: str


class Lease(Wire):
    """A claimed task. `lease_token` goes into the X-Lease-Token header of every later call."""

    task_id: UUID
    kind: TaskKind
    attempt: int
    max_attempts: int
    fence: int
    lease_token: str
    lease_s: int
    #: Seconds that the whole task may take.
    time_limit_s: int
    #: The task's own, and under MODEL_POLICY the tenant's policy of this moment.
    params: JsonObject
    upload: Upload | None


class HeartbeatRequest(Wire):
    """`POST /queue/heartbeat`."""

    task_id: UUID
    #: What the worker is doing, for the people who wait: `unpacking`, `semgrep`, `triage 3/17`.
    stage: Annotated[str, Field(max_length=200)] = ""
    #: Process group of the running tool, so that a reaper on the worker's machine can end it.
    process_group: int | None = None


class HeartbeatAnswer(Wire):
    """The lease is extended. `cancelled` means: stop, clean up, send no result."""

    lease_until: datetime
    cancelled: bool


#: Entries that each list of a Coverage names; the counts beside them are of all.
MAX_LISTED = 200


class SkipReason(StrEnum):
    """Why a file was not scanned."""

    #: Over the size that the scanner reads.
    TOO_LARGE = "too_large"
    #: Generated code on few lines (`*.min.js`).
    MINIFIED = "minified"
    #: The scanner made nothing of it.
    PARSE_ERROR = "parse_error"
    #: Too many rules took too long on it.
    TIMEOUT = "timeout"
    #: The scan's time or CPU limit ended before its turn.
    LIMIT = "limit"
    #: The scanner crashed on it or ran out of memory.
    TOOL_FAILED = "tool_failed"
    #: It belongs to a folder of a version-control system.
    VERSION_CONTROL = "version_control"
    #: The scanner left it out and gave no reason.
    UNKNOWN = "unknown"
    #: Somebody asked for it: by `exclude`, or by a `.securetagignore` that the project's settings allow.
    EXCLUDED = "excluded"
    #: A symbolic link.
    LINK = "link"
    #: A socket, pipe or device.
    SPECIAL = "special"
    #: Its name holds control characters, isn't Unicode, or is too long.
    NAME = "name"
    #: It unpacks to far more bytes than it was packed in.
    EXPANDS = "expands"
    #: Binary data over 1 MB, such as the weights of a model.
    DATA = "data"
    #: It couldn't be read where the project was packed.
    UNREADABLE = "unreadable"
    #: In a folder of dependencies, caches or builds, left out where the project was packed.
    FOLDER = "folder"


class SkippedFile(Wire):
    """A file that was not scanned."""

    path: str
    reason: SkipReason
    bytes: int


class RuleTimeout(Wire):
    """A rule that took too long on a file; the other rules ran on it."""

    rule: str
    path: str


class FailedTool(Wire):
    """A scanner whose findings are missing, while those of the others are there."""

    tool: str
    reason: str


class Coverage(Wire):
    """What a scan read and what it did not.

    The lists name at most MAX_LISTED entries, so that no project can bloat a result; the counts
    `skipped_by_reason`, `timeouts_total` and `parse_errors_total` are of all.
    """

    #: Language → lines and files that were scanned, those of `parse_errors` included.
    lines: dict[str, int] = {}
    files: dict[str, int] = {}
    skipped: Annotated[list[SkippedFile], Field(max_length=MAX_LISTED)] = []
    timeouts: Annotated[list[RuleTimeout], Field(max_length=MAX_LISTED)] = []
    #: Files of which only a part could be read.
    parse_errors: Annotated[list[str], Field(max_length=MAX_LISTED)] = []
    #: Language → files that no rule reads; `other` are texts, images and data.
    unsupported: dict[str, int] = {}
    skipped_by_reason: dict[SkipReason, int] = {}
    #: Scanners that failed: what they alone would have reported isn't among the findings.
    failed_tools: list[FailedTool] = []
    #: Pattern of an exclusion → files that it left out.
    excluded: dict[str, int] = {}
    timeouts_total: int = 0
    parse_errors_total: int = 0


class ToolMetrics(Wire):
    """`metrics_json` of a scanner's run; `tool` is the scanner's name."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    tool: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,49}$")] = "semgrep"
    files: int = 0
    findings: int = 0
    rules: int = 0
    parse_errors: int = 0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    #: Of a web scanner: requests that the egress proxy made, and reason → number of those that it didn't.
    requests: int = 0
    refused: dict[str, int] = {}
    coverage: Coverage | None = None
    #: Of a tool that says nothing of single files: has it read the project to the end?
    read_all: bool = False
    #: Why its findings don't count; empty where they do.
    failure: Annotated[str, Field(max_length=1_000)] = ""


class ModelMetrics(Wire):
    """`metrics_json` of the model's part in a scan, logged as a tool execution like any other."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    tool: Literal["triage"] = "triage"
    findings: int = 0
    answered: int = 0
    needs_review: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    duration_ms: int = 0
    #: Why no model was asked, and what to do; empty where one was.
    refusal: str = ""


class UnpackMetrics(Wire):
    """`metrics_json` of the unpacking of an upload."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    tool: Literal["unpack"] = "unpack"
    files: int = 0
    bytes: int = 0
    skipped: int = 0
    #: What was left out before a scanner saw it; it is part of the scan's coverage.
    coverage: Coverage | None = None


def _kind_of_metrics(value: object) -> str:
    tool = value.get("tool") if isinstance(value, dict) else getattr(value, "tool", None)
    return tool if tool in {"triage", "unpack"} else "scanner"


#: By `tool`: what is neither the model nor the unpacking is a scanner.
Metrics = Annotated[
    Annotated[ToolMetrics, Tag("scanner")]
    | Annotated[ModelMetrics, Tag("triage")]
    | Annotated[UnpackMetrics, Tag("unpack")],
    Discriminator(_kind_of_metrics),
]


class ToolExecution(Wire):
    """One run of one tool. `stdout` and `stderr` name artifacts that the worker stored before."""

    tool: str
    version: str
    arguments: list[str]
    exit_code: int | None
    #: Seconds of wall time.
    duration_s: float
    started_at: datetime
    timed_out: bool = False
    stdout: str | None = None
    stderr: str | None = None
    metrics: Metrics


class TriagedFinding(Wire):
    """A finding, and the verdict on it where its severity asked for one."""

    finding: Annotated[Finding, AS_JSON]
    verdict: Annotated[Verdict, AS_JSON] | None = None
    #: Is a model going to be asked about it?
    awaits_verdict: bool = False


class FindingsRequest(Wire):
    """`POST /queue/findings`: what the scanners have reported, before a model is asked about it.

    Sent as lines of JSON like a result. The task goes on; its result brings the verdicts.
    """

    task_id: UUID
    #: Those of the result aren't repeated there.
    tool_executions: list[ToolExecution] = []
    inventory: Annotated[str, Field(max_length=1_000_000)] = ""
    findings: list[TriagedFinding] = []


class FindingsAnswer(Wire):
    """What was stored: the occurrence of each finding, in the order in which they were sent."""

    task_id: UUID
    occurrence_ids: list[UUID]


class OccurrenceVerdict(Wire):
    """A verdict on an occurrence that the attempt has sent before."""

    occurrence_id: UUID
    verdict: Annotated[Verdict, AS_JSON]


class ResultRequest(Wire):
    """`POST /queue/result`: the end of an attempt, written in one transaction.

    Sent as lines of JSON, so that neither side holds a large one whole: this on the first line, each
    finding on one of its own. Where the findings were sent before (`findings_sent`) each verdict is instead.

    `completed` ends the task; `retry` is a transient error; `failed` a permanent one (the user's
    input is at fault); `timeout` means that the task's time limit ran out.
    """

    task_id: UUID
    outcome: Literal["completed", "retry", "failed", "timeout"]
    #: What a person reads when it isn't `completed`.
    error: str = ""
    tool_executions: list[ToolExecution] = []
    #: Digests of the project's files and functions (`securetag.scanning.identity.inventory`): a finding
    #: doesn't move away from code that still exists.
    inventory: Annotated[str, Field(max_length=1_000_000)] = ""
    findings: list[TriagedFinding] = []
    #: Has this attempt sent its findings, executions and inventory by `POST /queue/findings`?
    findings_sent: bool = False
    verdicts: list[OccurrenceVerdict] = []

    @model_validator(mode="after")
    def _sent_once(self) -> ResultRequest:
        if self.findings if self.findings_sent else self.verdicts:
            raise ValueError("a result has findings, or verdicts on those that were sent before")
        return self


class ResultAnswer(Wire):
    """State of the task after the result."""

    task_id: UUID
    state: str
    findings: int
