"""What a model says of a Finding, and what a person has said, as it leaves the database."""

from __future__ import annotations

from typing import Annotated

import msgspec

from securetag.records.example import Origin
from securetag.records.finding import Finding
from securetag.records.record import Record
from securetag.records.vocabulary import Decision, Gate, Label, Lang


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a model, or the machinery in its stead, says of a Finding.

    A verdict always exists: where no model answered, or answered nonsense, the decision is
    `needs_review` and `reason` says why.
    """

    decision: Decision
    #: Why the machinery abstained, or withholds a dismissal; empty where the model's own verdict stands.
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
    #: Calibrated where there is a `calibration_id`; None where the backend gives no log-probabilities.
    p_false_positive: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    #: Of the calibration (`securetag.calibration`) that made the probability; empty without one.
    calibration_id: str = ""
    #: The probability from which that calibration dismisses a finding; None where it never does.
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


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
