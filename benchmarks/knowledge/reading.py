"""Draw the sheet that two readers judge, and score what they wrote: 150 knowledge rows, 20 planted bad ones.

`python -m benchmarks.knowledge.reading draw RELEASE SHEET --seed 1` writes a folder outside of the repository
(it holds upstream texts): `rubric.md`, `rows.jsonl` (row, question, answer, shuffled) and, beside
the folder, `SHEET.key.json` (ids of the rows, or `planted`), which readers don't open. Each reader writes a
CSV of row, good (yes or no) and reason. `… score SHEET FIRST.csv SECOND.csv` prints the counts and writes
`SHEET.marks.csv`, which has no upstream text. The rubric is that of docs/datasets/reading.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path

from securetag.datasets.releases.release import read_release
from securetag.errors import InputError
from securetag.records import Example, Task

ROWS, PLANTED, MIN_CAUGHT, MIN_GOOD = 150, 20, 16, 0.85
RUBRIC = Path(__file__).parents[2] / "docs" / "datasets" / "reading.md"
READER_FIELDS = ("row", "good", "reason")
MARKS_FIELDS = ("row", "id", "good_1", "reason_1", "good_2", "reason_2")
_PLANTED_ID = "planted"


def draw_sheet(rows: Sequence[Example], seed: int) -> tuple[list[dict[str, object]], dict[str, object]]:
    """Return the lines of a sheet and its key. The same rows and seed give the same sheet."""
    drawn = random.Random(seed)
    ordered = sorted(rows, key=lambda row: row.id)
    sample = drawn.sample(ordered, ROWS + 2 * PLANTED)
    good, spare = sample[:ROWS], sample[ROWS:]
    planted = [_spoil(spare[n], spare[PLANTED + n], n) for n in range(PLANTED)]
    lines = [(_question(row), row.messages[-1].content, row.id) for row in good]
    lines += [(question, answer, _PLANTED_ID) for question, answer in planted]
    drawn.shuffle(lines)
    sheet: list[dict[str, object]] = [
        {"row": number, "question": question, "answer": answer}
        for number, (question, answer, _) in enumerate(lines, 1)
    ]
    key = {"seed": seed, "ids": {str(number): line[2] for number, line in enumerate(lines, 1)}}
    return sheet, key


def _question(row: Example) -> str:
    return "\n\n".join(f"[{message.role}] {message.content}" for message in row.messages[:-1])


def _spoil(row: Example, other: Example, number: int) -> tuple[str, str]:
    """Return a row that no rubric passes, in one of five ways."""
    question, answer = _question(row), row.messages[-1].content
    match number % 5:
        case 0:  # the answer of another question
            return question, other.messages[-1].content
        case 1:  # cut in its middle
            return question, answer[: len(answer) // 2].rsplit(" ", 1)[0]
        case 2:  # a key alone
            return f"[user] What is the status of {other.group}?", "Draft"
        case 3:  # the question again
            text = row.messages[0].content
            return f"[user] Summarize: {text}", text
        case _:  # boilerplate
            return question, "Apply updates per vendor instructions and follow best practices."


def write_sheet(release: Path, folder: Path, seed: int) -> int:
    """Write the sheet of a release's knowledge rows, and its key beside it; return the number of lines.

    Raises ReleaseError for a folder that isn't a release.
    """
    read = read_release(release)
    rows = [row for row in (*read.train, *read.validation, *read.test) if row.task is not Task.TRIAGE]
    sheet, key = draw_sheet(rows, seed)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in sheet]
    (folder / "rows.jsonl").write_text("".join(lines), "utf-8")
    text = RUBRIC.read_text("utf-8")
    (folder / "rubric.md").write_text(text[text.index("## Rubric") : text.index("## What was read")], "utf-8")
    key = {**key, "release": read.manifest.digest, "rows": len(rows)}
    _key_of(folder).write_text(json.dumps(key, indent=2) + "\n", "utf-8")
    return len(sheet)


def _key_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.key.json")


def read_marks(path: Path, numbers: set[str]) -> dict[str, tuple[bool, str]]:
    """Return a reader's verdict and reason by row. Raises InputError unless each row is judged once."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file, skipinitialspace=True))
    marks: dict[str, tuple[bool, str]] = {}
    for line in lines:
        number, good = (line.get("row") or "").strip(), (line.get("good") or "").strip().lower()
        if number not in numbers or number in marks or good not in {"yes", "no"}:
            raise InputError(
                f"{path.name}: row {number!r} isn't one of the sheet's judged once with yes or no",
                hint=f"Write one line a row with {', '.join(READER_FIELDS)}.",
            )
        marks[number] = (good == "yes", (line.get("reason") or "").strip())
    if missing := numbers - marks.keys():
        least = min(map(int, missing))
        raise InputError(f"{path.name}: {len(missing)} rows have no verdict, the first is {least}")
    return marks


def _words(mark: tuple[bool, str]) -> tuple[str, str]:
    good, reason = mark
    return "yes" if good else "no", reason


def score_sheet(folder: Path, readers: tuple[Path, Path]) -> dict[str, object]:
    """Return what both said of the drawn rows and how many planted ones each caught; write the marks.

    Raises InputError where a reader's file doesn't judge each row once.
    """
    ids: dict[str, str] = json.loads(_key_of(folder).read_text("utf-8"))["ids"]
    marks = [read_marks(path, set(ids)) for path in readers]
    planted = [number for number, name in ids.items() if name == _PLANTED_ID]
    drawn = [number for number in ids if number not in planted]
    with folder.with_name(f"{folder.name}.marks.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(MARKS_FIELDS)
        for number, name in sorted(ids.items(), key=lambda item: int(item[0])):
            words = [word for judged in marks for word in _words(judged[number])]
            writer.writerow([number, name, *words])
    caught = [sum(not judged[number][0] for number in planted) for judged in marks]
    by_both = sum(all(judged[number][0] for judged in marks) for number in drawn)
    return {
        "rows": len(drawn),
        "planted": len(planted),
        "caught": caught,
        "counts": [n >= MIN_CAUGHT for n in caught],
        "good": [sum(judged[number][0] for number in drawn) for judged in marks],
        "agree": sum(marks[0][number][0] == marks[1][number][0] for number in drawn),
        "good_by_both": by_both,
        "share_good_by_both": round(by_both / len(drawn), 3),
        "passed": min(caught) >= MIN_CAUGHT and by_both >= MIN_GOOD * len(drawn),
    }


def main() -> None:
    """Write a sheet, or print the score of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    draw = commands.add_parser("draw", help="write a sheet of a release's rows")
    draw.add_argument("release", type=Path)
    draw.add_argument("sheet", type=Path)
    draw.add_argument("--seed", type=int, required=True)
    score = commands.add_parser("score", help="join two readers' files and print the counts")
    score.add_argument("sheet", type=Path)
    score.add_argument("readers", type=Path, nargs=2)
    options = parser.parse_args()
    if options.command == "draw":
        print(write_sheet(options.release, options.sheet, options.seed))
    else:
        print(json.dumps(score_sheet(options.sheet, tuple(options.readers)), indent=2))


if __name__ == "__main__":
    main()
