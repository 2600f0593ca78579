"""Which sources a command works on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from securetag.settings import Settings

Names = Annotated[list[str] | None, typer.Argument(help="Names from `securetag source list`.")]
All = Annotated[bool, typer.Option("--all", help="Every source of `source list --local`.")]


def choose_sources(settings: Settings, names: list[str] | None, every: bool) -> list[str]:
    from securetag.errors import NotFoundError
    from securetag.extractors import catalog

    sources = catalog.load(settings.catalog)
    if every:
        return [source.name for source in sources.values() if catalog.is_usable(source, settings)]
    unknown = [name for name in names or [] if name not in sources]
    if unknown or not names:
        raise NotFoundError(
            f"no source is called {', '.join(unknown)}" if unknown else "no source was named",
            hint="`securetag source list` names them; `--all` takes those of `source list --local`.",
        )
    return names
