"""`securetag mirror`: a folder of files that replaces the network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from securetag.cli.output import Json, emit, reported, show

app = typer.Typer(help="A folder of files that replaces the network.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Make the manifest of a mirror."""


@app.command("create")
@reported
def create(
    folder: Annotated[
        Path, typer.Argument(help="Files, each saved as <host>/<path> or by its upstream name.")
    ],
    as_json: Json = False,
) -> None:
    """Write FOLDER/MANIFEST.json: which URL of the catalog each file replaces, with its checksum.

    Set SECURETAG_MIRROR to the folder then. Files that no source asks for are named and left out.
    """
    import msgspec

    from securetag.extractors import catalog
    from securetag.settings import get_settings

    created = catalog.create_mirror(folder, catalog.load(get_settings().catalog).values())
    if as_json:
        emit(msgspec.to_builtins(created))
        return
    show(["path", "url", "version"], [[entry.path, entry.url, entry.version] for entry in created.entries])
    for name in created.unmatched:
        typer.secho(f"left out, no source asks for it: {name}", fg="yellow", err=True)
