"""Which rows of a release an ablation trains on and asks about: short ones, in the order of a digest."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from securetag.records import Example, Task
from securetag.system.hashing import hash_bytes

#: Characters of a row's messages: 1,000 are about 270 tokens. Of tier `hf` less than half are as short.
MAX_CHARS = int(os.environ.get("ABLATION_CHARS", "1000"))
TEST_ROWS, QUESTIONS = 200, 100


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of an ablation. Triage rows are whole pairs."""

    triage: list[Example]
    #: Tier → rows, of every tier that has enough.
    knowledge: dict[str, list[Example]]
    triage_test: list[Example]
    #: Knowledge rows of the test split.
    questions: list[Example]


def choose_part(
    train: Iterable[Example],
    test: Iterable[Example],
    tiers: Mapping[str, str],
    *,
    triage_rows: int,
    tier_rows: int,
) -> Part:
    """Return the rows; `tiers` names the tier of a source. A tier with fewer than `tier_rows` is left out."""
    train, test = list(filter(_is_short, train)), list(filter(_is_short, test))
    by_tier: dict[str, list[Example]] = defaultdict(list)
    for row in train:
        if row.task is not Task.TRIAGE and row.source in tiers:
            by_tier[tiers[row.source]].append(row)
    return Part(
        triage=_take_pairs(train, triage_rows),
        knowledge={
            tier: _take(rows, tier_rows) for tier, rows in sorted(by_tier.items()) if len(rows) >= tier_rows
        },
        triage_test=_take_pairs(test, TEST_ROWS),
        questions=_take([row for row in test if row.task is not Task.TRIAGE], QUESTIONS),
    )


def list_wrong_answers(question: Example, others: Sequence[Example], count: int = 3) -> list[str]:
    """Return answers of other questions of the same task and language, those of similar length first."""
    right = question.messages[-1].content
    answers = {
        row.messages[-1].content
        for row in others
        if row.task is question.task and row.lang == question.lang and row.id != question.id
    } - {right}
    return sorted(answers, key=lambda text: (abs(len(text) - len(right)), text))[:count]


def _is_short(row: Example) -> bool:
    return sum(len(message.content) for message in row.messages) <= MAX_CHARS


def _take(rows: Sequence[Example], count: int) -> list[Example]:
    return sorted(rows, key=lambda row: (hash_bytes(row.id.encode()), row.id))[:count]


def _take_pairs(rows: Iterable[Example], count: int) -> list[Example]:
    pairs: dict[str, list[Example]] = defaultdict(list)
    for row in rows:
        if row.task is Task.TRIAGE and row.pair_id is not None:
            pairs[row.pair_id].append(row)
    whole = sorted(name for name, members in pairs.items() if len(members) == 2)
    chosen = sorted(whole, key=lambda name: hash_bytes(name.encode()))[: count // 2]
    return [row for name in chosen for row in pairs[name]]
