"""The demo's own parts: its meter, its report, and the figures that it derives."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from securetag.cli.demo import home
from securetag.cli.demo.meter import Meter
from securetag.cli.demo.outcome import compare_scan
from securetag.cli.demo.report import Recorder, Report
from securetag.cli.demo.shop import TRUTH, list_held_out_files
from securetag.cli.demo.sizes import SIZES
from securetag.cli.demo.summary import describe_triage
from securetag.cli.model.dismissals import describe_worth, join_equal
from securetag.cli.output import format_counts, format_p
from securetag.db.embedded import Cluster
from securetag.errors import ConflictError, NotFoundError
from securetag.evaluation.dismissals import Dismissals
from securetag.rules.accuracy import read_truth
from securetag.settings import get_settings
from securetag.training.recipe import find_recipe, load
from securetag.wire.api import FindingAnswer, OccurrenceAnswer, VerdictAnswer

BURN = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"


def test_the_meter_counts_children_that_have_ended() -> None:
    meter = Meter()
    try:
        before = meter.read()
        subprocess.run([sys.executable, "-c", BURN], check=True)
        assert meter.read().cpu_s - before.cpu_s >= 0.4
        assert meter.peak_mb > 10
    finally:
        meter.close()


def test_a_stage_that_fails_is_in_the_report_on_disk(tmp_path: Path) -> None:
    meter, path = Meter(), tmp_path / "demo" / "report.json"
    recorder = Recorder(Report("smoke"), path, meter)
    try:
        with recorder.stage("first") as facts:
            facts["n"] = 1
            time.sleep(0.02)
        with pytest.raises(ValueError, match="broken"), recorder.stage("second"):
            raise ValueError("broken")
    finally:
        meter.close()
    found = json.loads(path.read_text())
    assert set(found) >= {"stages", "peak_mb", "published", "reasons"}
    first, second = found["stages"]
    assert set(first) == {"stage", "ok", "wall_s", "cpu_s", "facts"}
    assert (first["ok"], first["facts"], first["wall_s"] > 0) == (True, {"n": 1}, True)
    assert (second["ok"], second["facts"]["error"]) == (False, "ValueError: broken")


@pytest.mark.parametrize("size", sorted(SIZES))
def test_every_size_changes_the_recipe_to_a_valid_one(size: str) -> None:
    assert load(find_recipe("securetag-embedded"), SIZES[size].overrides()).max_rows == SIZES[size].train_rows


def answer(verdict: str) -> FindingAnswer:
    """What the api says of a finding that the model has judged."""
    return FindingAnswer.model_construct(
        tool="semgrep",
        rule_id="r",
        cwe="CWE-89",
        title="t",
        message="m",
        severity="high",
        confidence="high",
        language="python",
        owasp="",
        recommendation="",
        fingerprint="v1:" + "0" * 64,
        rank=0,
        verdict=VerdictAnswer.model_construct(decision=verdict),
        occurrence=OccurrenceAnswer.model_construct(
            path="a.py",
            start_line=3,
            end_line=3,
            snippet="x",
            snippet_line=1,
            scope="f",
            path_class="source",
        ),
    )


def test_triage_is_counted_against_the_truth(tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text(
        "id,path,scope,cwe,rule_class,vulnerable,why_en,why_es\n1,a.py,f,CWE-89,sql-injection,false,w,w\n"
    )
    outcome = compare_scan([answer("true_positive")], truth)
    assert dict(outcome.count_triage()) == {("false_positive", "true_positive"): 1}
    assert outcome.count_triage({"b.py"}).total() == 0
    dismissed = compare_scan([answer("false_positive")], truth).count_triage({"a.py"})
    assert describe_triage(dismissed) == "false alarms 1 → 0, vulnerabilities lost 0 of 0"


def test_half_of_the_shops_files_are_held_out_with_both_labels() -> None:
    held_out = list_held_out_files()
    rows = read_truth(TRUTH)
    assert len(held_out) == len({row.path for row in rows}) // 2
    assert {row.is_vulnerable for row in rows if row.path in held_out} == {True, False}


def test_suites_of_equal_figures_are_shown_once() -> None:
    assert join_equal({"all": 1, "trained": 2, "in_distribution": 2}) == {
        "all": 1,
        "trained, in_distribution": 2,
    }


def test_a_small_p_is_not_zero() -> None:
    assert [format_p(p) for p in (0.0, 0.0004, 0.0005, 0.04, 1.0)] == [
        "<.001",
        "<.001",
        "0.001",
        "0.040",
        "1.000",
    ]


def test_what_dismissals_are_worth_is_a_line() -> None:
    figures = Dismissals(true=54, false=27, lost=1, lost_upper=0.085, removed=22)
    assert describe_worth(figures) == (
        "false alarms 27 → 5, vulnerabilities lost 1 of 54 (at most 8.5% with 95 % confidence)"
    )


def test_counts_become_a_line() -> None:
    assert format_counts({"train": 3, "test": 4}) == "train 3, test 4"
    ranked = format_counts({"a": 1, "b": 2_000, "c": 3, "d": 4}, lines=2).splitlines()
    assert ranked == ["    2,000  b", "        4  d", "        4  2 others"]
    assert format_counts({}) == "none"


def test_a_demo_has_its_home_to_itself_and_leaves_it_to_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def back() -> None:
        monkeypatch.setenv("SECURETAG_HOME", str(tmp_path))
        get_settings.cache_clear()

    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/production")
    back()
    with pytest.raises(NotFoundError, match="no demo has run"):
        home.enter_last()
    with home.create_home() as settings:
        assert settings.home == tmp_path / "demo"
        assert settings.data == tmp_path / "demo" / "data"
        assert settings.database_url is None
        (settings.home / "report.json").write_text("{}")
        back()
        with pytest.raises(ConflictError, match="another demo"), home.create_home():
            pass
    back()
    settings = home.enter_last()
    assert (settings.home / "report.json").read_text() == "{}"
    # Somebody looks at it, with `securetag --demo up`.
    with Cluster(settings.home, durable=False):
        back()
        with pytest.raises(ConflictError, match="already runs the PostgreSQL"), home.create_home():
            pass
        assert (settings.home / "report.json").exists()
        assert (settings.home / "pg").exists()
    back()
    with home.create_home() as settings:
        assert not (settings.home / "report.json").exists()
