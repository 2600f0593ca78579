"""What a person may set when they start a run in the Dagster UI."""

from __future__ import annotations

import dagster as dg
from pydantic import Field

from securetag.records import JsonObject


class ReleaseConfig(dg.Config):
    """Parameters of a release; they are part of its digest."""

    seed: int = 0
    profile: str = Field(default="compact", description="`compact` (embedded model) or `full` (8B).")
    lang: str = "en"
    purpose: str = Field(default="internal", description="`internal` or `public`: which licenses may enter.")
    synthetic: int = Field(default=1200, description="Synthetic triage rows to ask for.")
    knowledge: int = Field(default=400, description="Most rows from Records.")
    near_duplicates: float = Field(default=0.75, description="Similarity from which two rows are one.")
    test_since: str | None = Field(
        default="2025-01-01", description="Rows of Records published on this day or later are test."
    )


class TrainConfig(dg.Config):
    """Which recipe, and what this run changes of it."""

    recipe: str = Field(default="securetag-embedded", description="A recipe of the package, or a YAML file.")
    overrides: JsonObject = {}
    timeout_s: float = 4 * 3600


class EvaluationConfig(dg.Config):
    """Which gate decides, over how many rows."""

    gate: str = Field(default="demo", description="A gate of the package, or a YAML file.")
    base: str = Field(default="securetag-base", description="Alias of the model to compare with.")
    per_axis: int = Field(default=24, description="Most held-out rows of each axis.")


class PublishConfig(dg.Config):
    """Where workers find the model."""

    alias: str = "securetag-v1"
