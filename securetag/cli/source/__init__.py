"""`securetag source`: list what the catalog describes, fetch it, extract it; look at a document first."""

from __future__ import annotations

import typer

from securetag.cli.source.extract import extract
from securetag.cli.source.fetch import fetch
from securetag.cli.source.list import list_sources
from securetag.cli.source.preview import preview

app = typer.Typer(help="Upstream publications: list, fetch, extract.", no_args_is_help=True)
app.command("list")(list_sources)
app.command("extract")(extract)
app.command("fetch")(fetch)
app.command("preview")(preview)

__all__ = ["app"]
