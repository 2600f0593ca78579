"""`securetag dataset diff`: what changed from one release to another."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.dataset.releases import Name, release_folder
from securetag.cli.output import Json, emit, reported, show


@reported
def diff(
    first: Name,
    second: Name,
    ids: Annotated[int, typer.Option(min=0, help="Ids to print of each change; JSON has all.")] = 5,
    as_json: Json = False,
) -> None:
    """What changed between two releases, by source and reason.

    Rows that came, went, moved to another split or got another label.
    """
    import msgspec

    from securetag.datasets.releases.diff import diff as run
    from securetag.settings import get_settings

    settings = get_settings()
    found = run(release_folder(first, settings), release_folder(second, settings))
    if as_json:
        emit(msgspec.to_builtins(found))
        return
    show(["split", found.first, found.second], [[split, *pair] for split, pair in found.rows.items()])
    for title, counts in (("source", found.by_source), ("label", found.by_label)):
        show([title, "added", "removed"], [[name, n.added, n.removed] for name, n in counts.items()])
    show(
        ["left out because", found.first, found.second],
        [[reason, *pair] for reason, pair in found.by_reason.items()],
    )
    changes = {"added": found.added} | {
        f"removed: {reason}": names for reason, names in found.removed.items()
    }
    changes["moved"] = [f"{one.id} {one.before} → {one.after}" for one in found.moved]
    changes["relabelled"] = [f"{one.id} {one.before} → {one.after}" for one in found.relabelled]
    show(
        ["change", "rows", "ids"],
        [[name, len(rows), "\n".join(rows[:ids])] for name, rows in changes.items() if rows],
    )
    for title, pairs in (("parameter", found.params), ("input", found.inputs)):
        if pairs:
            show([title, found.first, found.second], [[name, *pair] for name, pair in pairs.items()])
