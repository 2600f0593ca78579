"""A registered model and a release's validation rows → the model's calibration, in the registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from securetag.calibration import Calibration
from securetag.datasets.releases.release import read_release
from securetag.errors import InputError
from securetag.evaluation.calibrate import Scored, fit_calibration
from securetag.evaluation.suites import select_scorable
from securetag.pipeline.evaluate import ask_model
from securetag.serving.registry import Registry
from securetag.settings import Settings

#: Share of the rows that must have a score: what wasn't scored may be what the model finds hard.
MIN_SCORED = 0.98


def calibrate(
    model_id: str,
    release: Path,
    settings: Settings,
    *,
    max_lost: float,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Ask the served model about every validation row of triage, fit its calibration, and keep it.

    `max_lost` is the share of true positives that may be dismissed. Raises NotFoundError for a model that the
    registry doesn't know, ReleaseError for a broken release, InputError where too little was answered.
    """
    registry = Registry(settings.models_dir)
    entry = registry.get(model_id)
    examples = [example for example in read_release(release).validation if select_scorable(example)]
    result = ask_model(entry, examples, "calibrated", settings, progress)
    scored = [Scored(row.margin, row.label) for row in result.rows if row.margin is not None]
    if not examples or len(scored) < len(examples) * MIN_SCORED:
        raise InputError(
            f"{len(scored)} of {len(examples)} validation rows got a score; {MIN_SCORED:.0%} are needed",
            hint="Serve the model with a runtime that gives log-probabilities.",
        )
    sources = sorted({example.source for example in examples})
    calibration = fit_calibration(
        scored,
        model_id=entry.model_id,
        prompt_version=result.rows[0].prompt_version,
        max_lost=max_lost,
        population=f"validation rows of release {release.name} ({', '.join(sources)})",
    )
    registry.record_calibration(calibration)
    return calibration
