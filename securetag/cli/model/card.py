"""`securetag model card`."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.model.registry import model_named
from securetag.cli.output import Json, emit, reported


@reported
def card(
    model: Annotated[str, typer.Argument(help="Alias, or the beginning of a model's id.")],
    bom: Annotated[
        bool, typer.Option("--bom", help="Print its bill of materials (CycloneDX 1.6) instead.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a model's card, bill of materials and run manifest again, and print the card.

    With `--json` it prints the manifest. The files are in a folder beside the model, named on standard error.
    """
    from securetag.pipeline.artifacts import BOM, CARD, MANIFEST, write_artifacts
    from securetag.settings import get_settings

    folder = write_artifacts(model_named(model), get_settings())
    if as_json:
        import json

        emit(json.loads((folder / (BOM if bom else MANIFEST)).read_bytes()))
        return
    typer.echo((folder / (BOM if bom else CARD)).read_text(encoding="utf-8"), nl=False)
    typer.echo(f"written to {folder}", err=True)
