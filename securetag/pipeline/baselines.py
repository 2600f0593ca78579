"""What a model must beat: the majority, a look-up by weakness class, and word counts, on the same rows.

Each learns from the release's training rows, and gets its probability and threshold on the validation rows
as a model does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from securetag.datasets.releases.baselines import code, fit_word_counts
from securetag.evaluation.suites import NO_AXIS, Row, SuiteResult
from securetag.records import Decision, Example

#: Log-odds that the example is a false positive.
Score = Callable[[Sequence[Example]], list[float]]


def fit_baselines(train: Sequence[Example]) -> dict[str, Score]:
    """Learn the baselines from the labeled triage rows of `train`.

    Without enough rows of either label there is no `tfidf`.
    """
    labeled = [example for example in train if example.label is not None]
    scores: dict[str, Score] = {"majority": lambda rows: [0.0] * len(rows), "class": _fit_classes(labeled)}
    fitted = fit_word_counts(labeled)
    if fitted is not None:
        vectors, model = fitted
        scores["tfidf"] = lambda rows: [
            -float(score) for score in model.decision_function(vectors.transform(map(code, rows)))
        ]
    return scores


def predict(name: str, score: Score, examples: Sequence[Example]) -> SuiteResult:
    """Return the rows of a baseline, as `securetag.evaluation.suites.score_verdicts` does of a model."""
    margins = score(examples) if examples else []
    return SuiteResult(
        rows=[
            Row(
                id=example.id,
                axis=example.axis or NO_AXIS,
                group=example.group,
                label=example.label,
                lang=example.lang,
                prompt_version=example.prompt_version or "",
                decision=Decision.FALSE_POSITIVE if margin > 0 else Decision.TRUE_POSITIVE,
                valid=True,
                model_id=name,
                margin=margin,
            )
            for example, margin in zip(examples, margins, strict=True)
            if example.label is not None
        ]
    )


def _fit_classes(train: Sequence[Example]) -> Score:
    """Return the log-odds of a false positive among the training rows of the same weakness class."""
    by_class: dict[str, Counter[str]] = {}
    for example in train:
        by_class.setdefault(_class_of(example), Counter())[str(example.label)] += 1

    def score(rows: Sequence[Example]) -> list[float]:
        seen = [by_class.get(_class_of(example), Counter[str]()) for example in rows]
        return [math.log((n["false_positive"] + 0.5) / (n["true_positive"] + 0.5)) for n in seen]

    return score


def _class_of(example: Example) -> str:
    """Return the first line of a triage prompt, which names the class."""
    return example.messages[-2].content.split("\n", 1)[0]
