"""Draw the sheet that people read: 150 knowledge rows and 20 planted bad ones, in one shuffled order.

`python -m benchmarks.knowledge.reading --seed 1` writes `benchmarks/results/knowledge-reading-1.csv` (row,
question, answer, verdict_1, reason_1, verdict_2, reason_2) and `knowledge-reading-1.key.json` (numbers of the
planted rows, ids of the others), which readers don't open. The rubric is in docs/datasets/reading.md.
`--score` prints the counts of a sheet that is filled in. A sheet holds upstream texts and stays out of git.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from pathlib import Path

from benchmarks.knowledge import make_rows, read_usable
from securetag.records import Example

RESULTS = Path(__file__).parents[1] / "results"
ROWS, PLANTED, MIN_CAUGHT = 150, 20, 16
FIELDS = ("row", "question", "answer", "verdict_1", "reason_1", "verdict_2", "reason_2")


def draw_sheet(rows: list[Example], seed: int) -> tuple[list[dict[str, str]], dict[str, object]]:
    """Return the lines of a sheet and its key. The same rows and seed give the same sheet."""
    drawn = random.Random(seed)
    ordered = sorted(rows, key=lambda row: row.id)
    sample = drawn.sample(ordered, ROWS + 2 * PLANTED)
    good, spare = sample[:ROWS], sample[ROWS:]
    planted = [_spoil(spare[n], spare[PLANTED + n], n) for n in range(PLANTED)]
    lines = [(_question(row), row.messages[-1].content, row.id) for row in good]
    lines += [(question, answer, "planted") for question, answer in planted]
    drawn.shuffle(lines)
    sheet = [
        dict(zip(FIELDS, (str(number), question, answer, "", "", "", ""), strict=True))
        for number, (question, answer, _) in enumerate(lines, 1)
    ]
    key = {
        "seed": seed,
        "planted": [number for number, line in enumerate(lines, 1) if line[2] == "planted"],
        "ids": {str(number): line[2] for number, line in enumerate(lines, 1) if line[2] != "planted"},
    }
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


def score_sheet(path: Path) -> dict[str, object]:
    """Return what both readers said of the drawn rows, and how many planted ones each caught."""
    key = json.loads(path.with_suffix(".key.json").read_text("utf-8"))
    planted = set(map(str, key["planted"]))
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    drawn = [line for line in lines if line["row"] not in planted]
    caught = {
        n: sum(line[f"verdict_{n}"] == "bad" for line in lines if line["row"] in planted) for n in (1, 2)
    }
    return {
        "read": {n: sum(bool(line[f"verdict_{n}"]) for line in lines) for n in (1, 2)},
        "caught": caught,
        "counts": {n: caught[n] >= MIN_CAUGHT for n in (1, 2)},
        "good_by": {n: sum(line[f"verdict_{n}"] == "good" for line in drawn) for n in (1, 2)},
        "good_by_both": sum(line["verdict_1"] == line["verdict_2"] == "good" for line in drawn),
        "rows": len(drawn),
    }


def main() -> None:
    """Write a sheet, or print the score of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--score", action="store_true")
    options = parser.parse_args()
    path = RESULTS / f"knowledge-reading-{options.seed}.csv"
    if options.score:
        print(json.dumps(score_sheet(path), indent=2))
        return
    sheet, key = draw_sheet(make_rows(read_usable())[0], options.seed)
    RESULTS.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(sheet)
    path.with_suffix(".key.json").write_text(json.dumps(key, indent=2) + "\n", "utf-8")
    print(path)


if __name__ == "__main__":
    main()
