"""The benchmark of identity, small: edits of real code, and what becomes of the findings in it."""

from __future__ import annotations

import pytest

from benchmarks.identity.score import Tally, judge, make_edits
from benchmarks.identity.sites import package_files


@pytest.fixture(scope="module")
def tally() -> Tally:
    """One edit of each kind, in short files of Werkzeug."""
    files = package_files("werkzeug", ".py", seed=1, count=6, max_bytes=9_000)
    return Tally([judge(edit) for edit in make_edits(files, per_kind=1, seed=1)])


def test_findings_are_followed_and_verdicts_in_force(tally: Tally) -> None:
    kinds = tally.by_kind()
    assert len(kinds) >= 20
    wrong = [outcome for outcome in tally.outcomes if not outcome.is_right]
    assert len(wrong) <= 0.05 * len(tally.outcomes), wrong


def test_no_finding_goes_to_another_place(tally: Tally) -> None:
    assert [outcome for outcome in tally.outcomes if outcome.misplaced] == []


def test_changed_guards_sources_and_sinks_make_a_verdict_stale(tally: Tally) -> None:
    changed = [outcome for outcome in tally.outcomes if outcome.expected == "stale"]
    assert len({outcome.kind for outcome in changed}) >= 6
    assert [outcome for outcome in changed if not outcome.is_stale] == []
