"""The sheet that two readers judge: what is planted isn't told, and a row left out is named."""

import json
from pathlib import Path

import pytest

from benchmarks.knowledge.reading import PLANTED, ROWS, draw_sheet, score_sheet
from securetag.errors import InputError
from securetag.records import Example, Message, Task


def _row(number: int) -> Example:
    return Example.of(
        task=Task.QA,
        messages=[
            Message(role="user", content=f"What is weakness {number}?"),
            Message(role="assistant", content=f"Weakness {number} is one of many that a program may have."),
        ],
        lang="en",
        licence="LicenseRef-Internal",
        group=f"CWE-{number}",
        origin="template",
        origins=[],
        source="own",
    )


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    rows = [_row(number) for number in range(ROWS + 2 * PLANTED)]
    lines, key = draw_sheet(rows, 1)
    assert (lines, key) == draw_sheet(rows[::-1], 1)
    assert not any("planted" in json.dumps(line) for line in lines)
    (tmp_path / "sheet.key.json").write_text(json.dumps(key))
    return tmp_path / "sheet"


def _write(path: Path, verdicts: dict[str, str]) -> Path:
    path.write_text("row,good,reason\n" + "".join(f"{row},{good},words\n" for row, good in verdicts.items()))
    return path


def test_a_reading_counts_where_the_planted_rows_are_caught(sheet: Path) -> None:
    ids = json.loads(sheet.with_name("sheet.key.json").read_text())["ids"]
    right = {row: "no" if name == "planted" else "yes" for row, name in ids.items()}
    drawn = [row for row, name in ids.items() if name != "planted"]
    strict = right | dict.fromkeys(drawn[:30], "no")
    careless = dict.fromkeys(ids, "yes")
    files = [
        _write(sheet.with_name(f"{n}.csv"), verdicts) for n, verdicts in enumerate((right, strict, careless))
    ]
    score = score_sheet(sheet, (files[0], files[1]))
    assert score["caught"] == [PLANTED, PLANTED]
    assert (score["good_by_both"], score["agree"], score["passed"]) == (ROWS - 30, ROWS - 30, False)
    assert score_sheet(sheet, (files[0], files[0]))["passed"]
    assert score_sheet(sheet, (files[0], files[2]))["counts"] == [True, False]
    assert len(sheet.with_name("sheet.marks.csv").read_text().splitlines()) == ROWS + PLANTED + 1


def test_a_row_without_a_verdict_is_named(sheet: Path) -> None:
    ids = json.loads(sheet.with_name("sheet.key.json").read_text())["ids"]
    whole = _write(sheet.with_name("whole.csv"), dict.fromkeys(ids, "yes"))
    part = _write(sheet.with_name("part.csv"), {row: "yes" for row in ids if row != "7"})
    with pytest.raises(InputError, match="the first is 7"):
        score_sheet(sheet, (whole, part))
    doubtful = _write(sheet.with_name("doubtful.csv"), dict.fromkeys(ids, "yes") | {"9": "maybe"})
    with pytest.raises(InputError, match="'9'"):
        score_sheet(sheet, (doubtful, whole))
