"""Rows of small constructed fixes, with the real Semgrep before and after each fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from securetag.datasets.drops import DropReason, StepResult
from securetag.datasets.knowledge import fixes
from securetag.datasets.triage_rows import PromptStyle
from securetag.records import Facts, Record
from securetag.settings.sections import SemgrepSettings

VULNERABLE = """from flask import request
import sqlite3

def show():
    name = request.args.get("name")
    cur = sqlite3.connect("shop.db").cursor()
    cur.execute("SELECT * FROM item WHERE name = '" + name + "'")
    return cur.fetchall()
"""
FIXED = VULNERABLE.replace(
    """"SELECT * FROM item WHERE name = '" + name + "'")""",
    """"SELECT * FROM item WHERE name = ?", (name,))""",
)
OTHER = VULNERABLE.replace("fetchall", "fetchone")


def record(key: str, before: str, after: str, language: str = "python") -> Record:
    return Record.of(
        source="pairs",
        publisher="Tester",
        key=key,
        title=key,
        text="A fix.",
        lang="en",
        url="",
        edition="1",
        licence="MIT",
        file_sha256="0" * 64,
        locator="",
        facts=Facts(kind="fix", vulnerable=before, fixed=after, language=language, cwe=["CWE-89"]),
    )


@pytest.fixture(scope="module")
def fix_rows(tmp_path_factory: pytest.TempPathFactory) -> StepResult:
    records = [
        record("fixed", VULNERABLE, FIXED),
        record("stays", VULNERABLE, OTHER),
        record("clean", FIXED, FIXED + "\n"),
        record("other-language", "int main(){}", "int main(void){}", "c"),
        record("no-pair", "", FIXED),
        record("github.com/a/b/commit/1#shop/tests/test_shop.py:find", VULNERABLE, FIXED),
    ]
    work = tmp_path_factory.mktemp("work")
    return fixes.make_fix_rows(records, PromptStyle("compact", "en"), work=work, semgrep=SemgrepSettings())


def test_a_finding_that_the_fix_removed_is_a_true_positive_of_the_test_split(fix_rows: StepResult) -> None:
    (row,) = fix_rows[0]
    assert (row.label, row.label_source, row.split, row.axis) == (
        "true_positive",
        "fix",
        "test",
        "real_pairs",
    )
    assert '.execute("SELECT * FROM item' in row.messages[1].content
    assert row.group == "fix/pairs/fixed"
    assert row.licence == "MIT"


def test_every_other_pair_has_a_drop_reason(fix_rows: StepResult) -> None:
    reasons = sorted(drop.reason for drop in fix_rows[1])
    expected = {DropReason.FIX_NOT_REMOVED, DropReason.FIX_NO_FINDING, DropReason.FIX_LANGUAGE}
    assert reasons == sorted({*expected, DropReason.FIX_OF_TEST})


def test_without_pairs_nothing_is_scanned(tmp_path: Path) -> None:
    nowhere = SemgrepSettings(executable=tmp_path / "none")
    assert fixes.make_fix_rows([], PromptStyle("compact", "en"), work=tmp_path, semgrep=nowhere) == ([], [])
