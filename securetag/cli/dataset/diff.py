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
    """Compare two releases, by source and reason.

    Rows that came, went, moved to another split or got another label.
    """
    import msgspec

    from securetag.datasets.drops import describe_reason
    from securetag.datasets.releases.diff import diff_releases as run
    from securetag.settings import get_settings

    settings = get_settings()
    delta = run(release_folder(first, settings), release_folder(second, settings))
    if as_json:
        emit(msgspec.to_builtins(delta))
        return
    show(["split", delta.first, delta.second], [[split, *pair] for split, pair in delta.rows.items()])
    for title, counts in (("source", delta.by_source), ("label", delta.by_label)):
        show([title, "added", "removed"], [[name, n.added, n.removed] for name, n in counts.items()])
    show(
        ["left out because", delta.first, delta.second],
        [[describe_reason(reason), *pair] for reason, pair in delta.by_reason.items()],
    )
    changes = {"added": delta.added} | {
        f"removed: {describe_reason(reason)}": names for reason, names in delta.removed.items()
    }
    changes["moved"] = [f"{row.id} {row.before} → {row.after}" for row in delta.moved]
    changes["relabelled"] = [f"{row.id} {row.before} → {row.after}" for row in delta.relabelled]
    show(
        ["change", "rows", "ids"],
        [[name, len(rows), "\n".join(rows[:ids])] for name, rows in changes.items() if rows],
    )
    for title, pairs in (("parameter", delta.params), ("input", delta.inputs)):
        if pairs:
            show([title, delta.first, delta.second], [[name, *pair] for name, pair in pairs.items()])
