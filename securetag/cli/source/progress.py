"""How far a source is, on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from securetag.extractors.fetching.download import Progress


@contextmanager
def show_progress(name: str, *, quiet: bool) -> Iterator[Progress | None]:
    """Show a bar of one source's files (or bytes); nothing where standard error is no terminal."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from securetag.cli.output import make_console

    console = make_console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    # Rich's own columns, but for the description: names of files are no markup.
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda what, done, of: bar.update(
            task, description=f"{name} {what if what != name else ''}", completed=done, total=of or None
        )
