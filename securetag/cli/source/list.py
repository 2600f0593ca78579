"""`securetag source list`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from securetag.cli.output import Json, emit, reported, show_lines

#: What `source list --json` prints of each source, with `reach`.
COLUMNS = ["name", "tier", "publisher", "dataset", "edition", "licence", "url", "cadence"]


class Tier(StrEnum):
    """As in `securetag.extractors.catalog`, which would be slow to import for `--help`; a test compares."""

    CORE = "core"
    EXTENDED = "extended"
    HF = "hf"
    REPLAY = "replay"


@reported
def list_sources(
    publisher: Annotated[
        list[str] | None, typer.Option(help="Only sources of this publisher; repeat for several.")
    ] = None,
    tier: Annotated[list[Tier] | None, typer.Option(help="Only this tier; repeat for several.")] = None,
    in_reach: Annotated[
        bool, typer.Option("--in-reach", help="Only what can be fetched here, if need be from the network.")
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Only what needs no network: an installed package or the mirror.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the catalog: a line a source; JSON also has dataset, address and cadence.

    `reach` says where its files come from by the present settings: an installed package, the mirror,
    a folder, the network or the web; a dash where there is no way.
    """
    from securetag.extractors import catalog
    from securetag.settings import get_settings

    settings = get_settings()
    sources = list(catalog.load(settings.catalog).values())
    publishers = _publishers(publisher or [], {source.publisher for source in sources})
    rows = []
    for source in sources:
        available = catalog.check_availability(source, settings)
        if (
            (publishers and source.publisher not in publishers)
            or (tier and source.tier not in [wanted.value for wanted in tier])
            or (in_reach and not available)
            or (local and not available.is_local)
        ):
            continue
        reach = available.methods[0] if available else None
        rows.append({**{column: getattr(source, column) for column in COLUMNS}, "reach": reach})
    if as_json:
        emit(rows)
    else:
        shown = ["name", "tier", "publisher", "edition", "licence", "reach"]
        show_lines(shown, [[str(row[column] or "–") for column in shown] for row in rows])


def _publishers(names: list[str], every: set[str]) -> set[str]:
    """Return the publishers that `names` mean, in any case. Raises InputError for an unknown one."""
    from securetag.errors import InputError

    by_lower = {publisher.lower(): publisher for publisher in every}
    unknown = [name for name in names if name.lower() not in by_lower]
    if unknown:
        raise InputError(
            f"no source is published by {', '.join(unknown)}",
            hint=f"Publishers are: {', '.join(sorted(every))}.",
        )
    return {by_lower[name.lower()] for name in names}
