"""Exact duplicates: one row each, all origins kept, contradictions dropped.

Two rows are the same question when task and messages before the answer are, after NFC and LF. The
same question with the same answer becomes one row that names every origin, so that an erasure of one
of them leaves it standing. The same labeled question with two labels teaches a coin flip: both go.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from securetag.datasets.drops import Drop, DropReason, StepResult
from securetag.records import Example, Origin, content_id, normalise_text


def question_id(example: Example) -> str:
    """Identity of what is asked."""
    turns = [[message.role, normalise_text(message.content)] for message in example.messages[:-1]]
    return content_id([example.task, turns])


def answered_id(example: Example) -> str:
    return content_id([question_id(example), normalise_text(example.messages[-1].content)])


def drop_duplicates(examples: Iterable[Example]) -> StepResult:
    """Merge rows of the same question and answer; drop questions with two labels.

    The result doesn't depend on the order of the rows.
    """
    ordered = sorted(examples, key=precedence_of)
    labels: dict[str, set[str]] = {}
    for example in ordered:
        if example.label is not None:
            labels.setdefault(question_id(example), set()).add(example.label)
    kept: dict[str, Example] = {}
    drops: list[Drop] = []
    for example in ordered:
        if len(labels.get(question_id(example), ())) > 1:
            drops.append(Drop.of(example, DropReason.DUPLICATE_CONTRADICTION))
            continue
        # A labeled question is kept once even where the evidence differs; others by question and answer.
        key = question_id(example) if example.label is not None else answered_id(example)
        if key in kept:
            kept[key] = merge_origins(kept[key], example)
            drops.append(Drop.of(example, DropReason.DUPLICATE))
        else:
            kept[key] = example
    return StepResult(sorted(kept.values(), key=lambda row: (row.id, row.label or "")), drops)


def precedence_of(example: Example) -> tuple[int, str, str]:
    """Orders rows so that of two duplicates the first stays; total, and not that of the input."""
    # Held-out rows first: a duplicate of a test row must not stay in train.
    side = {"test": 0, "validation": 1, "train": 2}.get(example.split or "", 3)
    rest = [example.label, example.group, example.source, example.licence, example.origins]
    return side, example.id, content_id(rest)


def merge_origins(first: Example, other: Example) -> Example:
    """`first` with the origins of both."""
    unique: dict[str, Origin] = {}
    for origin in [*first.origins, *other.origins]:
        unique.setdefault(content_id(origin), origin)
    return msgspec.structs.replace(first, origins=[unique[key] for key in sorted(unique)])
