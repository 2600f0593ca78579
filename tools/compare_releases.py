"""Are the rows of two releases the same, whatever version of the code built each of them?

    python tools/compare_releases.py BEFORE AFTER [--json]

BEFORE and AFTER are folders of releases. Rows are compared as sets of (messages, label, split, axis, group),
after `RENAMES` is applied to the rows of BEFORE: what a version renamed on purpose. Prints how many rows
both have, only the one, only the other, with the first few of them, and exits 1 where the sets differ.

Standard library alone, so that it reads releases of versions whose packages are not installed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

SPLITS = ("train", "validation", "test")
FIELDS = ("messages", "label", "split", "axis", "group")
#: Field → value of an older version → value of this one.
RENAMES: dict[str, dict[str, str]] = {}
#: Rows of each side that are shown.
MAX_SHOWN = 5

Row = tuple[str, ...]


def read_rows(release: Path, renames: dict[str, dict[str, str]]) -> set[Row]:
    """Return each row of a release as its `FIELDS`, each as JSON."""
    rows: set[Row] = set()
    for split in SPLITS:
        with (release / f"{split}.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                values = (renames.get(field, {}).get(str(row.get(field)), row.get(field)) for field in FIELDS)
                rows.add(tuple(json.dumps(value, sort_keys=True, ensure_ascii=False) for value in values))
    return rows


def main(arguments: list[str]) -> int:
    """0 when both hold the same rows, else 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    before, after = read_rows(options.before, RENAMES), read_rows(options.after, {})
    counts = {"same": len(before & after), "removed": len(before - after), "added": len(after - before)}
    if options.json:
        print(json.dumps(counts))
    else:
        print(f"{counts['same']:,} rows are the same, {counts['removed']:,} gone, {counts['added']:,} new")
        for title, rows in (("gone", before - after), ("new", after - before)):
            for row in sorted(rows)[:MAX_SHOWN]:
                print(f"{title}: {' | '.join(row[1:])} | {row[0][:300]}")
    return int(before != after)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
