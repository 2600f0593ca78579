"""`securetag train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securetag.cli.model.progress import show_steps
from securetag.cli.output import Json, emit, reported, show

if TYPE_CHECKING:
    from securetag.settings import Settings


@reported
def train(
    recipe: Annotated[
        str, typer.Argument(help="securetag-embedded, llama31-8b-lora-h100, …, or a recipe's YAML file.")
    ],
    dataset: Annotated[str, typer.Option(help="A release: its folder, or the beginning of its digest.")],
    launcher: Annotated[
        str, typer.Option(help="Where it trains: local, runpod, or a name that a package adds.")
    ] = "local",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what it would take: tokens, steps, memory, hours, USD."),
    ] = False,
    resume: Annotated[
        Path | None, typer.Option(help="Folder of a run that was interrupted, to go on with it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fine-tune on a release and register the model.

    Merges, converts and quantises; prints the model's id.
    """
    from securetag.cli.dataset.releases import release_folder
    from securetag.pipeline.train import train as run
    from securetag.settings import get_settings
    from securetag.training.recipe import find_recipe

    settings = get_settings()
    if dry_run:
        _show_plan(find_recipe(recipe), release_folder(dataset, settings), settings, as_json)
        return
    with show_steps(quiet=as_json) as progress:
        candidate = run(
            find_recipe(recipe),
            release_folder(dataset, settings),
            settings,
            run_dir=resume,
            launcher=launcher,
            progress=progress,
        )
    if as_json:
        emit(
            {
                "model_id": candidate.model_id,
                "run": str(candidate.run_dir),
                "gguf": str(candidate.gguf),
                "metrics": candidate.metrics,
            }
        )
    else:
        show(["model", "run", "GGUF"], [[candidate.model_id, candidate.run_dir, candidate.gguf]])
        typer.echo(
            f"Next: securetag evaluate {candidate.model_id[:12]} --against securetag-base --dataset {dataset}"
        )


def _show_plan(recipe: Path, release: Path, settings: Settings, as_json: bool) -> None:
    """Print what a run would take; prices are RunPod's where its key is set."""
    import msgspec

    from securetag.training.launchers.runpod.market import read_prices
    from securetag.training.plan import plan
    from securetag.training.recipe import load

    loaded = load(recipe)
    prices = read_prices(loaded, settings) if loaded.gpu_types else None
    result = plan(loaded, release, prices)
    if as_json:
        emit(msgspec.to_builtins(result))
        return
    typer.echo(f"{result.rows:,} rows, {result.tokens:,} tokens an epoch (vocabulary: {result.tokenizer})")
    typer.echo(f"{result.steps:,} steps, {result.memory_gib} GiB of memory a GPU; prices: {result.prices}")
    columns = ["GPU", "fits", "tokens/s", "measured", "hours", "USD/h", "USD", "stock"]
    table = [
        [
            f"{option.count} x {option.gpu}",
            "yes" if option.fits else "no",
            f"{option.tokens_per_s:,.0f}",
            "yes" if option.is_measured else "no, scaled",
            option.hours,
            option.usd_per_hour,
            option.usd,
            option.stock or "",
        ]
        for option in result.options
    ]
    if table:
        show(columns, table)
