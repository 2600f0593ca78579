"""`securetag backup` and `restore`: an installation's data as one folder, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securetag.cli.output import Json, emit, format_counts, make_console, reported

if TYPE_CHECKING:
    from securetag.pipeline.backup.manifest import Progress
    from securetag.pipeline.backup.write import Summary

Folder = Annotated[Path, typer.Argument(metavar="PATH", help="Folder of the backup.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


@reported
def backup(path: Folder, as_json: Json = False, quiet: Quiet = False) -> None:
    """Write database, artifacts, releases and model registry to a new folder. The services may run."""
    import os

    from securetag.pipeline.backup import write_backup
    from securetag.settings import get_settings

    # It holds customers' code.
    os.umask(0o077)
    with _show_progress(quiet) as progress:
        summary = write_backup(get_settings(), path, progress)
    _print(summary, "Backed up to", as_json)
    if summary.missing:
        typer.echo(
            f"{len(summary.missing)} artifacts were deleted while the backup was written, or before; "
            "manifest.json names them.",
            err=True,
        )


@reported
def restore(path: Folder, as_json: Json = False, quiet: Quiet = False) -> None:
    """Restore a backup into an empty installation. Only PostgreSQL may run, started and migrated or not."""
    from securetag.pipeline.backup import restore as run
    from securetag.settings import get_settings

    with _show_progress(quiet) as progress:
        summary = run(get_settings(), path, progress)
    _print(summary, "Restored from", as_json)
    for file in summary.outside:
        if not Path(file).is_file():
            typer.echo(f"{file}, a model's file, was outside of the backup: put it back.", err=True)


def _print(summary: Summary, what: str, as_json: bool) -> None:
    import msgspec

    if as_json:
        emit(msgspec.to_builtins(summary))
        return
    typer.echo(f"{what} {summary.path}: {summary.files:,} files, {summary.bytes / 2**20:,.1f} MiB.")
    typer.echo(f"Schema {summary.revision}, written {summary.created_at}.")
    typer.echo(
        format_counts({name: rows for name, rows in summary.rows.items() if rows}, lines=len(summary.rows))
    )


@contextmanager
def _show_progress(quiet: bool) -> Iterator[Progress]:
    """Show what is being done, and how much of it is; nothing where standard error is no terminal."""
    from rich.text import Text

    console = make_console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _what, _done: None
        return
    with console.status("") as status:
        # A spinner reads markup in a plain string, whatever its console does.
        yield lambda what, done: status.update(Text(f"{what} {done / 2**20:,.0f} MiB" if done else what))
