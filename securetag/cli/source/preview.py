"""`securetag source preview`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securetag.cli.output import Json, emit, format_counts, reported

if TYPE_CHECKING:
    from securetag.extractors.preview import Preview

#: Files whose reasons are in the error where none gives a Record.
MAX_REASONS = 3


@reported
def preview(
    path: Annotated[Path, typer.Argument(help="A file, or a folder of documents.")], as_json: Json = False
) -> None:
    """Show what would be read of your own documents, before a source is made of them.

    Of each file: the reader, which column becomes what and which ones no field takes, what would be left out
    or replaced, and the first three Records. The exit code is 1 where no file gives a Record.
    """
    import msgspec

    from securetag.errors import InputError
    from securetag.extractors.preview import preview as preview_path

    previews = preview_path(path)
    if as_json:
        emit(msgspec.to_builtins(previews))
    else:
        _show(previews)
    if not any(shown.records for shown in previews):
        reasons = [f"{shown.file}: {_explain_emptiness(shown)}" for shown in previews[:MAX_REASONS]]
        raise InputError(
            f"no Record: {'; '.join(reasons) or f'{path} holds no file'}",
            hint="Mend the files, convert them to Markdown, HTML, PDF, CSV or JSON Lines, or name others.",
        )


def _explain_emptiness(shown: Preview) -> str:
    """Return why a file gives no Record: its first failure, else what was left out."""
    failures = [f"{failure.locator} {failure.reason}".strip() for failure in shown.failures[:1]]
    return "; ".join(failures or [f"left out: {reason}" for reason in shown.dropped]) or "it holds nothing"


def _show(previews: list[Preview]) -> None:
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
