"""A registered model and a release's validation rows → the model's calibration, in the registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from securetag.calibration import Calibration
from securetag.datasets.releases.release import read_release
from securetag.evaluation.suites import select_scorable
from securetag.pipeline.evaluate import ask_model, describe_population, fit_on_rows
from securetag.serving.registry import Registry
from securetag.settings import Settings


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
    calibration = fit_on_rows(
        ask_model(entry, examples, "calibrated", settings, progress),
        entry.model_id,
        max_lost=max_lost,
        population=describe_population(release, examples),
    )
    registry.record_calibration(calibration)
    return calibration
