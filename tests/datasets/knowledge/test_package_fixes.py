"""Rows of constructed corrections of packages, with the real Semgrep before and after each one."""

from __future__ import annotations

import pytest

from securetag.datasets.drops import DropReason, StepResult
from securetag.datasets.knowledge import fixes
from securetag.datasets.knowledge.package_fixes import make_package_fix_rows
from securetag.datasets.knowledge.questions import make_questions
from securetag.datasets.splitting.groups import split_of
from securetag.datasets.triage_rows import PromptStyle
from securetag.records import PACKAGE_FIX, Facts, Record
from securetag.settings.sections import SemgrepSettings
from securetag.triage import read_code

pytestmark = pytest.mark.system

HANDLER = """import os
from flask import Flask, request

app = Flask(__name__)


@app.route("/run")
def run():
    name = request.args["name"]
    os.system("convert " + name)
    return "done"


def title():
    return "shop"
"""
#: A check that our rule doesn't know, so that the finding remains.
GUARDED = HANDLER.replace(
    '    os.system("', '    if name not in load_names():\n        return "unknown", 404\n    os.system("'
)
QUOTED = HANDLER.replace('"convert " + name', 'f"convert {shlex.quote(name)}"')
ELSEWHERE = HANDLER.replace('return "shop"', 'if request.args:\n        return "store"\n    return "shop"')
#: A guard in the function that asks about something else.
UNRELATED = HANDLER.replace(
    '    os.system("', '    if len(request.args) > 1:\n        return "name", 400\n    os.system("'
)
RENAMED = HANDLER.replace("name = request", 'log("run")\n    name = request')
#: Package names by the split that follows from them.
NAMES = {
    split: next(n for n in map(str, range(1000)) if split_of(f"package/pypi/p{n}") == split)
    for split in ("train", "test")
}


def record(key: str, after: str, *, split: str = "train", cwe: str = "CWE-78") -> Record:
    return Record.of(
        source="fixes",
        publisher="Authors",
        key=key,
        title=f"shop 1.0 to 1.1: {key}",
        text="shop 1.0 has CVE-2020-0001; 1.1 corrects it.",
        lang="en",
        url="pkg:pypi/shop@1.0",
        edition="1",
        licence="MIT",
        file_sha256="0" * 64,
        locator=key,
        facts=Facts(
            kind=PACKAGE_FIX,
            vulnerable=HANDLER.replace("shop", key),
            fixed=after.replace("shop", key),
            language="python",
            cwe=[cwe],
            aliases=["CVE-2020-0001"],
            packages=[f"pypi/p{NAMES[split]}"],
        ),
    )


RECORDS = {
    "guarded": record("guarded", GUARDED),
    "quoted": record("quoted", QUOTED),
    "quoted_in_test": record("quoted_in_test", QUOTED, split="test"),
    "elsewhere": record("elsewhere", ELSEWHERE),
    "unrelated": record("unrelated", UNRELATED),
    "renamed": record("renamed", RENAMED),
    "other_weakness": record("other_weakness", GUARDED, cwe="CWE-79"),
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> StepResult:
    work = tmp_path_factory.mktemp("work")
    style = PromptStyle("compact", "en")
    return make_package_fix_rows(list(RECORDS.values()), style, work=work, semgrep=SemgrepSettings())


def list_labels(result: StepResult, name: str) -> list[tuple[str | None, str | None, str | None]]:
    rows = [row for row in result.rows if row.origins[0].record_id == RECORDS[name].id]
    return sorted((row.label, row.split, row.axis) for row in rows)


def list_reasons(result: StepResult, name: str) -> set[str]:
    return {drop.reason for drop in result.drops if drop.id == RECORDS[name].id}


def test_a_guard_in_the_flow_of_a_finding_that_remains_makes_a_pair(result: StepResult) -> None:
    assert list_labels(result, "guarded") == [
        ("false_positive", "train", None),
        ("true_positive", "train", None),
    ]
    rows = [row for row in result.rows if row.origins[0].record_id == RECORDS["guarded"].id]
    shown = {row.label: read_code(row.messages, row.prompt_version) for row in rows}
    assert "load_names" in shown["false_positive"]
    assert "load_names" not in shown["true_positive"]
    assert len({row.pair_id for row in rows}) == 1
    assert {(row.licence, row.label_source) for row in rows} == {("MIT", "fix")}
    assert all("pkg:pypi/shop@1.0" in row.attribution for row in rows)


def test_a_finding_that_the_correction_removed_is_evaluated_and_never_trained_on(result: StepResult) -> None:
    assert list_labels(result, "quoted_in_test") == [("true_positive", "test", "real_pairs")]
    assert list_labels(result, "quoted") == []
    assert list_reasons(result, "quoted") == {DropReason.FIX_UNPAIRED}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("elsewhere", DropReason.FIX_ELSEWHERE, id="another function changed"),
        pytest.param("unrelated", DropReason.FIX_ELSEWHERE, id="a guard that asks about something else"),
        pytest.param("renamed", DropReason.FIX_ELSEWHERE, id="a line beside the flow changed"),
        pytest.param("other_weakness", DropReason.FIX_OTHER_WEAKNESS, id="the advisory is of another family"),
    ],
)
def test_a_change_that_is_not_the_advisorys_labels_nothing(
    result: StepResult, name: str, reason: DropReason
) -> None:
    assert list_labels(result, name) == []
    assert reason in list_reasons(result, name)


def test_a_whole_file_is_neither_a_fix_of_a_function_nor_a_question() -> None:
    assert not fixes.is_fix(RECORDS["guarded"])
    assert make_questions(RECORDS["guarded"], "full") == []
