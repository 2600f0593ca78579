"""In how many of ten seeds the demo ends with a published model: release, training, evaluation, gate alone.

`make bench AREA=demo-seeds`. A seed draws other synthetic rows and trains in another order. Left out of the
demo are its services, its scans and the rows from sources and feedback, two of a hundred. Each finished seed
is a file below `benchmarks/results/demo-seeds`, and isn't run again: a stopped run goes on where it was. A
file of other code or sizes counts as none.

`DEMO_SEEDS` says how many seeds (10; each takes about as many CPU-seconds as a demo), `DEMO_SIZE` of which
size (`quick`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.figure import Figure
from securetag.cli.demo.loop import SEED
from securetag.cli.demo.sizes import SIZES, Size
from securetag.datasets.build import BuildInputs, BuildParams, BuildTools, build
from securetag.evaluation import gate
from securetag.evaluation.dismissals import Dismissals
from securetag.evaluation.metrics import TRAINED
from securetag.pipeline.evaluate import EvaluationSizes, evaluate
from securetag.pipeline.train import train
from securetag.records import JsonObject, content_id
from securetag.serving import base
from securetag.serving.registry import Registry
from securetag.settings import Settings, get_settings
from securetag.system.files import write_json
from securetag.system.resources import cpu_seconds
from securetag.training.recipe import find_recipe
from securetag.triage import PROMPT_VERSIONS

SEEDS, SIZE = int(os.environ.get("DEMO_SEEDS", "10")), os.environ.get("DEMO_SIZE", "quick")
HOME = Path(__file__).parents[1] / "results" / "demo-seeds"
#: Share of the seeds that must end with a model that the gate lets through.
MIN_PUBLISHED = 0.9


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one seed."""

    seed: int
    #: Of recipe, sizes, gate and prompt: figures of others aren't comparable.
    setup: str
    passed: bool
    reasons: list[str]
    threshold: float | None
    #: CPU-seconds of building, training, and evaluating.
    build_cpu_s: float
    train_cpu_s: float
    evaluate_cpu_s: float
    #: `candidate`, `base` or a baseline → suite → its figures.
    dismissals: dict[str, dict[str, Dismissals]]


def measure() -> Iterator[Figure]:
    """Run what isn't there yet, seed by seed; then how many would have been published."""
    settings = get_settings().model_copy(update={"home": HOME / "home", "data": HOME / "data"})
    size = SIZES[SIZE]
    outcomes: list[Outcome] = []
    for seed in range(SEEDS):
        outcome = _read(seed, size) or _run(seed, size, settings)
        outcomes.append(outcome)
        yield from _describe(outcome)
    published = sum(outcome.passed for outcome in outcomes)
    yield Figure(
        figure="demo-seeds: seeds that the gate lets through",
        value=published,
        unit=f"of {SEEDS}",
        bar=f"≥ {MIN_PUBLISHED:.0%}",
        ok=published >= MIN_PUBLISHED * SEEDS,
    )
    yield from _summarise(outcomes)


def _run(seed: int, size: Size, settings: Settings) -> Outcome:
    started = cpu_seconds()
    tools = BuildTools(
        releases_dir=settings.releases_dir, work=settings.home / "work", semgrep=settings.semgrep
    )
    params = msgspec.convert(size.release() | {"seed": SEED + seed, "knowledge": 0}, BuildParams)
    release = Path(build(BuildInputs(), params, tools).path)
    built = cpu_seconds()
    overrides = size.overrides() | {"tasks": {"triage": 1.0}, "seed": seed}
    candidate = train(
        find_recipe("securetag-embedded"),
        release,
        settings,
        overrides=overrides,
        timeout_s=size.training_timeout_s,
    )
    trained = cpu_seconds()
    base_id = Registry(settings.models_dir).add(base.entry()).model_id
    evaluation = evaluate(
        candidate.model_id,
        base_id,
        release,
        gate.load(gate.find_gate("demo")),
        settings,
        sizes=msgspec.convert(size.evaluation(), EvaluationSizes),
    )
    outcome = Outcome(
        seed=seed,
        setup=_describe_setup(size),
        passed=evaluation.decision.passed,
        reasons=evaluation.decision.reasons,
        threshold=evaluation.calibration.threshold if evaluation.calibration else None,
        build_cpu_s=round(built - started, 1),
        train_cpu_s=round(trained - built, 1),
        evaluate_cpu_s=round(cpu_seconds() - trained, 1),
        dismissals=evaluation.comparison.dismissals,
    )
    write_json(_path(seed), msgspec.to_builtins(outcome))
    return outcome


def _read(seed: int, size: Size) -> Outcome | None:
    if not _path(seed).is_file():
        return None
    stored: JsonObject = json.loads(_path(seed).read_bytes())
    if stored.get("setup") != _describe_setup(size):
        return None
    return msgspec.convert(stored, Outcome)


def _path(seed: int) -> Path:
    return HOME / f"{SIZE}-{seed}.json"


def _describe_setup(size: Size) -> str:
    return content_id(
        {
            "recipe": find_recipe("securetag-embedded").read_text(),
            "gate": gate.find_gate("demo").read_text(),
            "size": msgspec.to_builtins(size),
            "prompt": PROMPT_VERSIONS["compact"],
        }
    )


def _describe(outcome: Outcome) -> Iterator[Figure]:
    name = f"demo-seeds: seed {outcome.seed}"
    candidate = outcome.dismissals["candidate"][TRAINED]
    words = outcome.dismissals["tfidf"][TRAINED]
    yield Figure(figure=f"{name}: let through", value=float(outcome.passed), unit="; ".join(outcome.reasons))
    yield Figure(
        figure=f"{name}: AUC", value=round(candidate.auc or 0, 4), unit="", peer=f"words {words.auc or 0:.4f}"
    )
    yield Figure(
        figure=f"{name}: false positives removed",
        value=candidate.removed,
        unit=f"of {candidate.false}",
        peer=f"words {words.removed}",
    )
    yield Figure(figure=f"{name}: true positives lost", value=candidate.lost, unit=f"of {candidate.true}")
    cost = outcome.build_cpu_s + outcome.train_cpu_s + outcome.evaluate_cpu_s
    yield Figure(
        figure=f"{name}: cost",
        value=round(cost),
        unit="CPU-s",
        peer=f"build {outcome.build_cpu_s:.0f}, train {outcome.train_cpu_s:.0f}, "
        f"evaluate {outcome.evaluate_cpu_s:.0f}",
    )


def _summarise(outcomes: Sequence[Outcome]) -> Iterator[Figure]:
    """Yield each axis over all seeds: AUC from the lowest to the highest, removed and lost in all."""
    for axis in sorted({axis for outcome in outcomes for axis in outcome.dismissals["candidate"]}):
        rows = [outcome.dismissals["candidate"][axis] for outcome in outcomes]
        scores = sorted(row.auc for row in rows if row.auc is not None)
        if scores:
            yield Figure(
                figure=f"demo-seeds: {axis}: median AUC",
                value=round(scores[len(scores) // 2], 4),
                unit=f"{scores[0]:.3f} to {scores[-1]:.3f}; removed {sum(row.removed for row in rows)} of "
                f"{sum(row.false for row in rows)}, lost {sum(row.lost for row in rows)} of "
                f"{sum(row.true for row in rows)}",
            )
