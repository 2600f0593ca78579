"""The index gives the rows of the Parquet table in both directions and is rebuilt if outdated."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from securetag.datasets.drops import Drop
from securetag.datasets.releases import lineage, release
from securetag.records import Example, Message, Origin, Task, content_id
from tests.plugins.small_release import write_small


def example(number: int, origins: list[Origin], split: str = "train") -> Example:
    made = Example.of(
        task=Task.QA,
        messages=[Message("user", f"q{number}"), Message("assistant", "a")],
        lang="en",
        licence="MIT",
        group=f"g{number}",
        origin="template",
        origins=origins,
        source=f"source-{number % 2}",
    )
    return msgspec.structs.replace(made, split=split)  # type: ignore[arg-type]


def write(folder: Path, rows: list[Example], drops: list[Drop] | None = None) -> Path:
    path, _ = write_small(folder, rows, drops or [])
    return path


RECORD, OTHER = content_id("record"), content_id("other")
ROWS = [
    example(1, [Origin(record_id=RECORD)]),
    example(2, [Origin(record_id=RECORD), Origin(record_id=OTHER)], "test"),
    example(3, [Origin(record_id=OTHER, finding_id="f-1", tenant_id="t-1", consent_id="c-1")]),
    example(4, []),
]


def test_ids_of_every_kind_lead_to_every_other_kind(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS)
    related = lineage.find_related(path, "record", RECORD, 10)
    assert (related.ids["example"], related.splits) == (
        sorted(row.id for row in ROWS[:2]),
        {"test": 1, "train": 1},
    )
    assert related.ids["record"] == sorted([RECORD, OTHER])  # the second example has both origins
    assert lineage.find_related(path, "example", ROWS[2].id, 10).ids == {
        "example": [ROWS[2].id],
        "record": [OTHER],
        "finding": ["f-1"],
        "tenant": ["t-1"],
        "consent": ["c-1"],
    }
    for kind, name in (("finding", "f-1"), ("tenant", "t-1"), ("consent", "c-1")):
        assert lineage.find_related(path, kind, name, 10).ids["example"] == [ROWS[2].id]  # type: ignore[arg-type]
    everything = lineage.find_related(path, None, "", 2)
    assert everything.counts == {"example": 4, "record": 2, "finding": 1, "tenant": 1, "consent": 1}
    assert len(everything.ids["example"]) == 2
    assert everything.sources == {"source-0": 2, "source-1": 2}
    assert lineage.find_related(path, "record", content_id("none"), 10).counts == {}
    assert lineage.find_related(path, "finding", OTHER, 10).counts == {}
    assert lineage.find_related(path, "example", ROWS[3].id, 10).ids == {"example": [ROWS[3].id]}


def test_prefixes_and_dropped_rows(tmp_path: Path) -> None:
    gone = content_id("gone")
    path = write(
        tmp_path, ROWS, [Drop(reason="too long", source="s", id=gone), Drop(reason="n", source="s", n=9)]
    )
    assert lineage.find_ids(path, RECORD[:7], 5) == [("record", RECORD)]
    assert lineage.find_ids(path, RECORD, 5) == [("record", RECORD)]
    assert lineage.find_ids(path, "f-", 5) == [("finding", "f-1")]
    assert lineage.find_ids(path, "", 3) != []
    assert (
        lineage.find_ids(path, "%", 5)
        == lineage.find_ids(path, "zz", 5)
        == lineage.find_ids(path, "f" * 99, 5)
        == []
    )
    assert lineage.find_dropped(path, gone[:6], 5) == [(gone, "too long")]


IDS = st.integers(0, 6).map(lambda n: content_id(n))
ORIGINS = st.lists(
    st.builds(Origin, record_id=st.none() | IDS, finding_id=st.none() | st.sampled_from("uvw")), max_size=3
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ORIGINS, min_size=1, max_size=8))
def test_the_index_equals_the_table(
    tmp_path_factory: pytest.TempPathFactory, origins: list[list[Origin]]
) -> None:
    path = write(
        tmp_path_factory.mktemp("r"), [example(n, row_origins) for n, row_origins in enumerate(origins)]
    )
    examples_by_id: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in lineage.read_lineage(path).to_pylist():
        for kind in ("record", "finding"):
            if row[f"{kind}_id"] is not None:
                examples_by_id[kind, row[f"{kind}_id"]].add(row["example_id"])
    for (kind, name), examples in examples_by_id.items():
        related = lineage.find_related(path, kind, name, 99)  # type: ignore[arg-type]
        assert set(related.ids["example"]) == examples
        assert {kind for kind, _ in lineage.find_ids(path, name, 9)} == {
            k for k, n in examples_by_id if n == name
        }
    assert lineage.find_related(path, None, "", 99).counts["example"] == len(origins)


def test_a_broken_or_outdated_index_is_rebuilt(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS[:1])
    where = lineage.build_index(path)
    first = where.stat().st_ino
    assert lineage.build_index(path).stat().st_ino == first  # nothing to do
    for bad in (b"", b"no database", where.read_bytes()[:3000]):
        where.write_bytes(bad)
        assert lineage.find_ids(path, RECORD, 5) == [("record", RECORD)]
    later = [msgspec.structs.replace(ROWS[0], origins=[Origin(record_id=RECORD, consent_id="c-2")])]
    assert write(tmp_path, later) == path
    assert lineage.find_ids(path, "c-2", 5) == [("consent", "c-2")]
    assert [file.name for file in where.parent.iterdir()] == [where.name]


def test_a_release_without_lineage_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS)
    (path / lineage.FILE).unlink()
    with pytest.raises(release.ReleaseError, match="lineage"):
        lineage.find_ids(path, RECORD, 5)
