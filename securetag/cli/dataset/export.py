"""`securetag dataset export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from securetag.cli.dataset.releases import Name, release_folder
from securetag.cli.output import Json, emit, reported, show

#: The built-in ones of `securetag.datasets.export.FORMATS`, which would be slow to import for `--help`.
FORMAT_NAMES = (
    "trl-messages",
    "trl-prompt-completion",
    "axolotl",
    "llamafactory-alpaca",
    "llamafactory-sharegpt",
    "openai",
    "alpaca",
    "kto",
)


def check_format(name: str) -> str:
    """Return `name` where it is a built-in format or that of another package. Raises typer.BadParameter."""
    from securetag.datasets.export import FORMATS

    names = FORMATS.names()
    if name not in names:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(map(repr, names))}.")
    return name


@reported
def export(
    name: Name,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar=f"[{'|'.join(FORMAT_NAMES)}]",
            callback=check_format,
            help="The trainer, or the form of its rows, also of another package; see docs/datasets/using.md.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="A folder that doesn't exist yet.")],
    as_json: Json = False,
) -> None:
    """Write a release as the files that a trainer reads.

    Licenses and provenance are beside them.
    """
    import msgspec

    from securetag.datasets.export import export as run
    from securetag.settings import get_settings

    exported = run(release_folder(name, get_settings()), form, out)
    if as_json:
        emit({**msgspec.to_builtins(exported), "out": str(out)})
        return
    show(["split", "rows"], exported.rows.items(), title=f"{exported.format}: {out}")
    if exported.left_out:
        show(["left out because", "examples"], exported.left_out.items())
