"""What was withdrawn stays out, what another origin gives stays in, and every holder is found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securetag.datasets.build import BuildParams, ReleaseSummary
from securetag.datasets.erasure import Withdrawn, find_examples
from securetag.datasets.releases import lineage, release
from securetag.records import HarvestedVerdict, Record
from tests.plugins.small_build import build_small

Build = Callable[..., ReleaseSummary]


@pytest.fixture
def made(tmp_path: Path) -> Build:
    def run(records: list[Record], verdicts: list[HarvestedVerdict] | None = None, **options: Any) -> Any:
        params = BuildParams(synthetic=0, knowledge=500)
        return build_small(tmp_path, records, params, verdicts=verdicts or [], **options)

    return run


def every(built: ReleaseSummary) -> list[Any]:
    found = release.read_release(Path(built.path))
    return [*found.train, *found.validation, *found.test]


def answers(built: ReleaseSummary, ids: set[str] | None = None) -> set[str]:
    return {row.messages[-1].content for row in every(built) if ids is None or row.id in ids}


def test_a_withdrawn_sources_records_stay_out_and_are_counted(made: Build, record: Any) -> None:
    records = [record(n, source=source) for source in ("kept-source", "gone-source") for n in range(9)]
    before = made(records)
    after = made(records, withdrawn=Withdrawn(sources=frozenset({"gone-source"})))
    assert set(before.by_source) == {"kept-source", "gone-source"}
    assert set(after.by_source) == {"kept-source"}
    assert after.dropped["record_erased"] == 9
    assert after.digest != before.digest
    assert made(records[:9]).rows == after.rows


def test_a_row_that_another_source_gives_too_survives(made: Build, record: Any) -> None:
    """Where two sources give the same question and answer: one row of both, then one of the other."""
    sources = ("a-source", "b-source")
    records = {s: [record(n, source=s) for n in range(30)] for s in sources}
    both = made([*records["a-source"], *records["b-source"]])
    origins: dict[str, set[str]] = defaultdict(set)
    for row in lineage.read_lineage(Path(both.path)).to_pylist():
        origins[row["example_id"]].add(row["record_id"])
    shared = {name for name, found in origins.items() if len(found) == 2}
    assert len(shared) > 10
    for gone, stays in (sources, reversed(sources)):
        ids = {one.id for one in records[gone]}
        assert shared < set(find_examples(Path(both.path), source=gone, records=ids))
        left = made(
            [*records["a-source"], *records["b-source"]], withdrawn=Withdrawn(sources=frozenset({gone}))
        )
        # Of near duplicates one row stood for both; alone, the other source's own words stand again.
        assert answers(both, shared) <= answers(left)
        kept = {row["record_id"] for row in lineage.read_lineage(Path(left.path)).to_pylist()}
        assert kept == {one.id for one in records[stays]}


def test_verdicts_are_known_by_consent_finding_or_source(verdict: Any) -> None:
    verdicts = [verdict(finding=f"f{n}", tenant=f"t{n}") for n in range(3)]
    for withdrawn, gone in (
        (Withdrawn(), 0),
        (Withdrawn(findings=frozenset({"f1", "f9"})), 1),
        (Withdrawn(consents=frozenset({"consent-1"})), 3),
        (Withdrawn(sources=frozenset({"securetag-harvest"})), 3),
    ):
        left, drops = withdrawn.filter_verdicts(verdicts)
        assert (len(left), sum(drop.n for drop in drops)) == (3 - gone, gone)


def test_holders_of_a_tenant_and_of_single_findings(built: ReleaseSummary) -> None:
    path = Path(built.path)
    assert len(find_examples(path, tenant="tenant-1")) == 4
    assert len(find_examples(path, tenant="tenant-1", findings=["finding-2"])) == 1
    assert find_examples(path, tenant="tenant-1", findings=[]) == []
    assert find_examples(path, tenant="nobody") == find_examples(path, source="nothing") == []
    assert len(find_examples(path, source="test-weaknesses")) == 60
