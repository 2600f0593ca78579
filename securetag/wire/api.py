"""The public api's requests and answers: what endpoints send, and what `securetag.client` reads.

An answer may gain fields, which older clients ignore; a request with an unknown field is refused.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StrictBool, model_validator

from securetag.records import (
    BranchState,
    Confidence,
    Finding,
    Gate,
    JsonObject,
    PathClass,
    RuleMatch,
    Severity,
    TraceStep,
    WebLocation,
)
from securetag.wire.base import AS_JSON, Answer, Body, Expiry, Name, Text, Time
from securetag.wire.feedback import Decision, FeedbackAnswer, NoteAnswer
from securetag.wire.lineage import TrainingUseAnswer
from securetag.wire.queue import MAX_LISTED, Coverage, SkipReason

#: Name of a branch.
Branch = Annotated[Text, Field(min_length=1, max_length=250, pattern=r"^[^\x00-\x20\x7f]+$")]
#: A commit's full hash.
Commit = Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]


ScanState = Literal[
    "queued", "running", "retrying", "completed", "failed", "timeout", "dead_letter", "cancelled"
]


class UploadAnswer(Answer):
    """The archive that the scan reads."""

    filename: str
    sha256: str
    size: int


class ExecutionAnswer(Answer):
    """One run of one tool. `stdout` and `stderr` name artifacts of the scan."""

    tool: str
    version: str
    attempt: int
    arguments: list[str]
    exit_code: int | None
    duration_s: float
    started_at: Time
    timed_out: bool
    stdout: str | None
    stderr: str | None
    metrics_json: JsonObject


class EventAnswer(Answer):
    """One change of the scan's state."""

    at: Time
    from_state: str | None
    to_state: str
    attempt: int
    reason: str


class ScanAnswer(Answer):
    """A scan. Its counts are zero and empty until it is completed.

    Where a model is asked, `findings` and `by_severity` are there once the scanners have ended.
    """

    task_id: UUID
    kind: str
    project_id: UUID
    project: str
    state: ScanState
    attempt: int
    max_attempts: int
    #: What the worker is doing now.
    stage: str
    #: Why it is in this state, where that isn't plain.
    reason: str
    params: JsonObject
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    findings: int
    by_severity: dict[str, int]
    by_verdict: dict[str, int]
    #: Findings that a model is being asked about now: their verdicts are still to come.
    being_triaged: int = 0
    upload: UploadAnswer | None


class ScanDetail(ScanAnswer):
    """A scan with everything that ran and happened."""

    #: What the last attempt read and what it did not; null while it has scanned nothing.
    coverage: Coverage | None
    #: Why no model was asked about its findings, and what to do; empty where one was.
    not_triaged: str = ""
    tool_executions: list[ExecutionAnswer]
    history: list[EventAnswer]


class OccurrenceAnswer(Answer):
    """Where a finding stood in one scan."""

    id: UUID
    task_id: UUID
    path: str
    start_line: int
    end_line: int
    snippet: str
    #: Line of the snippet's first line in the file.
    snippet_line: int
    scope: str
    path_class: PathClass
    #: The data flow from source to sink; empty where no engine gives one.
    trace: list[Annotated[TraceStep, AS_JSON]] = []
    #: Of a web application's finding: URL, method, parameter, request and evidence.
    web: Annotated[WebLocation, AS_JSON] | None = None


class VerdictAnswer(Answer):
    """What the model said, or why it didn't."""

    id: UUID
    decision: Decision
    reason: str
    #: Line spans in the file.
    evidence: list[tuple[int, int]]
    reasoning: str
    recommendation: str
    model_id: str
    alias: str
    prompt_sha256: str
    prompt_version: str
    schema_version: int
    lang: str
    duration_ms: int
    #: The gate that this model had passed.
    gate: Gate = "none"
    #: Probability that the finding is a false positive; null: the model's server gives none.
    p_false_positive: float | None = None
    #: The calibration that made it; empty: the model has none, and its probability is its own.
    calibration_id: str = ""
    #: The probability from which that calibration dismisses a finding; null: it never does.
    threshold: float | None = None
    created_at: Time


SuppressionScope = Literal["finding", "rule", "path"]


class SuppressionAnswer(Answer):
    """What people have chosen not to hear of, and why."""

    id: UUID
    project_id: UUID
    #: `finding`: one finding, as long as its code stays; `rule`: a rule in a path; `path`: everything in it.
    scope: SuppressionScope
    finding_id: UUID | None
    #: The finding's code that was looked at.
    occurrence_id: UUID | None
    rule_id: str | None
    #: A glob: `*` is within a folder, `**` across folders; a folder means all below it.
    path: str | None
    reason: str
    #: Who answers for it.
    owner: str
    #: Name of the API key.
    created_by: str
    created_at: Time
    expires_at: Time | None
    #: When a scan saw other code at the finding, and which scan.
    lapsed_at: Time | None
    lapsed_task_id: UUID | None
    #: Neither lapsed nor expired.
    in_force: bool


class SuppressionBody(Body):
    """Not to hear of one finding (`finding_id`), of a rule in a path, or of a path."""

    #: With `occurrence_id`, the one that was looked at; 409 where a newer scan has seen the finding since.
    finding_id: UUID | None = None
    occurrence_id: UUID | None = None
    #: Name of the project; of a `finding_id` it is known.
    project: Name | None = None
    rule_id: Annotated[Name | None, Field(description="Of the whole project: with `path` `**`.")] = None
    path: Annotated[Text, Field(min_length=1, max_length=1_000)] | None = None
    reason: Annotated[Text, Field(min_length=3, max_length=4_000)]
    #: Who answers for it; by default the key's name.
    owner: Name | None = None
    expires_at: Expiry | None = None

    @model_validator(mode="after")
    def _one_scope(self) -> SuppressionBody:
        if self.finding_id is not None:
            if self.occurrence_id is None:
                raise ValueError("name the occurrence that was looked at: `occurrence_id`")
            if self.project is not None or self.rule_id is not None or self.path is not None:
                raise ValueError("name a finding, or a project with a path, not both")
        elif self.occurrence_id is not None:
            raise ValueError("`occurrence_id` belongs to a `finding_id`")
        elif self.project is None or self.path is None:
            raise ValueError("name a finding, or a project with a path")
        return self


class FindingAnswer(Answer):
    """A finding with one occurrence, the model's verdict on that and the feedback that stands.

    That is the newest of a person; the newest of a script only where no person has given any.
    """

    id: UUID
    project_id: UUID
    fingerprint: str
    tool: str
    rule_id: str
    cwe: str
    owasp: str
    title: str
    message: str
    recommendation: str
    severity: Severity
    confidence: Confidence
    language: str
    #: Every rule and engine that reports the place.
    matches: list[Annotated[RuleMatch, AS_JSON]] = []
    #: 0 to 1,000; the highest is the first to look at.
    rank: int
    #: The scan since which the guard, source or sink differs from the code that was judged; null: the verdict
    #: in force holds. A stale verdict dismisses nothing.
    verdict_stale_task_id: UUID | None = None
    #: Who works on it.
    assignee: str | None = None
    first_seen_at: Time
    last_seen_at: Time
    occurrence: OccurrenceAnswer
    verdict: VerdictAnswer | None
    feedback: FeedbackAnswer | None
    #: The branch that `state` is about: the scan's, the one asked for, or the project's default.
    branch: str | None = None
    #: Is it in that branch's code? Null: no scan of the branch has reported it.
    state: BranchState | None = None
    state_since: Time | None = None
    #: The one in force that hides it, if any.
    suppression: SuppressionAnswer | None = None
    #: May a model's false_positive dismiss it, where the model has passed a production gate? The project
    #: allows it, and the finding's class and severity aren't among those that no model dismisses.
    model_may_dismiss: bool = False
    #: Is a model being asked about it now? Of a scan's findings while it runs.
    being_triaged: bool = False

    def to_finding(self) -> Finding:
        """Return the Finding in this answer, without what no answer shows (`identity`, `code_slice`)."""
        at = self.occurrence
        names = OccurrenceAnswer.model_fields
        fields = {
            name: getattr(at if name in names else self, name)
            for name in Finding.__struct_fields__
            if name in names or name in FindingAnswer.model_fields
        }
        return Finding(**fields)


class FindingDetail(FindingAnswer):
    """A finding with all its feedback, newest first, also what was withdrawn, and its notes, oldest first."""

    feedback_history: list[FeedbackAnswer]
    notes: list[NoteAnswer] = []
    #: The releases whose rows rest on it.
    training: list[TrainingUseAnswer] = []


class LeftOutFile(Body):
    """A file, or a folder of them, that the client didn't send."""

    path: Annotated[Text, Field(min_length=1, max_length=4_096)]
    reason: SkipReason
    bytes: Annotated[int, Field(ge=0, lt=2**63)] = 0


class ScanParams(Body):
    """The form's part `params`: a JSON object, each field optional. What is given goes to the worker."""

    #: Language of messages and of the model's words.
    lang: Literal["en", "es"] | None = None
    #: The branch whose findings the scan brings up to date; the project's default where it is left out.
    branch: Branch | None = None
    #: What was scanned.
    commit: Commit | None = None
    #: What the branch began at: a finding of its scan isn't new.
    base_commit: Commit | None = None
    #: Among the tenant's own scans that wait.
    priority: Literal["low", "normal", "high"] = "normal"
    #: Files that are not scanned, as in a `.gitignore`; the scan's coverage states them.
    exclude: Annotated[list[Annotated[Text, Field(min_length=1, max_length=200)]], Field(max_length=100)] = []
    #: Reason → files that the client left out of the archive, for the scan's coverage.
    not_uploaded: dict[SkipReason, Annotated[int, Field(ge=0, le=10_000_000)]] = {}
    #: Some of them by name: nothing in them is taken for fixed.
    not_uploaded_files: Annotated[list[LeftOutFile], Field(max_length=MAX_LISTED)] = []


class UploadAccepted(Answer):
    """The scan waits in the queue."""

    task_id: UUID
    project_id: UUID
    project: str
    state: Literal["queued"] = "queued"
    sha256: str
    #: Bytes of the archive.
    size: int
    #: Files in it that will be scanned.
    files: int


class ProjectBody(Body):
    """A new project."""

    name: Name


class ProjectChanges(Body):
    """What is to change of a project; what is left out stays."""

    #: Whose findings `GET /findings` lists.
    default_branch: Branch | None = None
    #: May a model's `false_positive` change an exit code, where the model has passed a production gate?
    model_may_dismiss: bool | None = None
    #: Is an uploaded `.securetagignore` honored?
    allow_ignore_file: bool | None = None


class ProjectAnswer(Answer):
    """A project."""

    id: UUID
    name: str
    #: Null until a branch is uploaded or somebody sets it.
    default_branch: str | None = None
    model_may_dismiss: bool = False
    allow_ignore_file: bool = False
    created_at: Time


#: Changes with the section "Consent and erasure" of docs/api.md, which says what a consent allows.
CONSENT_TEXT_VERSION = "2026-11-28"


class ConsentBody(Body):
    """Whether Securetag may learn from this tenant's findings and verdicts."""

    granted: StrictBool


class ConsentAnswer(Answer):
    """Off unless granted. `consent_id` goes into the lineage of everything that is trained on under it."""

    granted: bool
    consent_id: UUID | None = None
    granted_by: str | None = None
    granted_at: Time | None = None
    withdrawn_by: str | None = None
    withdrawn_at: Time | None = None
    #: Which text was agreed to; null for a consent from before versions were kept.
    text_version: str | None = None


class ToolAnswer(Answer):
    """One version of one tool, over the tenant's scans of the last seven days."""

    tool: str
    version: str
    runs: int
    failed: int
    timed_out: int
    last_run_at: Time
    #: Seconds of wall time.
    mean_s: float


class ToolsStatus(Answer):
    """What a person wants to know when a scan doesn't move."""

    tools: list[ToolAnswer]
    #: State → number of the tenant's tasks.
    tasks: dict[str, int]
    #: Workers heard of lately, and when the last one was.
    workers: int
    worker_seen_at: Time | None


Scope = Literal["read", "scan", "feedback", "worker", "admin"]


class KeyBody(Body):
    """A new key. It can hold no scope that the key which makes it lacks."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=5)]
    expires_at: Expiry | None = None
    #: Of another tenant: only with an operator's key.
    tenant_id: UUID | None = None


class KeyAnswer(Answer):
    """A key without its secret."""

    id: UUID
    tenant_id: UUID
    name: str
    #: The public part: the key begins `stk_<prefix>_`.
    prefix: str
    scopes: list[Scope]
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None
    last_used_at: Time | None
    suspended_at: Time | None = None


class KeyCreated(KeyAnswer):
    """A new key, in plain text for the only time. Null where the call is a repetition."""

    key: str | None


class RotationBody(Body):
    """How a key is replaced."""

    #: Hours for which the old key still opens.
    overlap_hours: Annotated[float, Field(ge=0, le=24 * 90)] = 0.0


class ErasureBody(Body):
    """What is to be forgotten: one finding, one project, or, with neither, all that this tenant has."""

    finding_id: UUID | None = None
    project_id: UUID | None = None
    #: Are the findings themselves deleted too, once releases and models are marked?
    delete_findings: bool = False

    @model_validator(mode="after")
    def _one_subject(self) -> ErasureBody:
        if self.finding_id is not None and self.project_id is not None:
            raise ValueError("name a finding or a project, not both")
        return self


class ErasureAnswer(Answer):
    """A demand. It holds for every harvest and every build from `requested_at` on.

    `detail` is the receipt, once the operator's pipeline has listed and marked what held the rows.
    """

    id: UUID
    finding_id: UUID | None
    project_id: UUID | None
    deletes_findings: bool = False
    requested_by: str
    requested_at: Time
    completed_at: Time | None
    detail: JsonObject


class AuditAnswer(Answer):
    """What somebody did."""

    at: Time
    #: Name of the API key, or `operator` for the command line.
    actor: str
    #: `key.create`, `consent.withdraw`, `scan.delete`, …
    action: str
    #: Id of what it was done to.
    subject: str
    detail: JsonObject


class ArtifactAnswer(Answer):
    """What is stored under this name now."""

    name: str
    sha256: str
    #: Bytes.
    size: int
