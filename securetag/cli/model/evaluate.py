"""`securetag evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.model.dismissals import join_equal, show_dismissals
from securetag.cli.model.registry import model_named
from securetag.cli.output import Json, emit, format_p, reported, show

Gate = Annotated[str, typer.Option(help="demo, production, or a gate's YAML file.")]


@reported
def evaluate(
    model: Annotated[str, typer.Argument(help="Alias, or the beginning of a model's id.")],
    against: Annotated[str, typer.Option(help="The model to compare with.")],
    dataset: Annotated[str, typer.Option(help="The release whose held-out rows are asked.")],
    gate: Gate = "demo",
    trained: Annotated[int, typer.Option(help="Most held-out rows like the trained ones.")] = 400,
    per_axis: Annotated[int, typer.Option(help="Most held-out rows of each other axis.")] = 80,
    whole: Annotated[int, typer.Option(help="Rows whose whole answer is asked for as well.")] = 20,
    attacks: Annotated[int, typer.Option(min=0, help="Attacks by text on vulnerable code; 0: none.")] = 560,
    max_lost: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Share of true positives that the threshold may lose.")
    ] = 0.02,
    as_json: Json = False,
) -> None:
    """Ask two models about held-out rows, and let the gate decide."""
    from securetag.cli.dataset.releases import release_folder
    from securetag.evaluation import gate as gates
    from securetag.pipeline.evaluate import EvaluationSizes
    from securetag.pipeline.evaluate import evaluate as run
    from securetag.settings import get_settings

    settings = get_settings()
    evaluation = run(
        model_named(model).model_id,
        model_named(against).model_id,
        release_folder(dataset, settings),
        gates.load(gates.find_gate(gate)),
        settings,
        sizes=EvaluationSizes(
            trained=trained, per_axis=per_axis, whole=whole, attacks=attacks, max_lost=max_lost
        ),
        progress=None if as_json else _progress,
    )
    if as_json:
        emit(gates.report(evaluation.comparison, evaluation.decision))
        return
    show(
        ["suite", "metric", "n", "base", "candidate", "95 %", "p"],
        [
            [
                suite,
                metric,
                cell.n,
                f"{cell.base:.2f}",
                f"{cell.candidate:.2f}",
                f"{cell.low:.2f} to {cell.high:.2f}",
                format_p(cell.p),
            ]
            for suite, compared in join_equal(evaluation.comparison.suites).items()
            for metric, cell in compared.metrics.items()
        ],
    )
    show_dismissals(evaluation.comparison)
    for name, figures in evaluation.comparison.fixes.items():
        typer.echo(f"Recommendations of the {name}: {figures.describe()}.")
    if evaluation.calibration is None:
        typer.echo("No calibration: too few validation rows got a score, or they have one label.")
    typer.echo(f"Gate {evaluation.decision.gate}: {'passed' if evaluation.decision.passed else 'rejected'}")
    for reason in evaluation.decision.reasons:
        typer.echo(f"  {reason}")
    typer.echo(f"Everything: {evaluation.folder}")


def _progress(name: str, done: int, total: int) -> None:
    if done % 10 == 0 or done == total:
        typer.echo(f"{name}: {done} of {total}")
