"""What came of a finding that people have judged: the releases that it is in, and the models of those."""

from __future__ import annotations

from typing import Literal

from securetag.records import Gate
from securetag.wire.base import Answer, Time


class TrainedModel(Answer):
    """A published model that was trained on a release."""

    model_id: str
    #: The alias under which it was published last.
    name: str
    gate: Gate
    published_at: Time


class TrainingUseAnswer(Answer):
    """The rows of one release that rest on the finding."""

    #: Digest of the release.
    release: str
    #: Rows of the test split train nothing: models are measured on them.
    split: Literal["train", "validation", "test"]
    examples: int
    models: list[TrainedModel]
