"""`securetag dataset list`, `show` and `verify`, and how a command names a release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securetag.cli.output import Json, emit, make_console, reported, show

if TYPE_CHECKING:
    from securetag.settings import Settings

Name = Annotated[str, typer.Argument(help="A release: its folder, or the beginning of its digest.")]


@reported
def list_releases(as_json: Json = False) -> None:
    """List every release of this installation."""
    from securetag.settings import get_settings

    manifests = sorted(get_settings().releases_dir.glob("*/manifest.json"), key=lambda p: p.stat().st_mtime)
    rows = [{"release": path.parent.name, **json.loads(path.read_text())} for path in manifests]
    if as_json:
        emit(rows)
    else:
        show(
            ["release", "rows", "splits", "by task"],
            [
                [
                    row["release"],
                    sum(row["counts"]["splits"].values()),
                    row["counts"]["splits"],
                    row["counts"]["by_task"],
                ]
                for row in rows
            ],
        )


@reported
def show_release(name: Name, as_json: Json = False) -> None:
    """Show a release's card, or its manifest as JSON."""
    from securetag.settings import get_settings

    folder = release_folder(name, get_settings())
    if as_json:
        emit(json.loads((folder / "manifest.json").read_text()))
    else:
        from rich.markdown import Markdown

        card = (folder / "README.md").read_text()
        make_console().print(Markdown(card.split("---\n", 2)[-1]))


@reported
def verify(name: Name, as_json: Json = False) -> None:
    """Check every byte of a release against its digest."""
    from securetag.datasets.releases.release import verify_release as check
    from securetag.settings import get_settings

    folder = release_folder(name, get_settings())
    check(folder)
    if as_json:
        emit({"release": folder.name, "ok": True})
    else:
        typer.echo(f"{folder.name}: every file is as it was released")


def release_folder(name: str, settings: Settings) -> Path:
    """Return the folder of a release by path or by the beginning of its digest. Raises NotFoundError."""
    from securetag.datasets.releases.release import find_release

    return find_release(name, settings.releases_dir)
