"""Baselines that don't weigh the guard: lookups by one property, and word counts.

A model that triages must beat these on the same rows. Each axis of the test split is scored by itself:
an average would hide the one that is hard.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from securetag.records import Example
from securetag.triage import read_code

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

#: Axis of labeled test rows that aren't synthetic.
NO_AXIS = "other"
#: Characters of a prompt that count as one length.
STEP = 25
#: Log odds beyond which a word gives the label away, and the rows that it has to be in.
MAX_LOG_ODDS, MIN_WORD_ROWS = 2.0, 50
_WORD = re.compile(r"\w+|[^\w\s]")
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
    lines = _prompt(row).split("\n")
    head = "\n".join(lines[: len(lines) - code(row).count("\n") - 1])
    return re.sub(r"\d+(-\d+)?$", "", head)


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
    """The code of a triage prompt, its marks and line numbers gone."""
    return read_code(row.messages, row.prompt_version)


class Telltale(msgspec.Struct, frozen=True, kw_only=True):
    """A word of the code that gives the label away."""

    word: str
    #: Rows of either label whose code has the word.
    true: int
    false: int
    #: Logarithm of the odds of the word in true positives over those in false positives.
    log_odds: float


def find_telltales(rows: Sequence[Example]) -> list[Telltale]:
    """Return the words whose log odds are beyond `MAX_LOG_ODDS` either way, the strongest first.

    Looks at labeled synthetic rows, and at words that `MIN_WORD_ROWS` of them have. Half a row is added to
    each count, so that a word of one label alone has finite odds.
    """
    synthetic = [row for row in rows if row.construction is not None and row.label is not None]
    total, counts = Counter[str](), {"true_positive": Counter[str](), "false_positive": Counter[str]()}
    for row in synthetic:
        label = str(row.label)
        total[label] += 1
        counts[label].update(set(_WORD.findall(code(row))))
    true, false = counts["true_positive"], counts["false_positive"]
    telltales = [
        Telltale(
            word=word,
            true=true[word],
            false=false[word],
            log_odds=round(
                _log_odds(true[word], total["true_positive"])
                - _log_odds(false[word], total["false_positive"]),
                2,
            ),
        )
        for word in {*true, *false}
        if true[word] + false[word] >= MIN_WORD_ROWS
    ]
    return sorted(
        (telltale for telltale in telltales if abs(telltale.log_odds) > MAX_LOG_ODDS),
        key=lambda telltale: (-abs(telltale.log_odds), telltale.word),
    )


def _log_odds(count: int, total: int) -> float:
    return math.log((count + 0.5) / (total - count + 0.5))


def make_vectorizer(ngrams: tuple[int, int] = (1, 3)) -> TfidfVectorizer:
    """Return TF-IDF over runs of tokens of code, unfitted; those of one snippet alone don't count."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(lowercase=False, token_pattern=_WORD.pattern, ngram_range=ngrams, min_df=2)


def fit_word_counts(train: Sequence[Example]) -> tuple[TfidfVectorizer, LogisticRegression] | None:
    """Learn to tell true positives from word counts of labeled rows.

    None where `train` has too few of either label.
    """
    from sklearn.linear_model import LogisticRegression

    labels = [row.label == "true_positive" for row in train]
    if min(sum(labels), len(labels) - sum(labels)) < _ENOUGH:
        return None
    vectors = make_vectorizer()
    model = LogisticRegression(solver="liblinear", C=10.0, random_state=0)
    model.fit(vectors.fit_transform(map(code, train)), labels)
    return vectors, model


def score_word_counts(rows: Sequence[Example]) -> dict[str, Score]:
    """Axis → what TF-IDF over one to three tokens of the code and logistic regression reach.

    Learned on the labeled triage rows of train. Empty where train has too few of either label.
    """
    parts = group_by_axis(rows)
    fitted = fit_word_counts(parts.pop("train", []))
    if fitted is None:
        return {}
    vectors, model = fitted
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
