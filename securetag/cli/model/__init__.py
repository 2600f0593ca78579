"""`securetag model`, and the commands that make a model: `train`, `evaluate`, `publish`."""

from __future__ import annotations

import typer

from securetag.cli.model.calibrate import calibrate
from securetag.cli.model.card import card
from securetag.cli.model.compare import compare
from securetag.cli.model.evaluate import evaluate
from securetag.cli.model.publish import publish, rollback
from securetag.cli.model.registry import list_models, sync
from securetag.cli.model.score import score
from securetag.cli.model.serve import serve
from securetag.cli.model.train import train

app = typer.Typer(help="Models of this installation.", no_args_is_help=True)
app.command("list")(list_models)
app.command("calibrate")(calibrate)
app.command("card")(card)
app.command("compare")(compare)
app.command("score")(score)
app.command("serve")(serve)
app.command("sync")(sync)
app.command("rollback")(rollback)

__all__ = ["app", "evaluate", "publish", "train"]
