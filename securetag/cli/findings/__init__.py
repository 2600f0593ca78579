"""`securetag findings`, `feedback` and `suppressions`: look at findings and decide on them."""

from __future__ import annotations

import typer

from securetag.cli.findings import bring, show, suppress
from securetag.cli.findings.judge import assign, feedback, note

app = typer.Typer(help="Findings of all scans.", no_args_is_help=True)
app.command("list")(show.list_findings)
app.command("show")(show.show_finding)
app.command("import")(bring.import_findings)
app.command("assign")(assign)
app.command("note")(note)
app.command("suppress")(suppress.suppress_finding)

suppressions = typer.Typer(help="What people have chosen not to hear of.", no_args_is_help=True)
suppressions.command("list")(suppress.list_suppressions)
suppressions.command("add")(suppress.add_suppression)
suppressions.command("remove")(suppress.remove_suppression)

__all__ = ["app", "feedback", "suppressions"]
