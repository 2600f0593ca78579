"""`adapter`, `evaluation` with its gate, and `published_model`."""

# No `from __future__ import annotations` here: Dagster reads the annotations of its functions.

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from securetag.assets.config import EvaluationConfig, PublishConfig, TrainConfig
from securetag.assets.dataset import release
from securetag.assets.metadata import picture, table
from securetag.assets.progress import Progress
from securetag.settings import get_settings


@dg.asset(group_name="model", kinds={"torch"}, deps=[release])
def adapter(context: dg.AssetExecutionContext, config: TrainConfig) -> dg.MaterializeResult:
    """LoRA fine-tuning in a subprocess; then merged, converted to GGUF, quantised and registered."""
    from securetag.evaluation.plots import loss_curve
    from securetag.pipeline.train import train
    from securetag.training.recipe import find_recipe

    settings = get_settings()
    candidate = train(
        find_recipe(config.recipe),
        Path(_latest(context, "release", "path")),
        settings,
        overrides=config.overrides,
        progress=_steps(Progress(context.log.info)),
        timeout_s=config.timeout_s,
    )
    return dg.MaterializeResult(
        metadata={
            "model_id": candidate.model_id,
            "loss": picture(loss_curve(candidate.history), alt="training loss by step"),
            "metrics": dg.MetadataValue.json(candidate.metrics),
            "gguf": dg.MetadataValue.path(candidate.gguf),
            "path": dg.MetadataValue.path(candidate.run_dir),
        }
    )


@dg.asset(
    group_name="model",
    deps=[adapter, release],
    check_specs=[
        dg.AssetCheckSpec(
            "gate", asset="evaluation", blocking=True, description="May this model be published?"
        )
    ],
)
def evaluation(context: dg.AssetExecutionContext, config: EvaluationConfig) -> dg.MaterializeResult:
    """Base and candidate on the same held-out rows. The blocking check is the gate."""
    from securetag.evaluation import gate
    from securetag.pipeline.evaluate import evaluate
    from securetag.serving.registry import Registry

    settings = get_settings()
    found = evaluate(
        _latest(context, "adapter", "model_id"),
        Registry(settings.models_dir).resolve(config.base).model_id,
        Path(_latest(context, "release", "path")),
        gate.load(gate.find_gate(config.gate)),
        settings,
        per_axis=config.per_axis,
        progress=Progress(context.log.info),
    )
    rows = [
        (suite, metric, cell.n, cell.base, cell.candidate, f"{cell.low:.2f} to {cell.high:.2f}", cell.p)
        for suite, compared in found.comparison.suites.items()
        for metric, cell in compared.metrics.items()
    ]
    return dg.MaterializeResult(
        metadata={
            "model_id": found.model_id,
            "figures": table(["suite", "metric", "n", "base", "candidate", "95 %", "p"], rows),
            "confusion": picture(
                (Path(found.folder) / "confusion.png").read_bytes(), alt="confusion matrices"
            ),
            "accuracy": picture((Path(found.folder) / "accuracy.png").read_bytes(), alt="accuracy by axis"),
            "path": dg.MetadataValue.path(found.folder),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="gate",
                passed=found.decision.passed,
                description=" ".join(found.decision.reasons),
                metadata={"reasons": table(["reason"], [(reason,) for reason in found.decision.reasons])},
            )
        ],
    )


@dg.asset(group_name="model", deps=[evaluation], kinds={"ollama"})
def published_model(context: dg.AssetExecutionContext, config: PublishConfig) -> dg.MaterializeResult:
    """The model that workers triage with. It runs only when the gate let the candidate through."""
    from securetag.pipeline.evaluate import read_evaluation
    from securetag.pipeline.publish import publish

    found = read_evaluation(Path(_latest(context, "evaluation", "path")))
    publish(found, config.alias, get_settings())
    return dg.MaterializeResult(metadata={"alias": config.alias, "model_id": found.model_id})


def _steps(progress: Progress) -> Callable[[dict[str, Any]], None]:
    """The training run's rows as progress."""

    def said(row: dict[str, Any]) -> None:
        tasks = f" ({', '.join(row['learnt'])})" if "learnt" in row else ""
        ending = f", loss {row['loss']:.3f}{tasks}, {row['eta_s']:.0f} s to go"
        progress("training step", row["step"], row["steps"], ending)

    return said


def _latest(context: dg.AssetExecutionContext, asset: str, name: str) -> str:
    """A piece of metadata of an upstream asset's newest materialisation."""
    event = context.instance.get_latest_materialization_event(dg.AssetKey(asset))
    if event is None or event.asset_materialization is None:
        raise dg.Failure(f"{asset} has never been materialised; materialise it first")
    value = event.asset_materialization.metadata[name].value
    return str(value)
