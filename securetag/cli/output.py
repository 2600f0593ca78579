"""How commands speak: a table for people, JSON for scripts, an error with its next step."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Annotated, NoReturn, ParamSpec, TypeVar

import typer

if TYPE_CHECKING:
    from rich.console import Console

P = ParamSpec("P")
R = TypeVar("R")

#: The option that every command which prints a table takes.
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


#: Blanks between two columns of `show_lines`, and the least that it leaves of a cell.
GAP, MIN_CELL = 2, 6
#: Columns of a table that isn't printed to a terminal.
WIDTH = 120


def make_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return a console that prints text as it is: `[red]`, `:smile:` and numbers of others are no markup."""
    from rich.console import Console

    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def show(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """Print a table to standard output."""
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    # A log or a pipe has no width of its own; at 80 columns the words of these tables break.
    make_console(width=None if make_console().is_terminal else WIDTH).print(table)


def format_p(p: float) -> str:
    """Return a p-value with three digits; one that these don't show is `<.001`."""
    return "<.001" if p < 0.0005 else f"{p:.3f}"


def show_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with one line a row: the first column whole, the others cut where they must be."""
    from rich.cells import cell_len
    from rich.table import Table

    console = make_console()
    if not console.is_terminal:
        console = make_console(width=WIDTH)
    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    while sum(widths) + GAP * (len(widths) - 1) > console.width and max(widths[1:]) > MIN_CELL:
        widest = max(range(1, len(widths)), key=lambda index: widths[index])
        widths[widest] -= 1
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, no_wrap=True, overflow="ellipsis", max_width=width)
    for row in rows:
        table.add_row(*row)
    console.print(table, crop=False, overflow="ignore", no_wrap=True)


def format_counts(counts: Mapping[str, int], *, lines: int = 0) -> str:
    """Return `a 3, b 4`, or `none`; with `lines`, the largest counts a line each, and how many others."""
    if not lines:
        return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    shown = [f"{count:>9,}  {name}" for name, count in ranked[:lines]]
    rest = ranked[lines:]
    return (
        "\n".join([*shown, *([f"{sum(n for _, n in rest):>9,}  {len(rest)} others"] if rest else [])])
        or "none"
    )


def emit(value: object) -> None:
    """Print JSON to standard output, indented, in UTF-8."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command: an error that a person can mend becomes two lines and exit code 1.

    Those that we raise on purpose, and those of folders, disks and packages (`securetag.cli.failures`).
    """
    return reported_with(command, exit_code=1)


def reported_with(command: Callable[P, R], *, exit_code: int) -> Callable[P, R]:
    """Wrap a command like `reported`, with an exit code of its own for errors."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from securetag.errors import SecuretagError

        try:
            return command(*args, **kwargs)
        except SecuretagError as error:
            _fail(str(error), error.hint, error, exit_code)
        except KeyboardInterrupt:
            sys.exit(130)
        except Exception as error:
            from securetag.cli.failures import explain

            explanation = explain(error)
            if explanation is None:
                raise
            _fail(*explanation, error, exit_code)

    return run


def _fail(happened: str, advice: str, error: Exception, exit_code: int) -> NoReturn:
    from securetag.system.extras import describe_failure

    for line, color in zip(describe_failure(happened, advice), ("red", None), strict=False):
        typer.secho(line, fg=color, err=True)
    raise typer.Exit(exit_code) from error
