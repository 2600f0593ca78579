"""The words of which records, examples, findings and verdicts are made: types, enums, and what they mean."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

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
