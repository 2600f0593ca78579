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
    """From a release, row, Record, finding or model to the others."""
    import msgspec

    from securetag.pipeline.trace import trace as run
    from securetag.settings import get_settings

    found = run(wanted, get_settings(), limit=limit)
    if as_json:
        emit(msgspec.to_builtins(found))
    else:
        if found.thing is not None:
            typer.echo(f"{found.thing.kind} {found.thing.id}")
        elif found.candidates:
            show(["kind", "id"], [[one.kind, one.id] for one in found.candidates], title="It may be:")
        for place in found.places:
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
        if found.left_out:
            rows = [[one.release, one.example, one.reason] for one in found.left_out]
            show(["release", "example", "left out because"], rows)
    if found.thing is None and found.candidates:
        raise typer.Exit(1)
