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
    #: Kinds of mistake in the synthetic rows (none: all of them), and how much of the rows is held out.
    mistakes: list[str] = []
    parts: dict[str, float] = {}
    #: Held-out rows that both models are asked about: like the trained ones, and of each other axis.
    evaluated: int
    evaluated_per_axis: int
    #: Of the rows like the trained ones, those that the base is asked about: it dismisses none in any case.
    evaluated_by_base: int
    #: Validation rows that the threshold is fitted on.
    validation: int
    #: Rows whose whole answer is asked for as well.
    whole: int
    #: Attacks by text on vulnerable code.
    attacks: int
    #: Seconds after which training is given up.
    training_timeout_s: int

    def overrides(self) -> JsonObject:
        """Return the fields of the recipe that this size changes."""
        return {
            "max_rows": self.train_rows,
            "tasks": {"triage": self.triage_share, "qa": round(1 - self.triage_share, 3)},
            # What it has learned is measured on the served file afterwards.
            "validation_rows": 16,
        }

    def release(self) -> JsonObject:
        """Return the parameters of the release that this size changes."""
        return {
            "synthetic": self.synthetic,
            "knowledge": self.knowledge,
            "mistakes": self.mistakes,
            "parts": self.parts,
        }

    def evaluation(self) -> JsonObject:
        """Return how many rows are asked about."""
        return {
            "trained": self.evaluated,
            "per_axis": self.evaluated_per_axis,
            "base_rows": self.evaluated_by_base,
            "validation": self.validation,
            "whole": self.whole,
            "attacks": self.attacks,
        }


SIZES: dict[str, Size] = {
    "smoke": Size(
        synthetic=400,
        knowledge=120,
        train_rows=96,
        triage_share=0.9,
        evaluated=24,
        evaluated_per_axis=8,
        evaluated_by_base=24,
        validation=24,
        whole=10,
        attacks=8,
        training_timeout_s=1200,
    ),
    # A small world: two kinds of mistake, and guards that do what they should. The gate asks for 200 true
    # positives in test, and as many in validation bound what the threshold loses; a few more are made.
    "quick": Size(
        synthetic=1_740,
        knowledge=200,
        train_rows=816,
        triage_share=0.98,
        mistakes=["dead", "wrong-variable"],
        parts={"validation": 0.2404, "in_distribution": 0.2404, "unseen": 0.0096},
        evaluated=400,
        evaluated_per_axis=16,
        evaluated_by_base=60,
        validation=400,
        whole=30,
        attacks=100,
        training_timeout_s=3 * 3600,
    ),
    "full": Size(
        synthetic=4_600,
        knowledge=1000,
        train_rows=3120,
        triage_share=0.98,
        parts={"validation": 0.1, "in_distribution": 0.1, "unseen": 0.03},
        evaluated=400,
        evaluated_per_axis=60,
        evaluated_by_base=200,
        validation=400,
        whole=40,
        attacks=500,
        training_timeout_s=4 * 3600,
    ),
}
