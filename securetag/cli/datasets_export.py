"""`securetag dataset export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from securetag.cli.datasets import Name, release_folder
from securetag.cli.output import Json, emit, reported, show

# `securetag.datasets.export.FORMATS`, which would be slow to import for `--help`; a test compares them.
FormatName = Literal[
    "trl-messages",
    "trl-prompt-completion",
    "axolotl",
    "llamafactory-alpaca",
    "llamafactory-sharegpt",
    "openai",
    "alpaca",
    "kto",
]


@reported
def export(
    name: Name,
    form: Annotated[
        FormatName,
        typer.Option("--format", help="The trainer, or the form of its rows; see docs/datasets.md."),
    ],
    out: Annotated[Path, typer.Option(help="A folder that doesn't exist yet.")],
    as_json: Json = False,
) -> None:
    """Write a release as the files that a trainer reads.

    Licences and provenance stand beside them.
    """
    import msgspec

    from securetag.datasets.export import export as run
    from securetag.settings import get_settings

    found = run(release_folder(name, get_settings()), form, out)
    if as_json:
        emit({**msgspec.to_builtins(found), "out": str(out)})
        return
    show(["split", "rows"], found.rows.items(), title=f"{found.format}: {out}")
    if found.left_out:
        show(["left out because", "examples"], found.left_out.items())
