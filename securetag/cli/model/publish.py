"""`securetag publish` and `securetag model rollback`: what an alias means."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.model.registry import model_named
from securetag.cli.output import reported


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


@reported
def rollback(alias: Annotated[str, typer.Argument()] = "securetag-v1") -> None:
    """Let an alias mean what it meant before. A model that a withdrawal concerns is passed over."""
    from securetag.pipeline.publish import rollback as run
    from securetag.settings import get_settings

    entry = run(alias, get_settings())
    typer.echo(f"{alias} is {entry.model_id[:12]} again")
