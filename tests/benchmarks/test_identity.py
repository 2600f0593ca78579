"""The benchmark of identity, small: edits of real code, and what becomes of the findings in it."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.identity.moves import to_other_file
from benchmarks.identity.neutral import extract_function
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


def test_moved_and_extracted_code_has_every_name_that_it_uses(tmp_path: Path) -> None:
    files = package_files("click", ".py", seed=1, count=8, max_bytes=16_000)
    edits = make_edits(files, per_kind=6, seed=1, kinds=[to_other_file, extract_function])
    assert len({edit.kind for edit in edits}) == 2
    for number, edit in enumerate(edits):
        for version, project in enumerate(edit.versions):
            for path, content in project.items():
                file = tmp_path / f"{version}/{number}/{path}"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
    before, after = _undefined_names(tmp_path / "0"), _undefined_names(tmp_path / "1")
    assert after - before == Counter()


def _undefined_names(folder: Path) -> Counter[str]:
    """What Ruff says of names without a definition, and of code that doesn't parse."""
    command = [Path(sysconfig.get_path("scripts"), "ruff"), "check", "--isolated", "--no-cache", "--select"]
    done = subprocess.run(
        [*command, "F821,F822,E9", "--output-format", "json", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    return Counter(finding["message"] for finding in json.loads(done.stdout))
