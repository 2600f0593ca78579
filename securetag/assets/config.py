"""What a person may set when they start a run in the Dagster UI; members of an enum are offered as a list."""

from __future__ import annotations

from enum import StrEnum

import dagster as dg
from pydantic import Field

from securetag.evaluation.gate import list_gates
from securetag.records import JsonObject
from securetag.training.recipe import list_recipes


class Profile(StrEnum):
    """For which model triage rows are rendered: the embedded one, or the 8B one."""

    compact = "compact"
    full = "full"


class Language(StrEnum):
    """Language of triage prompts."""

    en = "en"
    es = "es"


class Purpose(StrEnum):
    """Which licenses may enter a release."""

    internal = "internal"
    public = "public"


class ReleaseConfig(dg.Config):
    """Parameters of a release; they are part of its digest."""

    seed: int = Field(default=0, description="Another seed draws and splits other rows.")
    profile: Profile = Field(default=Profile.compact, description="compact: embedded model; full: 8B.")
    lang: Language = Field(default=Language.en, description="Language of triage prompts.")
    purpose: Purpose = Field(default=Purpose.internal, description="Which licenses may enter.")
    synthetic: int = Field(default=1200, description="Synthetic triage rows to ask for.")
    parts: dict[str, float] = Field(
        default={}, description="Parts of them that are held out: validation, in_distribution, unseen."
    )
    mistakes: list[str] = Field(default=[], description="Kinds of mistake in them; empty: all.")
    knowledge: int = Field(default=400, description="Most rows from Records.")
    near_duplicates: float = Field(default=0.75, description="Similarity from which two rows are one.")
    test_since: str | None = Field(
        default="2025-01-01", description="Rows of Records published on this day or later are test."
    )


class TrainConfig(dg.Config):
    """Which recipe on which release, and what this run changes of it."""

    recipe: str = Field(
        default="securetag-embedded",
        description=f"A recipe of the package ({', '.join(list_recipes())}), or the path of a YAML file.",
    )
    release: str | None = Field(
        default=None, description="A partition of `releases`, or a folder; by default the newest release."
    )
    overrides: JsonObject = Field(default={}, description="Fields of the recipe with other values.")
    launcher: str = Field(default="local", description="Where it trains: local, runpod, or a package's own.")
    timeout_s: float = Field(default=4 * 3600, description="Seconds after which training is stopped.")


class EvaluationConfig(dg.Config):
    """Which gate decides, over how many rows."""

    gate: str = Field(
        default="demo",
        description=f"A gate of the package ({', '.join(list_gates())}), or the path of a YAML file.",
    )
    base: str = Field(default="securetag-base", description="Alias of the model to compare with.")
    trained: int = Field(default=400, description="Most held-out rows like the trained ones.")
    per_axis: int = Field(default=24, description="Most held-out rows of each other axis.")
    base_rows: int | None = Field(
        default=None, description="Of these rows, those that the base is asked about; it dismisses none."
    )
    validation: int = Field(default=400, description="Most validation rows that the threshold is fitted on.")
    whole: int = Field(default=20, description="Rows whose whole answer is asked for as well.")
    attacks: int = Field(default=560, description="Attacks by text on vulnerable code.")
    max_lost: float = Field(
        default=0.02, description="Share of true positives that the threshold may lose on validation rows."
    )


class PublishConfig(dg.Config):
    """Where workers find the model."""

    alias: str = Field(default="securetag-v1", description="The name that workers ask for.")


class RollbackConfig(dg.Config):
    """Which alias goes back."""

    alias: str = Field(default="securetag-v1", description="It gets the model that it meant before.")
