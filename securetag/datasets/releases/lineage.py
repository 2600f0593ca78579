"""From a release to what it rests on and back: one Parquet table, and an index that answers at once.

`lineage.parquet` has one row for each origin of each example, and one with empty origins for an
example without any. It is the truth, and it is written with the release. Beside the releases, in
``.lineage/<release>.sqlite``, is an index over it that can be made again at any time: a look-up in
the Parquet file reads whole columns, one in the index a few pages, in either direction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from securetag.errors import ReleaseError
from securetag.records import Example, Origin
from securetag.system.files import replace_file

if TYPE_CHECKING:
    import pyarrow as pa

FILE = "lineage.parquet"
#: What the index knows. The release itself isn't in it: it is the index's name.
Kind = Literal["example", "record", "finding", "tenant", "consent"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_COLUMNS = (
    "example_id",
    "split",
    "task",
    "source",
    "licence",
    "group",
    "record_id",
    "finding_id",
    "tenant_id",
    "consent_id",
)
_FOLDER = ".lineage"
#: Rises when the index below changes shape, so that older ones are made again.
_INDEX_VERSION = "1"
_TABLES = """
CREATE TABLE made_from (stamp TEXT NOT NULL);
CREATE TABLE kind (kind TEXT PRIMARY KEY, first INTEGER NOT NULL, number INTEGER NOT NULL);
CREATE TABLE thing (n INTEGER PRIMARY KEY, kind TEXT NOT NULL, id NOT NULL);
CREATE TABLE total (what TEXT NOT NULL, name TEXT NOT NULL, examples INTEGER NOT NULL);
CREATE TABLE example (
    n INTEGER PRIMARY KEY, split TEXT NOT NULL, task TEXT NOT NULL, source TEXT NOT NULL
);
CREATE TABLE link (origin INTEGER, example INTEGER, PRIMARY KEY (origin, example)) WITHOUT ROWID;
CREATE TABLE dropped (id NOT NULL, reason TEXT NOT NULL);
"""
# After the rows: an index that grows with each row costs three times as much.
_INDEXES = """
CREATE UNIQUE INDEX thing_id ON thing (id, kind);
CREATE UNIQUE INDEX link_example ON link (example, origin);
CREATE INDEX dropped_id ON dropped (id);
INSERT INTO total SELECT 'split', split, count(*) FROM example GROUP BY split ORDER BY split;
INSERT INTO total SELECT 'source', source, count(*) FROM example GROUP BY source ORDER BY source;
"""
_HEX = frozenset("0123456789abcdef")


class Related(msgspec.Struct, frozen=True, kw_only=True):
    """What one release knows of one id."""

    #: Kind → how many there are in all.
    counts: dict[str, int]
    #: Kind → the first ids, in order.
    ids: dict[str, list[str]]
    #: Split → examples.
    splits: dict[str, int]
    #: Source → examples.
    sources: dict[str, int]


def write_lineage(path: Path, examples: Sequence[Example]) -> None:
    """The table of a release's examples, ordered by example."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        (
            example.id,
            example.split,
            example.task.value,
            example.source,
            example.licence,
            example.group,
            origin.record_id,
            origin.finding_id,
            origin.tenant_id,
            origin.consent_id,
        )
        for example in sorted(examples, key=lambda row: row.id)
        for origin in example.origins or [Origin()]
    ]
    columns = zip(*rows, strict=True) if rows else [()] * len(_COLUMNS)
    arrays = [pa.array(list(values), type=pa.string()) for values in columns]
    pq.write_table(pa.table(arrays, names=list(_COLUMNS)), path)


def addition_name(sha256: str) -> str:
    """Name of a further lineage of the same rows, known by its content."""
    return f"lineage-{sha256[:12]}.parquet"


def list_additions(release: Path) -> list[Path]:
    """Lineages of later builds of this release, whose origins differ."""
    return sorted(release.glob("lineage-*.parquet"))


def read_lineage(release: Path) -> pa.Table:
    """All of a release's lineage as one table. Raises ReleaseError where it can't be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pa.concat_tables([pq.read_table(file) for file in (release / FILE, *list_additions(release))])
    except (OSError, pa.ArrowException) as error:
        raise ReleaseError(
            f"the lineage of release {release.name} can't be read: {error}",
            hint="Run `securetag dataset verify`; the same inputs build the same release again.",
        ) from error


def build_index(release: Path) -> Path:
    """The index of a release, made where it is missing, broken or older than the lineage."""
    path = release.parent / _FOLDER / f"{release.name}.sqlite"
    stamp = _stamp(release)
    if not _current(path, stamp):
        with replace_file(path, durable=False) as temporary:
            _build(release, temporary, stamp)
    return path


def _stamp(release: Path) -> str:
    """What the index was made from: the lineage files by name, size and time of change."""
    try:
        files = [(file.name, file.stat()) for file in (release / FILE, *list_additions(release))]
    except OSError as error:
        raise ReleaseError(f"release {release.name} has no lineage: {error}") from error
    return repr([_INDEX_VERSION, *((name, status.st_size, status.st_mtime_ns) for name, status in files)])


def _current(path: Path, stamp: str) -> bool:
    try:
        with _opened(path) as connection:
            row = connection.execute("SELECT stamp FROM made_from").fetchone()
    except sqlite3.Error:
        return False
    return row is not None and row[0] == stamp


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        yield connection


def _build(release: Path, path: Path, stamp: str) -> None:
    import pyarrow.parquet as pq

    table = read_lineage(release)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)
        numbers: dict[Kind, list[int | None]] = {}
        offset = 0
        for kind in KINDS:
            encoded = table[f"{kind}_id"].combine_chunks().dictionary_encode()
            names = encoded.dictionary.to_pylist()
            connection.executemany(
                "INSERT INTO thing VALUES (?, ?, ?)",
                ((offset + n, kind, _packed(name)) for n, name in enumerate(names)),
            )
            connection.execute("INSERT INTO kind VALUES (?, ?, ?)", (kind, offset, len(names)))
            places = encoded.indices.to_pylist()
            numbers[kind] = [None if place is None else offset + place for place in places]
            offset += len(names)
        described = zip(
            numbers["example"],
            *(table[name].to_pylist() for name in ("split", "task", "source")),
            strict=True,
        )
        connection.executemany("INSERT OR IGNORE INTO example VALUES (?, ?, ?, ?)", described)
        for kind in KINDS[1:]:
            pairs = zip(numbers[kind], numbers["example"], strict=True)
            connection.executemany(
                "INSERT OR IGNORE INTO link VALUES (?, ?)", (pair for pair in pairs if pair[0] is not None)
            )
        left = pq.read_table(release / "dropped.parquet", columns=["id", "reason"]).to_pylist()
        connection.executemany(
            "INSERT INTO dropped VALUES (?, ?)",
            ((_packed(row["id"]), row["reason"]) for row in left if row["id"]),
        )
        connection.executescript(_INDEXES)
        connection.execute("INSERT INTO made_from VALUES (?)", (stamp,))
        connection.commit()


def _packed(name: str) -> str | bytes:
    """An id as the index stores it: a sha256 in half the bytes."""
    return bytes.fromhex(name) if len(name) == 64 and set(name) <= _HEX else name


def _unpacked(stored: str | bytes) -> str:
    return stored.hex() if isinstance(stored, bytes) else stored


def find_ids(release: Path, prefix: str, limit: int) -> list[tuple[Kind, str]]:
    """At most `limit` things of a release whose id begins so."""
    with _opened(build_index(release)) as connection:
        return sorted(
            (kind, _unpacked(stored))
            for kind, stored in _begins(connection, "SELECT kind, id FROM thing", prefix, limit)
        )


def find_dropped(release: Path, prefix: str, limit: int) -> list[tuple[str, str]]:
    """(example, reason) of at most `limit` examples that didn't make it into this release."""
    with _opened(build_index(release)) as connection:
        return sorted(
            (_unpacked(stored), reason)
            for stored, reason in _begins(connection, "SELECT id, reason FROM dropped", prefix, limit)
        )


def _begins(connection: sqlite3.Connection, select: str, prefix: str, limit: int) -> list[tuple[Any, Any]]:
    ranges: list[tuple[str | bytes, str | bytes]] = [(prefix, prefix + "\U0010ffff")]
    if len(prefix) <= 64 and set(prefix) <= _HEX:
        ranges.append((bytes.fromhex(prefix.ljust(64, "0")), bytes.fromhex(prefix.ljust(64, "f"))))
    entries: list[tuple[str, str]] = []
    for low, high in ranges:
        entries += connection.execute(f"{select} WHERE id BETWEEN ? AND ? LIMIT ?", (low, high, limit))
    return entries[:limit]


def find_related(release: Path, kind: Kind | None, name: str, limit: int) -> Related:
    """Everything that an id of a release hangs together with; without a kind, the release's all.

    Through the examples: a record's findings are those that gave the same examples.
    """
    with _opened(build_index(release)) as connection:
        if kind is None:
            return _everything(connection, limit)
        cursor = connection.execute("SELECT n FROM thing WHERE id = ? AND kind = ?", (_packed(name), kind))
        row = cursor.fetchone()
        number = -1 if row is None else int(row[0])
        if kind == "example":
            return _related(connection, f"SELECT {number} AS n", limit)
        return _related(connection, f"SELECT example AS n FROM link WHERE origin = {number}", limit)


def _everything(connection: sqlite3.Connection, limit: int) -> Related:
    """Of the whole release; counted when the index was made, since a million rows take a second."""
    ranges = connection.execute("SELECT kind, first, number FROM kind WHERE number > 0").fetchall()
    some = "SELECT id FROM thing WHERE n BETWEEN ? AND ?"
    totals = connection.execute("SELECT what, name, examples FROM total").fetchall()
    return Related(
        counts={kind: number for kind, _, number in ranges},
        ids={
            kind: sorted(
                _unpacked(stored)
                for (stored,) in connection.execute(some, (first, first + min(limit, number) - 1))
            )
            for kind, first, number in ranges
        },
        splits={name: examples for what, name, examples in totals if what == "split"},
        sources={name: examples for what, name, examples in totals if what == "source"},
    )


def _related(connection: sqlite3.Connection, chosen: str, limit: int) -> Related:
    """Of the examples that the query `chosen` names by number."""
    connection.executescript(
        "PRAGMA temp_store = MEMORY;"
        f"CREATE TEMP TABLE picked AS {chosen};"
        "CREATE TEMP TABLE rests AS SELECT n FROM picked UNION"
        " SELECT origin FROM link WHERE example IN (SELECT n FROM picked);"
        "CREATE INDEX temp.rests_n ON rests (n)"
    )
    counts: dict[str, int] = {}
    ids: dict[str, list[str]] = {}
    for kind, first, number in connection.execute("SELECT kind, first, number FROM kind").fetchall():
        within = (first, first + number - 1)
        query = "SELECT count(*) FROM rests WHERE n BETWEEN ? AND ?"
        (total,) = connection.execute(query, within).fetchone()
        if total:
            query = "SELECT n FROM rests WHERE n BETWEEN ? AND ? ORDER BY n LIMIT ?"
            some = connection.execute(f"SELECT id FROM thing WHERE n IN ({query})", (*within, limit))
            counts[kind], ids[kind] = total, sorted(_unpacked(stored) for (stored,) in some)

    def by(column: str) -> dict[str, int]:
        query = (
            f"SELECT {column}, count(*) FROM example WHERE n IN (SELECT n FROM picked) GROUP BY 1 ORDER BY 1"
        )
        return dict(connection.execute(query).fetchall())

    return Related(counts=counts, ids=ids, splits=by("split"), sources=by("source"))
