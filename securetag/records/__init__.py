"""The vocabulary that every package speaks in, as msgspec structs: Record, Example, Finding, Verdict."""

from __future__ import annotations

from securetag.records.canonical import canonical_json, content_id, normalise_text
from securetag.records.example import Construction, EvidenceSpan, Example, Message, Origin, Teacher
from securetag.records.finding import (
    OCCURRENCE_FIELDS,
    CodeIdentity,
    CodeTerm,
    Finding,
    RuleMatch,
    SliceLine,
    TraceStep,
    WebLocation,
    rewrite_slice,
)
from securetag.records.record import PACKAGE_FIX, Facts, Record
from securetag.records.verdict import HarvestedVerdict, Verdict
from securetag.records.vocabulary import (
    SEVERITIES,
    BranchState,
    Confidence,
    Decision,
    Gate,
    JsonObject,
    Label,
    Lang,
    ModelLocation,
    PathClass,
    RuleKind,
    Severity,
    Status,
    Task,
    TextLang,
)

__all__ = [
    "OCCURRENCE_FIELDS",
    "PACKAGE_FIX",
    "SEVERITIES",
    "BranchState",
    "CodeIdentity",
    "CodeTerm",
    "Confidence",
    "Construction",
    "Decision",
    "EvidenceSpan",
    "Example",
    "Facts",
    "Finding",
    "Gate",
    "HarvestedVerdict",
    "JsonObject",
    "Label",
    "Lang",
    "Message",
    "ModelLocation",
    "Origin",
    "PathClass",
    "Record",
    "RuleKind",
    "RuleMatch",
    "Severity",
    "SliceLine",
    "Status",
    "Task",
    "Teacher",
    "TextLang",
    "TraceStep",
    "Verdict",
    "WebLocation",
    "canonical_json",
    "content_id",
    "normalise_text",
    "rewrite_slice",
]
