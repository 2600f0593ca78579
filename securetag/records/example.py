"""A row that trains a model: an Example, its messages, and where it comes from."""

from __future__ import annotations

from typing import Literal

import msgspec

from securetag.records.canonical import content_id
from securetag.records.vocabulary import Decision, Label, Task, TextLang


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
    #: The function that answers a request (`show`, `ItemHandler.get`), the parameter that the guard is for,
    #: and what a request can carry of it: what the oracle needs to run the function, or a fix of it.
    entry: str = ""
    variable: str = ""
    delivery: str = ""
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
    #: Hard axis of a test row: in_distribution, a part of `synthetic.holdout.BUCKETS`.
    axis: str | None = None
    construction: Construction | None = None
    pair_id: str | None = None
    evidence: list[EvidenceSpan] = []
    #: Where a person gave the label: what the model had said before, if it did.
    model_decision: Decision | None = None
    #: Of a row of origin `teacher`.
    teacher: Teacher | None = None
    #: Version of the triage prompt (`securetag.triage.PROMPT_VERSIONS`); None for other tasks.
    prompt_version: str | None = None
    #: Whom the row names: every publisher that it quotes, the Record's page, and a line for each Record.
    publisher: str = ""
    url: str = ""
    attribution: str = ""

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
        prompt_version: str | None = None,
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
            prompt_version=prompt_version,
        )
