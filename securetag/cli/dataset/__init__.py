"""`securetag dataset`: build releases, look at them, hand them on."""

from __future__ import annotations

import typer

from securetag.cli.dataset import review
from securetag.cli.dataset.build import build
from securetag.cli.dataset.diff import diff
from securetag.cli.dataset.erase import erase
from securetag.cli.dataset.export import export
from securetag.cli.dataset.push import push
from securetag.cli.dataset.realism import realism
from securetag.cli.dataset.releases import list_releases, show_release, verify
from securetag.cli.dataset.teach import teach

app = typer.Typer(help="Immutable dataset releases.", no_args_is_help=True)
app.command("build")(build)
app.command("list")(list_releases)
app.command("show")(show_release)
app.command("verify")(verify)
app.command("diff")(diff)
app.command("export")(export)
app.command("push")(push)
app.command("erase")(erase)
app.command("realism")(realism)
app.command("teach")(teach)
app.add_typer(review.app, name="review")

__all__ = ["app"]
