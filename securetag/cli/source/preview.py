"""`securetag source preview`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from securetag.cli.output import Json, emit, format_counts, reported


@reported
def preview(
    path: Annotated[Path, typer.Argument(help="A file, or a folder of documents.")], as_json: Json = False
) -> None:
    """Show what would be read of your own documents, before a source is made of them.

    Of each file: the reader, which column becomes what and which ones no field takes, what would be left out
    or replaced, and the first three Records.
    """
    import msgspec

    from securetag.extractors.preview import preview as preview_path

    previews = preview_path(path)
    if as_json:
        emit(msgspec.to_builtins(previews))
        return
    for shown in previews:
        typer.secho(f"{shown.file}: {shown.kind or 'left out'}", bold=True)
        for field, column in shown.mapping.items():
            typer.echo(f"  {field} ← {column}")
        if shown.unmapped_columns:
            typer.echo(f"  no field takes: {', '.join(shown.unmapped_columns)} (kept in the text)")
        for label, counts in (("left out", shown.dropped), ("replaced", shown.scrubbed)):
            if counts:
                typer.echo(f"  {label}: {format_counts(counts)}")
        for failure in shown.failures[:3]:
            typer.secho(f"  fails: {failure.locator} {failure.reason}", fg="red")
        for record in shown.records:
            typer.echo(f"  Record {record.key}: {record.title}")
            typer.echo("".join(f"    │ {line}\n" for line in record.text[:600].split("\n")), nl=False)
