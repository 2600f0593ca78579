"""`securetag train`, `evaluate`, `publish` and `model`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from securetag.cli.output import Json, emit, reported, show

if TYPE_CHECKING:
    from securetag.serving.registry import ModelEntry

app = typer.Typer(help="Models of this installation.", no_args_is_help=True)
Gate = Annotated[str, typer.Option(help="demo, production, or a gate's YAML file.")]


@reported
def train(
    recipe: Annotated[
        str, typer.Argument(help="securetag-embedded, securetag-llama31-8b-h100, or a recipe's YAML file.")
    ],
    dataset: Annotated[str, typer.Option(help="A release: its folder, or the beginning of its digest.")],
    launcher: Annotated[
        str, typer.Option(help="Where it trains: local, or a name that a package adds.")
    ] = "local",
    as_json: Json = False,
) -> None:
    """Fine-tune on a release and register the model.

    Merges, converts and quantises; prints the model's id.
    """
    from securetag.cli.datasets import release_folder
    from securetag.pipeline.train import train as run
    from securetag.settings import get_settings
    from securetag.training.recipe import find_recipe

    settings = get_settings()
    progress = None if as_json else lambda row: typer.echo(f"step {row.get('step')}: loss {row.get('loss')}")
    found = run(
        find_recipe(recipe), release_folder(dataset, settings), settings, launcher=launcher, progress=progress
    )
    if as_json:
        emit(
            {
                "model_id": found.model_id,
                "run": str(found.run_dir),
                "gguf": str(found.gguf),
                "metrics": found.metrics,
            }
        )
    else:
        show(["model", "run", "GGUF"], [[found.model_id, found.run_dir, found.gguf]])
        typer.echo(
            f"Next: securetag evaluate {found.model_id[:12]} --against securetag-base --dataset {dataset}"
        )


@reported
def evaluate(
    model: Annotated[str, typer.Argument(help="Alias, or the beginning of a model's id.")],
    against: Annotated[str, typer.Option(help="The model to compare with.")],
    dataset: Annotated[str, typer.Option(help="The release whose held-out rows are asked.")],
    gate: Gate = "demo",
    per_axis: Annotated[int, typer.Option(help="Most held-out rows of each axis.")] = 80,
    as_json: Json = False,
) -> None:
    """Ask two models about held-out rows, and let the gate decide."""
    from securetag.cli.datasets import release_folder
    from securetag.evaluation import gate as gates
    from securetag.pipeline.evaluate import evaluate as run
    from securetag.settings import get_settings

    settings = get_settings()
    found = run(
        model_named(model).model_id,
        model_named(against).model_id,
        release_folder(dataset, settings),
        gates.load(gates.find_gate(gate)),
        settings,
        per_axis=per_axis,
        progress=None if as_json else _progress,
    )
    if as_json:
        emit(gates.report(found.comparison, found.decision))
        return
    show(
        ["suite", "metric", "n", "base", "candidate", "95 %", "p"],
        [
            [suite, metric, cell.n, f"{cell.base:.2f}", f"{cell.candidate:.2f}",
             f"{cell.low:.2f} to {cell.high:.2f}", f"{cell.p:.3f}"]
            for suite, compared in found.comparison.suites.items()
            for metric, cell in compared.metrics.items()
        ],
    )  # fmt: skip
    typer.echo(f"Gate {found.decision.gate}: {'passed' if found.decision.passed else 'rejected'}")
    for reason in found.decision.reasons:
        typer.echo(f"  {reason}")
    typer.echo(f"Everything: {found.folder}")


@reported
def publish(
    model: Annotated[str, typer.Argument(help="The beginning of an evaluated model's id.")],
    name: Annotated[str, typer.Option(help="The alias that workers ask for.")] = "securetag-v1",
) -> None:
    """Publish an evaluated model under an alias. Refused unless its gate passed."""
    from securetag.pipeline.evaluate import latest_evaluation
    from securetag.pipeline.publish import publish as run
    from securetag.settings import get_settings

    settings = get_settings()
    entry = model_named(model)
    run(latest_evaluation(entry.model_id, settings), name, settings)
    typer.echo(f"{name} is {entry.model_id[:12]} now. `securetag model rollback {name}` goes back.")


@app.command("list")
@reported
def list_models(as_json: Json = False) -> None:
    """Registered models and the aliases that name them."""
    import msgspec

    from securetag.serving.registry import Registry
    from securetag.settings import get_settings

    registry = Registry(get_settings().models_dir)
    aliases: dict[str, list[str]] = {}
    for alias, meaning in registry.aliases().items():
        aliases.setdefault(meaning.current, []).append(alias)
    rows = [
        {**msgspec.to_builtins(entry), "aliases": aliases.get(entry.model_id, [])}
        for entry in registry.list()
    ]
    if as_json:
        emit(rows)
    else:
        show(
            ["model", "aliases", "base", "quantisation", "release", "made", "erasures"],
            [
                [row["model_id"][:12], ", ".join(row["aliases"]), row["base"], row["quantisation"],
                 str(row.get("release") or "")[:12], row["created_at"], len(row.get("erasures", ())) or ""]
                for row in rows
            ],
        )  # fmt: skip


@app.command()
@reported
def serve(port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks one.")] = 0) -> None:
    """Serve the preferred alias, OpenAI-compatible, until Ctrl-C."""
    from securetag.cli.failures import require_packages
    from securetag.serving.runtime import main as run

    require_packages(["xllamacpp"])  # in a process of its own its lack would only be in a log
    run(["--port", str(port)])


@app.command()
@reported
def rollback(alias: Annotated[str, typer.Argument()] = "securetag-v1") -> None:
    """Let an alias mean what it meant before. A model that a withdrawal concerns is passed over."""
    from securetag.pipeline.publish import rollback as run
    from securetag.settings import get_settings

    entry = run(alias, get_settings())
    typer.echo(f"{alias} is {entry.model_id[:12]} again")


def model_named(name: str) -> ModelEntry:
    """A registered model by alias or by the beginning of its id. Raises NotFoundError."""
    from securetag.errors import NotFoundError
    from securetag.serving.registry import Registry
    from securetag.settings import get_settings

    registry = Registry(get_settings().models_dir)
    found = [entry for entry in registry.list() if len(name) >= 6 and entry.model_id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        raise NotFoundError(f"{len(found)} models begin with {name}", hint="Give more digits.")
    return registry.resolve(name)


def _progress(name: str, done: int, total: int) -> None:
    if done % 10 == 0 or done == total:
        typer.echo(f"{name}: {done} of {total}")
