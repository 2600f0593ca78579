"""What was withdrawn stays out, what another origin gives stays in, and every holder is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securetag.datasets import erasure, lineage, release
from securetag.datasets.build import BuildParams, ReleaseSummary, build
from securetag.datasets.erasure import Withdrawn, held
from securetag.records import Facts, HarvestedVerdict, Record
from securetag.settings import SemgrepSettings

Build = Callable[..., ReleaseSummary]


@pytest.fixture
def made(tmp_path: Path) -> Build:
    def run(records: list[Record], verdicts: list[HarvestedVerdict] | None = None, **options: Any) -> Any:
        return build(
            records, verdicts or [], BuildParams(composed=0, knowledge=500), releases_dir=tmp_path / "releases",
            work=tmp_path / "work", semgrep=SemgrepSettings(), **options,
        )  # fmt: skip

    return run


def every(built: ReleaseSummary) -> list[Any]:
    found = release.read(Path(built.path))
    return [*found.train, *found.validation, *found.test]


def test_a_withdrawn_sources_records_stay_out_and_are_counted(made: Build, record: Any) -> None:
    records = [record(n, source=source) for source in ("kept-source", "gone-source") for n in range(9)]
    before = made(records)
    after = made(records, withdrawn=Withdrawn(sources=frozenset({"gone-source"})))
    assert set(before.by_source) == {"kept-source", "gone-source"}
    assert set(after.by_source) == {"kept-source"}
    assert after.dropped[erasure.SOURCE_REASON] == 9
    assert after.digest != before.digest
    assert made(records[:9]).rows == after.rows


def test_a_row_that_another_source_gives_too_survives(made: Build, record: Any) -> None:
    """Same question, same answer, two sources: known to both while both stand, then to the other alone."""
    facts = Facts(kind="weakness", mitigations=["Lock the door."])
    twins = [record(1, source=source, facts=facts) for source in ("a-source", "b-source")]
    both = made(twins)
    answers = {row.messages[-1].content for row in every(both)}
    for gone, stays in (("a-source", twins[1]), ("b-source", twins[0])):
        assert held(Path(both.path), source=gone, records={t.id for t in twins if t is not stays}) == sorted(
            row.id for row in every(both)
        )
        left = made(twins, withdrawn=Withdrawn(sources=frozenset({gone})))
        assert {row.messages[-1].content for row in every(left)} == answers
        assert {row["record_id"] for row in lineage.read(Path(left.path)).to_pylist()} == {stays.id}


def test_verdicts_are_known_by_consent_finding_or_source(verdict: Any) -> None:
    verdicts = [verdict(finding=f"f{n}", tenant=f"t{n}") for n in range(3)]
    for withdrawn, gone in (
        (Withdrawn(), 0),
        (Withdrawn(findings=frozenset({"f1", "f9"})), 1),
        (Withdrawn(consents=frozenset({"consent-1"})), 3),
        (Withdrawn(sources=frozenset({"securetag-harvest"})), 3),
    ):
        left, drops = withdrawn.kept(verdicts)
        assert (len(left), sum(drop.n for drop in drops)) == (3 - gone, gone)


def test_holders_of_a_tenant_and_of_single_findings(built: ReleaseSummary) -> None:
    path = Path(built.path)
    assert len(held(path, tenant="tenant-1")) == 4
    assert len(held(path, tenant="tenant-1", findings=["finding-2"])) == 1
    assert held(path, tenant="tenant-1", findings=[]) == []
    assert held(path, tenant="nobody") == held(path, source="nothing") == []
    assert len(held(path, source="test-weaknesses")) == 60
