"""The whole stage: real sandbox, real Semgrep, real files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import yaml

from securetag import triage
from securetag.datasets import build as module
from securetag.datasets.build import BuildParams, ReleaseSummary
from securetag.datasets.drops import StepResult, describe_reason
from securetag.datasets.knowledge import fixes
from securetag.datasets.releases import baselines, release
from securetag.datasets.releases.release import Release
from securetag.datasets.splitting import assign
from securetag.datasets.synthetic.frameworks import UNSEEN_FRAMEWORK
from securetag.datasets.synthetic.guards import GUARDS, UNSEEN_FAMILY
from securetag.datasets.synthetic.holdout import BUCKETS, UNSEEN_MISTAKES
from securetag.datasets.synthetic.sinks import SINKS
from securetag.errors import LicenceError, ReleaseError
from securetag.records import Example, Facts, Record, Task
from tests.plugins.small_build import build_small

MakeRecord = Callable[..., Record]


@pytest.fixture(scope="module")
def rows(built: ReleaseSummary) -> Release:
    return release.read_release(Path(built.path))


def all_rows(release: Release) -> list[Example]:
    return [*release.train, *release.validation, *release.test]


def synthetic(examples: list[Example]) -> list[Example]:
    return [example for example in examples if example.origin == "composition"]


def test_the_summary_adds_up(built: ReleaseSummary, rows: Release) -> None:
    assert built.release == Path(built.path).name == built.digest[:12]
    assert built.rows == sum(built.splits.values()) == sum(built.by_source.values()) == len(all_rows(rows))
    assert built.rows == sum(built.by_task.values()) == sum(built.by_licence.values())
    assert built.by_source["securetag-composition"] >= 290
    assert built.by_source["securetag-harvest"] == 4
    assert 50 <= built.by_source["test-weaknesses"] <= 60, "60 were asked for; duplicates go after the choice"
    assert built.cpu_s > 0
    assert built.peak_mb > 0
    assert built.dropped["mix_share"] > 0


def test_a_group_or_pair_is_in_one_split(rows: Release) -> None:
    assert assign.leaking_groups(all_rows(rows)) == []


def test_held_out_parts_are_not_in_train(rows: Release) -> None:
    guards = {guard.name for guard in GUARDS if guard.unseen}
    sinks = {sink.name for sink in SINKS if sink.unseen}
    for example in synthetic([*rows.train, *rows.validation]):
        parts = example.construction
        assert parts is not None
        assert parts.guard not in guards
        assert parts.guard_family != UNSEEN_FAMILY
        assert parts.sink not in sinks
        assert parts.framework != UNSEEN_FRAMEWORK
        assert example.axis is None
    axes = Counter(example.axis for example in synthetic(rows.test))
    assert set(axes) == set(BUCKETS[2:])
    for example in synthetic([*rows.train, *rows.validation, *rows.test]):
        assert example.construction is not None
        mode = example.construction.shape.partition("/")[2]
        assert mode not in UNSEEN_MISTAKES or example.axis == "unseen_mistake"


def test_no_prompt_of_the_test_split_is_in_train(rows: Release) -> None:
    prompts = {msgspec.json.encode(example.messages[:-1]) for example in rows.train}
    assert [
        e.id for e in [*rows.test, *rows.validation] if msgspec.json.encode(e.messages[:-1]) in prompts
    ] == []


def test_labels_are_balanced_on_every_axis(rows: Release) -> None:
    parts: dict[str, list[Example]] = {}
    for example in synthetic(all_rows(rows)):
        parts.setdefault(example.axis or str(example.split), []).append(example)
    for examples in parts.values():
        assert baselines.majority_share(examples) == 0.5


def test_lookups_score_near_chance(rows: Release) -> None:
    figures = baselines.score_lookups(all_rows(rows))
    # Pairs share everything but their length, and lengths are balanced; few rows, wide margin here.
    assert {
        name: score
        for name, score in figures.items()
        if abs(score.accuracy - 0.5) > (0.15 if name in {"length", "lines"} else 0.05)
    } == {}


def test_no_word_gives_a_label_away(rows: Release) -> None:
    assert baselines.find_telltales(all_rows(rows)) == []


def test_every_synthetic_row_is_a_short_and_valid_triage_conversation(rows: Release) -> None:
    for example in synthetic(all_rows(rows)):
        prompt = triage.read_prompt(example.messages, example.prompt_version)
        answer = triage.parse(example.messages[-1].content, prompt)
        assert answer.verdict == example.label
        assert (example.task, example.label_source) == (Task.TRIAGE, "execution")
        lines = {span.first for span in example.evidence}
        assert {first for first, _ in answer.evidence} == lines
        assert len(example.messages[1].content) < 620
        # The flagged line is the sink's.
        sink = next(span.first for span in example.evidence if span.role == "sink")
        assert example.messages[1].content.split("\n")[sink].startswith(triage.MARK)


def test_lineage_ends_at_records(rows: Release) -> None:
    for example in all_rows(rows):
        assert example.origins
        assert all(len(origin.record_id or "") == 64 for origin in example.origins)
        assert all(origin.tenant_id is None and origin.finding_id is None for origin in example.origins)


def test_the_card_describes_the_release(built: ReleaseSummary, rows: Release) -> None:
    text = (Path(built.path) / "README.md").read_text("utf-8")
    _, header, body = text.split("---\n", 2)
    assert yaml.safe_load(header)["configs"][0]["data_files"][0] == {"split": "train", "path": "train.jsonl"}
    assert built.digest in body
    assert "1 were scripted from a ground truth" in body
    assert "share them under the same license" in body
    for name in (*built.by_source, *map(describe_reason, built.dropped)):
        assert name in body


def small(tmp_path: Path, records: list[Record], params: BuildParams) -> ReleaseSummary:
    return build_small(tmp_path, records, params)


def test_a_licence_stops_a_release(tmp_path: Path, record: MakeRecord) -> None:
    with pytest.raises(LicenceError, match="commercial"):
        small(tmp_path, [record(1, licence="CC-BY-NC-SA-4.0")], BuildParams(synthetic=0))
    assert list((tmp_path / "releases").iterdir()) == []


def test_a_public_release_drops_tenant_and_copyleft_rows(
    tmp_path: Path, record: MakeRecord, verdict: MakeRecord
) -> None:
    records = [record(1), record(2, licence="GPL-3.0-only")]
    params = BuildParams(synthetic=0, purpose="public")
    summary = build_small(tmp_path, records, params, verdicts=[verdict()])
    assert set(summary.by_licence) == {"CC-BY-SA-4.0"}
    assert summary.dropped["record_licence"] == 1
    assert summary.dropped["row_licence"] == 1


def test_a_build_without_rows_fails(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="nothing is left"):
        small(tmp_path, [], BuildParams(synthetic=0))


def test_the_row_limit_keeps_rows_of_every_source(tmp_path: Path, record: MakeRecord) -> None:
    records = [record(n) for n in range(50)] + [record(n, source="test-small") for n in range(3)]
    # A Record of another source with the same text gives the same question: the rows merge and count once.
    records = [
        r if r.source != "test-small" else record(900 + n, source="test-small") for n, r in enumerate(records)
    ]
    summary = small(tmp_path, records, BuildParams(synthetic=0, knowledge=12))
    assert sum(summary.by_source.values()) == 12
    assert min(summary.by_source.values()) >= 4  # sources alternate, except for rows over the limit of a task


def test_a_group_in_two_splits_stops_a_release(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, record: MakeRecord
) -> None:
    def assign_alternately(rows: list[Example], **_: object) -> StepResult:
        splits = ["train", "test"]
        return StepResult(
            [msgspec.structs.replace(row, split=splits[n % 2]) for n, row in enumerate(rows)], []
        )

    monkeypatch.setattr(module, "assign_splits", assign_alternately)
    monkeypatch.setattr(module, "drop_cross_split", lambda rows, **_: StepResult(rows, []))
    with pytest.raises(ReleaseError, match="in two splits"):
        small(tmp_path, [record(n) for n in range(5)], BuildParams(synthetic=0))


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({"synthetic": -1}, id="negative count"),
        pytest.param({"profile": "tiny"}, id="unknown profile"),
        pytest.param({"purpose": "fun"}, id="unknown purpose"),
        pytest.param({"sed": 1}, id="unknown parameter"),
    ],
)
def test_parameters_are_checked(bad: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, BuildParams)


SCRIPT = """
import json, sys
from datetime import datetime
from pathlib import Path
import time_machine
from securetag.datasets.build import BuildInputs, BuildParams, BuildTools, build
from securetag.datasets.feedback.harvest import to_verdict
from securetag.records import Facts, Finding, Origin, Record
from securetag.settings import SemgrepSettings

records = [
    Record.of(
        source="s", publisher="P", key=f"K-{n}", title=f"Thing {n}", text=f"Thing {n} is a kept thing.",
        lang="en", url="", edition="1", licence="MIT", file_sha256="0" * 64, locator="",
        facts=Facts(kind="weakness", parents=["K-0"]),
    )
    for n in range(20)
]
finding = Finding(
    tool="semgrep", rule_id="r", cwe="CWE-89", title="T", message="m", severity="high", confidence="high",
    language="python", path="a.py", start_line=2, end_line=2, snippet="def f(q):\\n    db.execute(q)",
    snippet_line=1, scope="f", fingerprint="v1:0",
)
tenant = sys.argv[1]
time_machine.travel(datetime.fromisoformat(sys.argv[2]), tick=True).start()
reviewed = [
    to_verdict(
        finding=finding, label="true_positive", saw_model=True, model_decision=None, scripted=True,
        reviewer="R", origin=Origin(finding_id=tenant + "f", tenant_id=tenant, consent_id=tenant + "c"),
    )
]
if tenant == "b":
    records.reverse()
here = Path.cwd()
summary = build(
    BuildInputs(records=records, verdicts=reviewed),
    BuildParams(seed=5, synthetic=40, knowledge=30),
    BuildTools(releases_dir=here / "releases", work=here / "work", semgrep=SemgrepSettings()),
)
print(json.dumps([summary.digest, sorted(p.name for p in Path(summary.path).iterdir())]))
"""


@pytest.mark.system
@pytest.mark.slow
def test_the_digest_does_not_depend_on_folder_date_zone_hash_seed_or_database(tmp_path: Path) -> None:
    outputs = []
    for tenant, day, zone, hash_seed in (
        ("a", "2027-01-31T23:59:50+00:00", "Asia/Tokyo", "1"),
        ("b", "2028-02-29T12:00:00+00:00", "America/Lima", "77"),
    ):
        folder = tmp_path / tenant / "some where"
        folder.mkdir(parents=True)
        environment = {**os.environ, "TZ": zone, "PYTHONHASHSEED": hash_seed, "LC_ALL": "C"}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, tenant, day],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        outputs.append(json.loads(done.stdout))
    assert outputs[0] == outputs[1]


BEFORE = """from flask import request
import sqlite3

def show():
    name = request.args.get("name")
    cur = sqlite3.connect("shop.db").cursor()
    cur.execute("SELECT * FROM item WHERE name = '" + name + "'")
    return cur.fetchall()
"""
AFTER = BEFORE.replace("""= '" + name + "'")""", """= ?", (name,))""")


def test_code_of_a_fix_is_in_test_only(tmp_path: Path, record: MakeRecord) -> None:
    pair = Facts(kind="fix", vulnerable=BEFORE, fixed=AFTER, language="python", cwe=["CWE-89"])
    unread = Facts(kind="fix", vulnerable="int f(){}", fixed="int f(void){}", language="c", cwe=["CWE-89"])
    weakness = msgspec.structs.replace(
        record(3, text="SQL is built from input."), publisher="MITRE", key="CWE-89"
    )
    records = [record(1, facts=pair), record(2, facts=unread), weakness]
    summary = small(tmp_path, records, BuildParams(synthetic=0, profile="full"))
    assert summary.dropped["record_in_test"] == 1
    rows = all_rows(release.read_release(Path(summary.path)))
    (triage_row,) = [row for row in rows if row.axis == fixes.AXIS]
    assert (triage_row.split, triage_row.label, triage_row.label_source) == ("test", "true_positive", "fix")
    other_rows = [row for row in rows if row is not triage_row]
    assert Task.REMEDIATION in {row.task for row in other_rows}
    assert not any("sqlite3" in message.content for row in other_rows for message in row.messages)
