"""`securetag trace`: where a row comes from and where it went."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.output import Json, emit, reported, show


@reported
def trace(
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="A release, example, Record, finding, tenant or model; the beginning suffices."
        ),
    ],
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Most ids of a kind.")] = 20,
    as_json: Json = False,
) -> None:
    """Show what a release, row, Record, finding or model comes from and went into."""
    import msgspec

    from securetag.datasets.drops import describe_reason
    from securetag.pipeline.trace import trace as run
    from securetag.settings import get_settings

    lineage = run(wanted, get_settings(), limit=limit)
    if as_json:
        emit(msgspec.to_builtins(lineage))
    else:
        if lineage.thing is not None:
            typer.echo(f"{lineage.thing.kind} {lineage.thing.id}")
        elif lineage.candidates:
            show(["kind", "id"], [[item.kind, item.id] for item in lineage.candidates], title="It may be:")
        for place in lineage.places:
            marks = [f"{m.model_id[:12]} {' '.join(m.aliases)}".strip() for m in place.models]
            splits = ", ".join(f"{split} {n:,}" for split, n in place.related.splits.items())
            typer.echo(f"\nrelease {place.release} ({splits}); models: {', '.join(marks) or 'none'}")
            show(
                ["kind", "of all", "ids"],
                [
                    [kind, f"{n:,}", "\n".join(place.related.ids[kind])]
                    for kind, n in place.related.counts.items()
                ],
            )
        if lineage.left_out:
            rows = [[item.release, item.example, describe_reason(item.reason)] for item in lineage.left_out]
            show(["release", "example", "left out because"], rows)
    if lineage.thing is None and lineage.candidates:
        raise typer.Exit(1)
