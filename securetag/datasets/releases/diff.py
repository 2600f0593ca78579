"""What changed from one release to another: rows by source, label and reason, with their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from securetag.datasets.releases.manifest import SPLITS, Manifest
from securetag.datasets.releases.release import verify_release
from securetag.records import JsonObject

Value = TypeVar("Value")


class Row(msgspec.Struct, frozen=True):
    """Of an example what a difference is made of; the rest of its line isn't decoded."""

    id: str
    split: str
    source: str
    task: str
    label: str | None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A row that both have, differently."""

    id: str
    before: str | None
    after: str | None


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one source or label."""

    added: int = 0
    removed: int = 0


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """From `first` to `second`."""

    first: str
    second: str
    #: Parameter or input → [before, after], where they differ.
    params: dict[str, list[object]]
    inputs: dict[str, list[object]]
    rows: dict[str, list[int]]
    by_source: dict[str, Count]
    by_label: dict[str, Count]
    #: Reason → [left out of the first, left out of the second], where they differ.
    by_reason: dict[str, list[int]]
    added: list[str]
    #: Reason → ids. `not built` are rows that the second build never made.
    removed: dict[str, list[str]]
    moved: list[Change]
    relabelled: list[Change]


NOT_BUILT = "not built"


def diff_releases(first: Path, second: Path) -> Diff:
    """Compare two releases, both verified first. Raises ReleaseError, NotFoundError."""
    manifests = verify_release(first), verify_release(second)
    before, after = _rows(first), _rows(second)
    added, removed = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
    both = sorted(before.keys() & after.keys())
    left_out = _left_out(second)
    reasons: dict[str, list[str]] = {}
    for name in removed:
        reasons.setdefault(left_out.get(name, NOT_BUILT), []).append(name)
    gained, lost = [after[name] for name in added], [before[name] for name in removed]
    return Diff(
        first=first.name,
        second=second.name,
        params=_changed(manifests[0].params, manifests[1].params, None),
        inputs=_changed(manifests[0].inputs, manifests[1].inputs, None),
        rows={split: [_number(manifest, split) for manifest in manifests] for split in SPLITS},
        by_source=_by([row.source for row in gained], [row.source for row in lost]),
        by_label=_by([row.label or "none" for row in gained], [row.label or "none" for row in lost]),
        by_reason=_changed(_dropped(manifests[0]), _dropped(manifests[1]), absent=0),
        added=added,
        removed=dict(sorted(reasons.items())),
        moved=_changes(both, {k: v.split for k, v in before.items()}, {k: v.split for k, v in after.items()}),
        relabelled=_changes(
            both, {k: v.label for k, v in before.items()}, {k: v.label for k, v in after.items()}
        ),
    )


def _rows(release: Path) -> dict[str, Row]:
    decoder = msgspec.json.Decoder(Row)
    by_id: dict[str, Row] = {}
    for split in SPLITS:
        with (release / f"{split}.jsonl").open("rb") as lines:
            by_id |= {row.id: row for row in map(decoder.decode, lines)}
    return by_id


def _left_out(release: Path) -> dict[str, str]:
    import pyarrow.parquet as pq

    table = pq.read_table(release / "dropped.parquet", columns=["id", "reason"])
    return dict(zip(table["id"].to_pylist(), table["reason"].to_pylist(), strict=True))


def _dropped(manifest: Manifest) -> dict[str, int]:
    return manifest.counts.get("dropped", {})


def _number(manifest: Manifest, split: str) -> int:
    return manifest.files[f"{split}.jsonl"].rows


def _changed(
    before: Mapping[str, Value], after: Mapping[str, Value], absent: Value
) -> dict[str, list[Value]]:
    pairs = {name: [before.get(name, absent), after.get(name, absent)] for name in sorted({*before, *after})}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _by(added: list[str], removed: list[str]) -> dict[str, Count]:
    plus, minus = Counter(added), Counter(removed)
    return {name: Count(added=plus[name], removed=minus[name]) for name in sorted({*plus, *minus})}


def _changes(names: list[str], before: JsonObject, after: JsonObject) -> list[Change]:
    return [
        Change(id=name, before=before[name], after=after[name])
        for name in names
        if before[name] != after[name]
    ]
