"""`securetag web`: scan web applications that are proven to be yours."""

from __future__ import annotations

import typer

from securetag.cli.web import scan, target

app = typer.Typer(help="Scans of web applications.", no_args_is_help=True)
app.command("scan")(scan.scan)
app.add_typer(target.app, name="target")

__all__ = ["app"]
