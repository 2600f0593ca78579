"""Baselines that don't weigh the guard: lookups by one property, and word counts.

A model that triages must beat these on the same rows. Each axis of the test split is scored by itself:
an average would hide the one that is hard.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from securetag.records import Example

#: Axis of labeled test rows that aren't synthetic.
NO_AXIS = "other"
#: Characters of a prompt that count as one length.
STEP = 25
#: Rows that a figure needs on either side; fewer would be a coin flip with decimals.
_ENOUGH = 20


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Accuracy on `n` held-out rows beside that of always naming their majority label, 0.0 to 1.0."""

    n: int
    accuracy: float
    majority: float


def majority_share(rows: Sequence[Example]) -> float:
    """Share of the more frequent label, 0.5 to 1.0; 0.0 without rows."""
    true = sum(row.label == "true_positive" for row in rows)
    return round(max(true, len(rows) - true) / len(rows), 4) if rows else 0.0


def group_by_axis(rows: Sequence[Example]) -> dict[str, list[Example]]:
    """Labeled rows by axis; of those that have none, train and validation by their split."""
    axes: dict[str, list[Example]] = {}
    for row in rows:
        if row.label is not None:
            name = row.axis or (NO_AXIS if row.split == "test" else row.split or "")
            axes.setdefault(name, []).append(row)
    return dict(sorted(axes.items()))


def score_lookups(rows: Sequence[Example]) -> dict[str, Score]:
    """What a table learned on synthetic train rows scores on synthetic test rows, by one property alone.

    A key that train doesn't know answers with the label that train has more often.
    """
    synthetic = [row for row in rows if row.construction is not None and row.label is not None]
    train = [row for row in synthetic if row.split == "train"]
    test = [row for row in synthetic if row.split == "test"]
    if not train or not test:
        return {}
    return {name: _table(train, test, key) for name, key in _PROPERTIES.items()}


def _table(train: Sequence[Example], test: Sequence[Example], key: Callable[[Example], str]) -> Score:
    more_true = Counter[str]()
    for row in train:
        more_true[key(row)] += 1 if row.label == "true_positive" else -1
    usual = 1 if sum(more_true.values()) >= 0 else -1
    correct = sum(((more_true[key(row)] or usual) > 0) == (row.label == "true_positive") for row in test)
    return Score(n=len(test), accuracy=round(correct / len(test), 4), majority=majority_share(test))


def _prompt(row: Example) -> str:
    return row.messages[-2].content


def _head(row: Example) -> str:
    # What stands before the code names rule, class and severity; the flagged line isn't the rule's.
    return re.sub(r"\d+(-\d+)?$", "", _prompt(row).split("\n1 ", 1)[0])


_PROPERTIES: dict[str, Callable[[Example], str]] = {
    "rule": _head,
    "source": lambda row: row.construction.source if row.construction else "",
    "sink": lambda row: row.construction.sink if row.construction else "",
    "guard": lambda row: row.construction.guard if row.construction else "",
    "guard_family": lambda row: row.construction.guard_family if row.construction else "",
    "framework": lambda row: row.construction.framework if row.construction else "",
    "length": lambda row: str(len(_prompt(row)) // STEP),
    "lines": lambda row: str(_prompt(row).count("\n")),
}


def code(row: Example) -> str:
    """The code of a triage prompt, its line numbers gone."""
    _, _, numbered = _prompt(row).partition("\n1 ")
    return re.sub(r"(?m)^\d+ ", "", f"1 {numbered}")


def score_word_counts(rows: Sequence[Example]) -> dict[str, Score]:
    """Axis → what TF-IDF over one to three tokens of the code and logistic regression reach.

    Learned on the labeled triage rows of train. Empty where train has too few of either label.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    parts = group_by_axis(rows)
    train = parts.pop("train", [])
    labels = [row.label == "true_positive" for row in train]
    if min(sum(labels), len(labels) - sum(labels)) < _ENOUGH:
        return {}
    vectors = TfidfVectorizer(lowercase=False, token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 3), min_df=2)
    model = LogisticRegression(solver="liblinear", C=10.0, random_state=0)
    model.fit(vectors.fit_transform(map(code, train)), labels)
    scores = {}
    for name, held_out in parts.items():
        if len(held_out) >= _ENOUGH:
            predictions = model.predict(vectors.transform(map(code, held_out)))
            labels = [row.label == "true_positive" for row in held_out]
            correct = sum(bool(a) == b for a, b in zip(predictions, labels, strict=True))
            scores[name] = Score(
                n=len(held_out), accuracy=round(correct / len(held_out), 4), majority=majority_share(held_out)
            )
    return scores
