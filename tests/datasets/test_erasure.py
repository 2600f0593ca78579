"""Withdrawn rows are dropped, rows with another origin are kept, and every release with them is listed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securetag.datasets.build import BuildParams, ReleaseSummary
from securetag.datasets.erasure import Withdrawn, find_examples
from securetag.datasets.releases import lineage, release
from securetag.records import Example, HarvestedVerdict, Record
from tests.plugins.small_build import build_small

Build = Callable[..., ReleaseSummary]
MakeRecord = Callable[..., Record]
MakeVerdict = Callable[..., HarvestedVerdict]


@pytest.fixture
def made(tmp_path: Path) -> Build:
    def run(
        records: list[Record], verdicts: list[HarvestedVerdict] | None = None, **options: Any
    ) -> ReleaseSummary:
        params = BuildParams(synthetic=0, knowledge=500)
        return build_small(tmp_path, records, params, verdicts=verdicts or [], **options)

    return run


def all_rows(built: ReleaseSummary) -> list[Example]:
    rows = release.read_release(Path(built.path))
    return [*rows.train, *rows.validation, *rows.test]


def answers(built: ReleaseSummary, ids: set[str] | None = None) -> set[str]:
    return {row.messages[-1].content for row in all_rows(built) if ids is None or row.id in ids}


def test_records_of_a_withdrawn_source_are_dropped_and_counted(made: Build, record: MakeRecord) -> None:
    records = [record(n, source=source) for source in ("kept-source", "gone-source") for n in range(9)]
    before = made(records)
    after = made(records, withdrawn=Withdrawn(sources=frozenset({"gone-source"})))
    assert set(before.by_source) == {"kept-source", "gone-source"}
    assert set(after.by_source) == {"kept-source"}
    assert after.dropped["record_erased"] == 9
    assert after.digest != before.digest
    assert made(records[:9]).rows == after.rows


def test_a_row_with_another_source_is_kept(made: Build, record: MakeRecord) -> None:
    """Two sources with the same question and answer make one row; it keeps the source that remains."""
    sources = ("a-source", "b-source")
    records = {s: [record(n, source=s) for n in range(30)] for s in sources}
    both = made([*records["a-source"], *records["b-source"]])
    origins: dict[str, set[str]] = defaultdict(set)
    for row in lineage.read_lineage(Path(both.path)).to_pylist():
        origins[row["example_id"]].add(row["record_id"])
    shared = {name for name, records in origins.items() if len(records) == 2}
    assert len(shared) > 10
    for gone, stays in (sources, reversed(sources)):
        ids = {record.id for record in records[gone]}
        assert shared <= set(find_examples(Path(both.path), source=gone, records=ids))
        left = made(
            [*records["a-source"], *records["b-source"]], withdrawn=Withdrawn(sources=frozenset({gone}))
        )
        # One row represents two near duplicates; without its source, the other row is kept.
        assert answers(both, shared) <= answers(left)
        kept = {row["record_id"] for row in lineage.read_lineage(Path(left.path)).to_pylist()}
        assert kept == {record.id for record in records[stays]}


def test_verdicts_are_withdrawn_by_consent_finding_or_source(verdict: MakeVerdict) -> None:
    verdicts = [verdict(finding=f"f{n}", tenant=f"t{n}") for n in range(3)]
    for withdrawn, gone in (
        (Withdrawn(), 0),
        (Withdrawn(findings=frozenset({"f1", "f9"})), 1),
        (Withdrawn(consents=frozenset({"consent-1"})), 3),
        (Withdrawn(sources=frozenset({"securetag-harvest"})), 3),
    ):
        left, drops = withdrawn.filter_verdicts(verdicts)
        assert (len(left), sum(drop.n for drop in drops)) == (3 - gone, gone)


def test_examples_of_a_tenant_and_of_a_finding_are_listed(built: ReleaseSummary) -> None:
    path = Path(built.path)
    assert len(find_examples(path, tenant="tenant-1")) == 4
    assert len(find_examples(path, tenant="tenant-1", findings=["finding-2"])) == 1
    assert find_examples(path, tenant="tenant-1", findings=[]) == []
    assert find_examples(path, tenant="nobody") == find_examples(path, source="nothing") == []
    assert len(find_examples(path, source="test-weaknesses")) == built.by_source["test-weaknesses"]
