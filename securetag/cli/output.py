"""How commands speak: a table for people, JSON for scripts, an error with its next step."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

P = ParamSpec("P")
R = TypeVar("R")

#: The option that every command which prints a table takes.
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


#: Columns of a table that isn't printed to a terminal.
WIDTH = 120


def show(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """Print a table to standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console = Console()
    # A log or a pipe has no width of its own; at 80 columns the words of these tables break.
    Console(width=None if console.is_terminal else WIDTH).print(table)


def emit(value: Any) -> None:
    """Print JSON to standard output, indented, in UTF-8."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command: an error that we raise on purpose becomes two lines and exit code 1."""
    return reported_with(command, exit_code=1)


def reported_with(command: Callable[P, R], *, exit_code: int) -> Callable[P, R]:
    """Wrap a command whose exit code 1 says something else than that it failed."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from securetag.errors import SecuretagError

        try:
            return command(*args, **kwargs)
        except SecuretagError as error:
            typer.secho(f"error: {error}", fg="red", err=True)
            if error.hint:
                typer.secho(f"  next: {error.hint}", err=True)
            raise typer.Exit(exit_code) from error
        except KeyboardInterrupt:
            sys.exit(130)

    return run
