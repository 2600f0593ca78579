"""The checks of a release in Dagster: a valid one passes, a broken one lists the rows and stops the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pytest
from made_once import run_folder
from synthetic_release import synthetic_release

from securetag.datasets.build import ReleaseSummary
from securetag.datasets.decontamination.suites import read_suite
from securetag.datasets.feedback.harvest import LICENCE, SOURCE
from securetag.datasets.releases import checks, plots
from securetag.datasets.splitting.groups import Split
from securetag.orchestration.definitions import defs
from securetag.pipeline import release as pipeline
from securetag.records import Construction, Example, Label, Message, Origin, Task
from securetag.settings import get_settings
from tests.plugins.small_release import write_small


def row(question: str, answer: str, *, group: str, split: Split, **changes: Any) -> Example:
    example = Example.of(
        task=Task.QA,
        messages=[Message("user", question), Message("assistant", answer)],
        lang="en",
        licence=changes.pop("licence", "MIT"),
        group=group,
        origin="template",
        origins=[Origin(record_id=group)],
        source=changes.pop("source", "s"),
    )
    return msgspec.structs.replace(example, split=split, **changes)


def synthetic(number: int, label: Label, split: Split, guard: str) -> Example:
    made = Construction(
        source="s", guard=guard, guard_family="f", sink="k", framework="flask", shape="x", oracle="1"
    )
    return row(
        f"case {number}\ncode_{number}()",
        f"verdict {number} of {label}",
        group=f"c{number}",
        split=split,
        label=label,
        label_source="execution",
        construction=made,
        task=Task.TRIAGE,
        prompt_version="compact-6",
    )


QUESTION = (
    "Which header keeps a page from being framed by a page of another site, and since when is it known?"
)
SPLIT_GROUP = [
    row("What is thing one of the first kind, in short?", "It is one thing.", group="g", split="train"),
    row("What does the other thing of that kind do there?", "It does another.", group="g", split="test"),
]
OVERLAP = [
    row("How is the seventh door of the house kept shut?", "With a bolt of iron.", group="h", split="train"),
    row("How is the seventh door of the HOUSE kept shut?", "With another bolt.", group="i", split="test"),
]
IN_SUITE = row(QUESTION, "Frame options, for some years.", group="j", split="train")
SECRET = row(
    "1 def f():\n2     password = 'rosebud-1941'",
    "fine",
    group="k",
    split="train",
    source=SOURCE,
    licence=LICENCE,
)
NON_COMMERCIAL = row(
    "What did they sell us there, and at what price?",
    "A list.",
    group="l",
    split="train",
    licence="CC-BY-NC-4.0",
)
#: A guard tells the label, and nine rows of ten are false positives.
UNBALANCED = [
    synthetic(
        n, "true_positive" if n % 10 == 0 else "false_positive", split, "none" if n % 10 == 0 else "cast"
    )
    for n, split in ((n, "train" if n < 400 else "test") for n in range(800))
]
BROKEN = [*SPLIT_GROUP, *OVERLAP, IN_SUITE, SECRET, NON_COMMERCIAL, *UNBALANCED]
#: Check → what it must name.
EXPECTED = {
    "group_in_one_split": sorted(example.id for example in SPLIT_GROUP),
    "no_split_overlap": [OVERLAP[1].id],
    "no_suite_overlap": [IN_SUITE.id],
    "no_secret": [SECRET.id],
    "licences": [NON_COMMERCIAL.id],
    "balance": ["other", "train"],
    "lookups": ["guard"],
    "telltales": ["(", ")"],
}


@pytest.fixture
def suite() -> Path:
    folder = get_settings().data / "suites"
    folder.mkdir(parents=True)
    (folder / "exam.jsonl").write_text(json.dumps({"id": 1, "question": QUESTION}) + "\n")
    return folder / "exam.jsonl"


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> ReleaseSummary:
    return synthetic_release(run_folder(tmp_path_factory))


@pytest.fixture
def broken(tmp_path: Path, valid: ReleaseSummary) -> ReleaseSummary:
    """A release with every fault that a check looks for; a build would drop these rows."""
    path, manifest = write_small(
        tmp_path / "releases", BROKEN, counts={"splits": {}}, card=lambda _: "card\n", code_version="0"
    )
    return msgspec.structs.replace(valid, path=str(path), release=path.name, digest=manifest.digest)


def run(monkeypatch: pytest.MonkeyPatch, summary: ReleaseSummary) -> dg.ExecuteInProcessResult:
    monkeypatch.setattr(pipeline, "build_release", lambda *_, **__: summary)
    with dg.DagsterInstance.ephemeral() as instance:
        return defs.resolve_job_def("close_the_loop").execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey("release"), dg.AssetKey("adapter")],
            run_config={"ops": {"adapter": {"config": {"recipe": "/nowhere.yaml"}}}},
            raise_on_error=False,
        )


def started(result: dg.ExecuteInProcessResult) -> set[str | None]:
    return {event.step_key for event in result.all_events if event.event_type_value == "STEP_START"}


def test_every_check_lists_its_offending_rows(suite: Path) -> None:
    results = checks.run_checks(BROKEN, purpose="internal", suites=[read_suite(suite)])
    assert {result.name: result.offending for result in results} == EXPECTED
    assert {result.name for result in results if result.blocking} == checks.BLOCKING


def test_a_public_release_with_rows_of_a_tenant_fails_its_check() -> None:
    results = {result.name: result for result in checks.run_checks([SECRET], purpose="public")}
    assert results["licences"].offending == [SECRET.id]


@pytest.mark.system
def test_a_broken_release_stops_the_run_and_its_checks_list_the_rows(
    monkeypatch: pytest.MonkeyPatch, broken: ReleaseSummary, suite: Path
) -> None:
    result = run(monkeypatch, broken)
    evaluations = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert set(evaluations) == set(EXPECTED)
    for name, offending in EXPECTED.items():
        check = evaluations[name]
        assert not check.passed
        assert check.blocking == (name in checks.BLOCKING)
        assert check.metadata["offending"].value == len(offending)
        assert all(identity in str(check.metadata["ids"].value) for identity in offending)
    assert "adapter" not in started(result)


def test_a_valid_release_passes_and_shows_its_plots(
    monkeypatch: pytest.MonkeyPatch, valid: ReleaseSummary
) -> None:
    result = run(monkeypatch, valid)
    assert {check.check_name for check in result.get_asset_check_evaluations() if not check.passed} <= {
        "lookups"
    }
    assert "adapter" in started(result)
    partition, made = result.asset_materializations_for_node("release")
    assert (partition.asset_key.to_user_string(), partition.partition) == ("releases", valid.digest[:12])
    for name in plots.ALT:
        assert "data:image/png;base64," in str(made.metadata[name.removesuffix(".png")].value)
