"""How much of everything each size of the demo does, and why that much."""

from __future__ import annotations

import msgspec

from securetag.records import JsonObject


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """One size."""

    #: Synthetic triage rows asked for; pairs that no rule flags fall away afterwards.
    synthetic: int
    #: Most knowledge rows (question-answer, mapping) in the release.
    knowledge: int
    #: Rows that the recipe trains on, and how many of them are triage.
    train_rows: int
    triage_share: float
    #: Held-out rows of each axis that both models are asked about.
    evaluated_per_axis: int
    #: Seconds after which training is given up.
    training_timeout_s: int

    def overrides(self) -> JsonObject:
        """Return the fields of the recipe that this size changes."""
        return {
            "max_rows": self.train_rows,
            "tasks": {"triage": self.triage_share, "qa": round(1 - self.triage_share, 3)},
        }


SIZES: dict[str, Size] = {
    "smoke": Size(
        synthetic=400,
        knowledge=120,
        train_rows=96,
        triage_share=0.9,
        evaluated_per_axis=16,
        training_timeout_s=1200,
    ),
    # 550 to 700 CPU-seconds of training. Too few rows for a verdict better than chance, enough to
    # learn the form of the answer.
    "quick": Size(
        synthetic=1200,
        knowledge=400,
        train_rows=400,
        triage_share=0.95,
        evaluated_per_axis=16,
        training_timeout_s=3600,
    ),
    "full": Size(
        synthetic=4400,
        knowledge=1000,
        train_rows=3120,
        triage_share=0.98,
        evaluated_per_axis=60,
        training_timeout_s=4 * 3600,
    ),
}
