"""How far a training run is: a bar on a terminal, else a line for each step that is logged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from securetag.records import JsonObject

Progress = Callable[[JsonObject], None]


@contextmanager
def show_steps(*, quiet: bool) -> Iterator[Progress | None]:
    """Yield what shows the lines of a run's progress; None where nothing is to be shown."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from securetag.cli.output import make_console

    console = make_console(stderr=True)
    if quiet:
        yield None
        return
    if not console.is_terminal:
        yield lambda line: typer.echo(f"step {line.get('step')}: {_describe(line)}")
        return
    columns = (
        TextColumn("training", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("", total=None)
        yield lambda line: bar.update(
            task, description=_describe(line), completed=line.get("step"), total=line.get("steps")
        )


def _describe(line: JsonObject) -> str:
    """Return the figures of a line of `progress.jsonl`; a line of a launcher may have fewer."""
    parts = [f"loss {line['loss']:.3f}"] if line.get("loss") is not None else []
    parts += [f"AUC {line['validation_auc']:.3f}"] if line.get("validation_auc") is not None else []
    parts += [f"{line['tokens_s']:,.0f} tokens/s"] if line.get("tokens_s") is not None else []
    return ", ".join(parts)
