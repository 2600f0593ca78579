"""`adapter`, `evaluation` with its gate, and `published_model`."""

# No `from __future__ import annotations` here: Dagster reads the annotations of its functions.

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg

from securetag.assets.config import EvaluationConfig, PublishConfig, TrainConfig
from securetag.assets.dataset import release
from securetag.assets.metadata import picture, table
from securetag.assets.progress import Progress
from securetag.evaluation.compare import Comparison
from securetag.evaluation.gate import GateDecision
from securetag.evaluation.metrics import HELD_OUT
from securetag.records import JsonObject
from securetag.settings import Settings

#: Training and evaluation take the accelerator, or all cores, for themselves: one run at a time.
GPU_POOL = "gpu"


@dg.asset(
    group_name="model", kinds={"pytorch", "huggingface"}, owners=["team:ml"], deps=[release], pool=GPU_POOL
)
def adapter(
    context: dg.AssetExecutionContext, config: TrainConfig, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    """LoRA fine-tuning in a subprocess; then merged, converted to GGUF, quantized and registered."""
    from securetag.datasets.releases.release import find_release
    from securetag.evaluation.plots import loss_curve
    from securetag.pipeline.train import train
    from securetag.training.recipe import find_recipe

    chosen = (
        find_release(config.release, settings.releases_dir)
        if config.release
        else Path(_latest(context, "release", "path"))
    )
    candidate = train(
        find_recipe(config.recipe),
        chosen,
        settings,
        overrides=config.overrides,
        launcher=config.launcher,
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
    kinds={"python", "llama"},
    owners=["team:ml"],
    deps=[adapter, release],
    pool=GPU_POOL,
    # Not blocking: a rejection is a result. A blocking check would end the run as failed.
    check_specs=[dg.AssetCheckSpec("gate", asset="evaluation", description="May this model be published?")],
)
def evaluation(
    context: dg.AssetExecutionContext, config: EvaluationConfig, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    """Base and candidate on the same held-out rows. The check is the gate."""
    from securetag.evaluation import gate
    from securetag.pipeline.evaluate import EvaluationSizes, evaluate
    from securetag.serving.registry import Registry

    result = evaluate(
        _latest(context, "adapter", "model_id"),
        Registry(settings.models_dir).resolve(config.base).model_id,
        Path(_latest(context, "release", "path")),
        gate.load(gate.find_gate(config.gate)),
        settings,
        sizes=EvaluationSizes(
            trained=config.trained,
            per_axis=config.per_axis,
            base_rows=config.base_rows,
            validation=config.validation,
            whole=config.whole,
            attacks=config.attacks,
            max_lost=config.max_lost,
        ),
        progress=Progress(context.log.info),
    )
    rows = [
        (suite, metric, cell.n, cell.base, cell.candidate, f"{cell.low:.2f} to {cell.high:.2f}", cell.p)
        for suite, compared in result.comparison.suites.items()
        for metric, cell in compared.metrics.items()
    ]
    return dg.MaterializeResult(
        metadata={
            "model_id": result.model_id,
            "figures": table(["suite", "metric", "n", "base", "candidate", "95 %", "p"], rows),
            "confusion": picture(
                (Path(result.folder) / "confusion.png").read_bytes(), alt="confusion matrices"
            ),
            "accuracy": picture((Path(result.folder) / "accuracy.png").read_bytes(), alt="accuracy by axis"),
            "path": dg.MetadataValue.path(result.folder),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="gate",
                passed=result.decision.passed,
                description=" ".join(result.decision.reasons),
                severity=dg.AssetCheckSeverity.ERROR,
                metadata={
                    **gate_figures(result.comparison, result.decision),
                    "reasons": table(["reason"], [(reason,) for reason in result.decision.reasons]),
                },
            )
        ],
    )


@dg.op(
    ins={"evaluation": dg.In(dg.Nothing)},
    out={"passed": dg.Out(dg.Nothing, is_required=False)},
    description="Did the gate let the candidate through? Nothing comes after it where it didn't.",
)
def read_gate(context: dg.OpExecutionContext) -> Iterator[dg.Output[None]]:
    """Read the decision from the evaluation itself, so that publishing alone asks the gate too."""
    from securetag.pipeline.evaluate import read_evaluation

    decision = read_evaluation(Path(_latest(context, "evaluation", "path"))).decision
    if decision.passed:
        yield dg.Output(None, "passed")
    else:
        context.log.info(f"The gate rejected the model, so it is not published. {' '.join(decision.reasons)}")


@dg.op(ins={"passed": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing), description="Point the alias at the model.")
def publish_model(
    context: dg.OpExecutionContext, config: PublishConfig, settings: dg.ResourceParam[Settings]
) -> None:
    """Publish the evaluated model. Refuses by itself what the gate rejected."""
    from securetag.pipeline.evaluate import read_evaluation
    from securetag.pipeline.publish import publish

    result = read_evaluation(Path(_latest(context, "evaluation", "path")))
    publish(result, config.alias, settings, by="dagster", progress=Progress(context.log.info))
    context.add_output_metadata({"alias": config.alias, "model_id": result.model_id})


@dg.graph_asset(
    group_name="model",
    kinds={"ollama"},
    owners=["team:ml"],
    ins={"evaluation": dg.AssetIn(dagster_type=dg.Nothing)},
)
def published_model(evaluation: None) -> None:
    """The model that workers triage with. Skipped where the gate rejected the candidate."""
    return publish_model(read_gate(evaluation))  # type: ignore[no-any-return]


def gate_figures(comparison: Comparison, decision: GateDecision) -> dict[str, float]:
    """Return the numbers that the gate looked at, which the UI plots over runs.

    Those of the metrics that it requires; of all held-out metrics where it couldn't decide on any.
    """
    required = {(check.suite, check.metric) for check in decision.checks if check.metric}
    figures: dict[str, float] = {
        "requirements met": sum(check.passed for check in decision.checks),
        "requirements not met": sum(not check.passed for check in decision.checks),
        "held-out examples": comparison.suites[HELD_OUT].n,
    }
    for suite, dismissals in comparison.dismissals.get("candidate", {}).items():
        for metric, values in (
            ("lost", {"lost": dismissals.lost, "of": dismissals.true, "at most": dismissals.lost_upper}),
            ("auc", {"candidate": dismissals.auc, "low": dismissals.auc_low, "high": dismissals.auc_high}),
            ("calibration_error", {"candidate": dismissals.calibration_error}),
        ):
            if (suite, metric) in required:
                figures |= {
                    f"{suite}, {metric.replace('_', ' ')}: {part}": float(f"{value:.4g}")
                    for part, value in values.items()
                    if value is not None
                }
    for suite, compared in comparison.suites.items():
        for metric, cell in compared.metrics.items():
            if (suite, metric) in required or (not required and suite == HELD_OUT):
                name = f"{suite}, {metric.replace('_', ' ')}"
                for part in ("candidate", "low", "high", "base", "p"):
                    figures[f"{name}: {part}"] = float(f"{getattr(cell, part):.4g}")
    return figures


def _steps(progress: Progress) -> Callable[[JsonObject], None]:
    """The training run's rows as progress."""

    def said(row: JsonObject) -> None:
        tasks = f" ({', '.join(row['task_share'])})" if "task_share" in row else ""
        ending = f", loss {row['loss']:.3f}{tasks}, {row['eta_s']:.0f} s to go"
        progress("training step", row["step"], row["steps"], ending)

    return said


def _latest(context: dg.AssetExecutionContext | dg.OpExecutionContext, asset: str, name: str) -> str:
    """A piece of metadata of an upstream asset's newest materialisation."""
    event = context.instance.get_latest_materialization_event(dg.AssetKey(asset))
    if event is None or event.asset_materialization is None:
        raise dg.Failure(f"{asset} has never been materialized; materialize it first")
    value = event.asset_materialization.metadata[name].value
    return str(value)
