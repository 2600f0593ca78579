"""`securetag db`: the database's schema, kept by the operator of an installation."""

from __future__ import annotations

import typer

from securetag.cli.output import reported

app = typer.Typer(help="The database's schema.", no_args_is_help=True)


@app.command("upgrade")
@reported
def upgrade() -> None:
    """Create roles, and bring the schema to its newest revision."""
    from securetag.db.engine import OWNER, dsn_for
    from securetag.db.upgrade import upgrade as run
    from securetag.settings import get_settings

    typer.echo(run(dsn_for(get_settings(), OWNER)))
