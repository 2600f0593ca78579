"""`securetag model compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.model.registry import model_named
from securetag.cli.output import Json, emit, reported, show


@reported
def compare(
    model: Annotated[str, typer.Argument(help="Alias, or the beginning of a model's id.")],
    other: Annotated[str, typer.Argument(help="Alias, or the beginning of another model's id.")],
    as_json: Json = False,
) -> None:
    """Show in what two models differ: what each was made from, its run, and what was measured of it.

    Nothing is measured anew: `securetag evaluate MODEL --against OTHER` asks both about the same rows.
    """
    from securetag.pipeline.artifacts.compare import compare_models
    from securetag.settings import get_settings

    first, second = model_named(model), model_named(other)
    differences = compare_models(first, second, get_settings())
    if as_json:
        emit([{"field": name, "model": a, "other": b} for name, (a, b) in differences.items()])
        return
    rows = [[name, _write(a), _write(b)] for name, (a, b) in differences.items()]
    show(["", first.model_id[:12], second.model_id[:12]], rows)


def _write(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
