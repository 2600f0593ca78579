"""Compare the code of a release's triage rows with real code, and score what is learned on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from securetag.datasets.realism.labeled import LabeledSnippet
from securetag.datasets.realism.measures import MEASURES, measure_code
from securetag.datasets.releases.baselines import code, fit_word_counts, make_vectorizer
from securetag.errors import InputError
from securetag.records import Example, Finding
from securetag.triage import Profile, Prompt, read_code, render

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Snippets of either kind that word counts are compared on.
MAX_SNIPPETS = 2_000
#: Snippets of either kind that a figure needs.
MIN_SNIPPETS = 20
FOLDS = 5
#: Shares of true positives that may be lost.
LOST_SHARES = (0.0, 0.02)
RESAMPLES = 2_000
#: Projects from which on resamples are drawn by project.
MIN_GROUPS = 10
_SEED = 0
_QUANTILES = (0.1, 0.5, 0.9)


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How one measure is spread over snippets."""

    p10: float
    p50: float
    p90: float
    #: Share of snippets with at least one.
    any: float


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """How well a score that was learned on the release tells the labels of real findings apart."""

    true_positives: int
    false_positives: int
    #: Chance that a false positive scores above a true positive; 0.5 is none.
    auc: float
    #: 95 % of bootstrap resamples by project, or by row where there are fewer than MIN_GROUPS projects.
    low: float
    high: float
    #: Lost share of true positives, as text → share of the false positives that the threshold removes.
    removed: dict[str, float]


class Realism(msgspec.Struct, frozen=True, kw_only=True):
    """Measure → spread, of the release and of real code, and how easily the two are told apart."""

    rows: int
    real: int
    release_spread: dict[str, Spread]
    real_spread: dict[str, Spread]
    #: AUC of word counts on "from the release or real", by cross-validation: 0.5 can't be told apart.
    separability: float


def triage_code(examples: Sequence[Example]) -> list[str]:
    """Return the distinct code of the labeled triage rows, sorted."""
    return sorted({text for row in examples if row.label is not None and (text := code(row))})


def compare_with_real(release_code: Sequence[str], real_code: Sequence[str]) -> Realism:
    """Compare snippets of a release with real ones; at most MAX_SNIPPETS of each are told apart by words.

    Raises InputError where either kind has fewer than MIN_SNIPPETS.
    """
    for name, snippets in (("the release", release_code), ("the real code", real_code)):
        if len(snippets) < MIN_SNIPPETS:
            raise InputError(f"{name} has {len(snippets)} snippets, and {MIN_SNIPPETS} are needed")
    return Realism(
        rows=len(release_code),
        real=len(real_code),
        release_spread=_measure_spread(release_code),
        real_spread=_measure_spread(real_code),
        separability=_measure_separability(release_code, real_code),
    )


def _measure_spread(snippets: Sequence[str]) -> dict[str, Spread]:
    import numpy as np

    counts = [measure_code(snippet) for snippet in snippets]
    spreads = {}
    for name in MEASURES:
        values = np.array([count[name] for count in counts])
        p10, p50, p90 = (float(value) for value in np.quantile(values, _QUANTILES))
        spreads[name] = Spread(p10=p10, p50=p50, p90=p90, any=round(float((values > 0).mean()), 4))
    return spreads


def _measure_separability(release_code: Sequence[str], real_code: Sequence[str]) -> float:
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    generator = np.random.default_rng(_SEED)
    parts = []
    for snippets in (release_code, real_code):
        order = generator.permutation(len(snippets))[:MAX_SNIPPETS]
        parts.append([snippets[index] for index in order])
    labels = [0] * len(parts[0]) + [1] * len(parts[1])
    scores = cross_val_predict(
        make_pipeline(make_vectorizer((1, 1)), LogisticRegression(solver="liblinear", random_state=_SEED)),
        [*parts[0], *parts[1]],
        labels,
        cv=StratifiedKFold(FOLDS, shuffle=True, random_state=_SEED),
        method="decision_function",
    )
    return round(float(roc_auc_score(labels, scores)), 4)


def score_words(
    examples: Sequence[Example], findings: Sequence[LabeledSnippet], profile: Profile
) -> list[float] | None:
    """Learn word counts on the labeled triage rows of train and return a score for each real finding.

    Higher is a false positive. Real code is rendered as the prompts of `profile` show it. None where train
    has too few of either label.
    """
    fitted = fit_word_counts([row for row in examples if row.split == "train" and row.label is not None])
    if fitted is None:
        return None
    vectors, model = fitted
    prompts = [render_finding(finding, profile) for finding in findings]
    texts = [read_code(prompt.messages, prompt.version) for prompt in prompts]
    # The model was fitted on "is a true positive".
    return [-float(score) for score in model.decision_function(vectors.transform(texts))]


def score_word_transfer(
    examples: Sequence[Example], findings: Sequence[LabeledSnippet], profile: Profile
) -> Transfer | None:
    """Return how well the scores of `score_words` fit the labels; None where there are none.

    Raises InputError as `score_transfer` does.
    """
    scores = score_words(examples, findings, profile)
    return None if scores is None else score_transfer(findings, scores)


def render_finding(snippet: LabeledSnippet, profile: Profile) -> Prompt:
    """Return the prompt that asks about a labeled finding, of which only code, place and CWE are known."""
    return render(
        Finding(
            tool="external",
            rule_id="external",
            cwe=snippet.cwe,
            title="",
            message="",
            severity="medium",
            confidence="medium",
            language=snippet.language,
            path=snippet.file,
            start_line=snippet.line,
            end_line=snippet.line,
            snippet=snippet.code,
            snippet_line=snippet.first_line,
            scope="",
            fingerprint=f"v2:{'0' * 64}",
            code_slice=snippet.code_slice,
        ),
        profile=profile,
    )


def score_transfer(findings: Sequence[LabeledSnippet], scores: Sequence[float]) -> Transfer:
    """Return how well scores, higher for a false positive, tell the labels apart.

    Raises InputError unless both labels are there.
    """
    import numpy as np

    false = np.array([finding.label == "false_positive" for finding in findings])
    values = np.array(scores, dtype=float)
    if false.all() or not false.any():
        raise InputError("labels of both kinds are needed: true_positive and false_positive")
    names = sorted({finding.group for finding in findings})
    by_project = len(names) >= MIN_GROUPS
    groups = (
        np.array([names.index(finding.group) for finding in findings])
        if by_project
        else np.arange(len(false))
    )
    ranks = np.unique(values, return_inverse=True)[1]
    low, high = _bootstrap_auc(false, ranks, groups)
    return Transfer(
        true_positives=int((~false).sum()),
        false_positives=int(false.sum()),
        auc=round(_auc(false, ranks, np.ones(len(ranks))), 4),
        low=low,
        high=high,
        removed={f"{share:.0%}": _removed(false, values, share) for share in LOST_SHARES},
    )


def _auc(
    false: npt.NDArray[np.bool_], ranks: npt.NDArray[np.int_], weights: npt.NDArray[np.float64]
) -> float:
    """Return the area under the curve of weighted rows; `ranks` number the distinct scores from 0."""
    import numpy as np

    size = int(ranks.max()) + 1
    above = np.bincount(ranks[false], weights[false], size)
    below = np.bincount(ranks[~false], weights[~false], size)
    # Of each pair the false positive is to score higher; equal scores count half.
    pairs = above * (np.cumsum(below) - below / 2)
    return float(pairs.sum() / (above.sum() * below.sum()))


def _bootstrap_auc(
    false: npt.NDArray[np.bool_], ranks: npt.NDArray[np.int_], groups: npt.NDArray[np.int_]
) -> tuple[float, float]:
    """Return the bounds of 95 % of resamples, drawn by group; those with one label alone are left out."""
    import numpy as np

    generator = np.random.default_rng(_SEED)
    count = int(groups.max()) + 1
    aucs = []
    for _ in range(RESAMPLES):
        weights = np.bincount(generator.integers(0, count, count), minlength=count)[groups].astype(float)
        if weights[false].any() and weights[~false].any():
            aucs.append(_auc(false, ranks, weights))
    low, high = np.quantile(aucs, (0.025, 0.975))
    return round(float(low), 4), round(float(high), 4)


def _removed(false: npt.NDArray[np.bool_], values: npt.NDArray[np.float64], lost: float) -> float:
    """Return the share of false positives above the threshold that loses `lost` of true positives at most."""
    import numpy as np

    kept = np.sort(values[~false])[::-1]
    threshold = kept[min(int(lost * len(kept)), len(kept) - 1)]
    return round(float((values[false] > threshold).mean()), 4)


def list_spread_rows(realism: Realism) -> list[list[str]]:
    """Return a row a measure: its name, then p10, p50, p90 and the share with any, release beside real."""

    def write(spreads: Mapping[str, Spread], name: str) -> list[str]:
        spread = spreads[name]
        return [f"{spread.p10:g} / {spread.p50:g} / {spread.p90:g}", f"{spread.any:.0%}"]

    return [
        [words, *write(realism.release_spread, name), *write(realism.real_spread, name)]
        for name, words in MEASURES.items()
    ]
