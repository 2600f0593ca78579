"""`securetag train`."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.output import Json, emit, reported, show


@reported
def train(
    recipe: Annotated[
        str, typer.Argument(help="securetag-embedded, securetag-llama31-8b-h100, or a recipe's YAML file.")
    ],
    dataset: Annotated[str, typer.Option(help="A release: its folder, or the beginning of its digest.")],
    launcher: Annotated[
        str, typer.Option(help="Where it trains: local, runpod, or a name that a package adds.")
    ] = "local",
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
    progress = None if as_json else lambda row: typer.echo(f"step {row.get('step')}: loss {row.get('loss')}")
    candidate = run(
        find_recipe(recipe), release_folder(dataset, settings), settings, launcher=launcher, progress=progress
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
