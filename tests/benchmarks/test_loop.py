"""The benchmark of the loop: who is reviewed, what is removed, and that labels are what is learned."""

from __future__ import annotations

import random

import msgspec
import pytest

from benchmarks import loop
from benchmarks.loop import Ranked
from securetag.records import Construction, Example, Message, Task

FRAMEWORKS = ("flask", "django", "bottle", "falcon")


def make_rows(*, shuffled: bool) -> list[Example]:
    """400 rows in which a call of `guarded` makes a false positive, unless labels are drawn."""
    dice = random.Random(3)
    rows = []
    for number in range(400):
        is_safe = bool(number % 2)
        label = dice.random() < 0.5 if shuffled else is_safe
        code = f"CWE-89\nx{dice.randrange(40)} = {'guarded' if is_safe else 'plain'}(v)\n>run(x)"
        rows.append(
            Example(
                id=f"{number:064}",
                messages=[Message("system", ""), Message("user", code), Message("assistant", "{}")],
                task=Task.TRIAGE,
                label="false_positive" if label else "true_positive",
                lang="en",
                prompt_version="compact-6",
                label_source="execution",
                group=f"g{number // 4}",
                origin="composition",
                origins=[],
                source="s",
                licence="MIT",
                construction=Construction(
                    source="",
                    guard="",
                    guard_family="",
                    sink="",
                    framework=dice.choice(FRAMEWORKS),
                    shape="",
                    oracle="",
                ),
            )
        )
    return rows


def test_no_group_is_reviewed_and_unreviewed() -> None:
    shown, unseen = loop.split_projects(make_rows(shuffled=False), 1)
    assert shown
    assert not {row.group for row in shown} & {row.group for row in unseen}


def test_what_is_removed_is_above_all_but_what_may_be_lost() -> None:
    true = [Ranked("t", True, float(number)) for number in range(100)]
    false = [Ranked("f", False, margin) for margin in (96.5, 97.5, 98.5, 200.0)]
    assert loop.share_removed([*true, *false]) == 0.75
    assert loop.share_removed([msgspec.structs.replace(row, margin=0.0) for row in [*true, *false]]) == 0.0


@pytest.mark.system
def test_a_rule_is_learned_from_verdicts_and_nothing_from_drawn_labels() -> None:
    rows = make_rows(shuffled=False)
    for number, row in enumerate(rows):
        rows[number] = msgspec.structs.replace(row, group=str(number))
    assert loop.share_removed(loop.rank_findings(rows, 1, 0)) == 0.0
    assert loop.share_removed(loop.rank_findings(rows, 1, 100)) == 1.0
    drawn = [
        msgspec.structs.replace(row, group=str(number)) for number, row in enumerate(make_rows(shuffled=True))
    ]
    assert loop.share_removed(loop.rank_findings(drawn, 1, 100)) < 0.2
    curve = loop.measure_curve(100, [loop.rank_findings(rows, seed, 100) for seed in (1, 2)])
    assert curve.low <= curve.removed <= curve.high
