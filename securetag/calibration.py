"""From the log-probabilities of a verdict's token to a calibrated probability and a decision.

A model's score is m = log P(false_positive) − log P(true_positive) at the token that begins its verdict, in
the answer that it writes under the schema. Worker, evaluation and calibration ask for that answer in the same
words and read the score with `read_margin`. An answer may be cut off after its verdict, which changes no
token before; one whose beginning is given to the model as text may have other tokens, and so another score.

A `Calibration` turns m into the probability that a finding is a false positive, and holds the threshold from
which one is dismissed. `securetag.evaluation.calibrate` fits it on validation rows; it is stored with the
model in the registry, and worker and evaluation apply the same one.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec

from securetag.records import Decision, Verdict, content_id
from securetag.triage import Completion

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
#: What `read_margin` reads. Rises when the same answer would get another score.
SCORE = "verdict-1"
#: What comes before a verdict. Ollama's constraint, unlike ours, allows white space.
_BEFORE_VERDICT = re.compile(r'"verdict"\s*:\s*"')
#: Likeliest tokens to ask a server for beside each written one: as many as the OpenAI API allows.
TOP_LOGPROBS = 20
#: Why a false positive isn't dismissed.
NO_LOGPROBS = "the model's server gives no log-probabilities, so nothing is dismissed by its word"
NOT_CALIBRATED = "the model isn't calibrated for this prompt, so nothing is dismissed by its word"
NOT_SLICED = (
    "what a small model reads here may hold comments that address it, so nothing is dismissed by its word"
)
#: Reasons of a verdict that a model did give.
WITHHELD = frozenset({NO_LOGPROBS, NOT_CALIBRATED, NOT_SLICED})


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """What a threshold costs in true positives, on which rows, and at most with 95 % confidence."""

    #: Share of true positives that may be lost.
    target: Share
    #: True positives of the population that were lost, and all of them.
    lost: int
    of: int
    #: One-sided 95 % Clopper-Pearson bound of the share lost.
    upper: Share
    #: The rows that it holds for, in words.
    population: str


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """How one model's scores are read. Its id changes with any field."""

    schema: Literal[1] = 1
    model_id: str
    prompt_version: str
    #: The score that it was fitted on; one of another score isn't applied.
    score: str = "verdict-1"
    method: Literal["temperature", "isotonic"]
    #: The probability is the logistic function of m / temperature.
    temperature: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    #: Of `isotonic`: (m, probability), both rising; between two of them it is interpolated.
    knots: list[tuple[float, Share]] = []
    #: From this probability on a finding is dismissed; None: never.
    threshold: Share | None
    #: Up to this one it is a true positive; between the two a person has to look.
    true_positive_up_to: Share = 0.5
    bound: Bound
    #: Rows that it was fitted on.
    rows: int

    @property
    def id(self) -> str:
        """64 hex digits over every field."""
        return content_id(self)

    def fits(self, prompt_version: str) -> bool:
        """Return whether it may be applied to scores of this prompt, as `read_margin` reads them."""
        return self.prompt_version == prompt_version and self.score == SCORE

    def compute_probability(self, margin: float) -> float:
        """Return the probability of a false positive for a score `margin`."""
        if self.method == "temperature":
            return _logistic(margin / self.temperature)
        place = bisect_right(self.knots, margin, key=lambda knot: knot[0])
        if place == 0 or place == len(self.knots):
            return self.knots[min(place, len(self.knots) - 1)][1]
        (before, low), (after, high) = self.knots[place - 1 : place + 1]
        return low + (high - low) * (margin - before) / (after - before)

    def decide(self, probability: float) -> Decision:
        """Return the decision on a finding with this probability of being a false positive."""
        if self.threshold is not None and probability >= self.threshold:
            return Decision.FALSE_POSITIVE
        is_true = probability <= self.true_positive_up_to
        return Decision.TRUE_POSITIVE if is_true else Decision.NEEDS_REVIEW


class Judged(NamedTuple):
    """A decision as it is stored and shown."""

    decision: Decision
    p_false_positive: float | None
    #: Why a dismissal is withheld; empty where none is.
    reason: str
    is_calibrated: bool


def judge(
    decision: Decision, margin: float | None, calibration: Calibration | None, prompt_version: str
) -> Judged:
    """Return what counts where a model said `decision` with this score.

    With a calibration of the prompt its probability decides. Without one, and without a score, nothing is
    dismissed: what the model calls a false positive needs review, with the reason.
    """
    if margin is not None and calibration is not None and calibration.fits(prompt_version):
        probability = calibration.compute_probability(margin)
        return Judged(calibration.decide(probability), probability, "", True)
    uncalibrated = None if margin is None else _logistic(margin)
    if decision is not Decision.FALSE_POSITIVE:
        return Judged(decision, uncalibrated, "", False)
    reason = NO_LOGPROBS if margin is None else NOT_CALIBRATED
    return Judged(Decision.NEEDS_REVIEW, uncalibrated, reason, False)


def apply_calibration(verdict: Verdict, completion: Completion, calibration: Calibration | None) -> Verdict:
    """Return the verdict with its probability and the decision that counts (`judge`)."""
    if verdict.reason:
        return verdict
    judged = judge(verdict.decision, read_margin(completion), calibration, verdict.prompt_version)
    applied = calibration if judged.is_calibrated else None
    return msgspec.structs.replace(
        verdict,
        decision=judged.decision,
        reason=judged.reason,
        p_false_positive=judged.p_false_positive,
        calibration_id=applied.id if applied else "",
        threshold=applied.threshold if applied else None,
    )


def read_margin(completion: Completion) -> float | None:
    """Return m = log P(false_positive) − log P(true_positive) at the token that begins the verdict.

    Other tokenizations of a verdict count with it. A verdict that isn't among the likeliest tokens has at
    most the probability of the least likely of these, and gets that. None where the server gave no
    log-probabilities, or where none of the likeliest tokens begins a verdict.
    """
    place = _find_verdict(completion)
    if place is None:
        return None
    index, head = place
    return _compare(head, dict([completion.logprobs[index], *completion.top_logprobs[index]]))


def count_to_verdict(completion: Completion) -> int | None:
    """Return how many tokens the model wrote up to the first of its verdict; None where that isn't known."""
    place = _find_verdict(completion)
    return None if place is None else place[0] + 1


def read_word(text: str) -> Decision | None:
    """Return the verdict of an answer that may be cut off; None where its beginning says none yet."""
    before = _BEFORE_VERDICT.search(text)
    word = text[before.end() :].split('"', 1)[0] if before is not None else ""
    named = [decision for decision in Decision if word and decision.startswith(word)]
    return named[0] if len(named) == 1 else None


def _find_verdict(completion: Completion) -> tuple[int, str] | None:
    """Return the index of the token that begins the verdict, and what stands in it before the verdict."""
    written = ""
    scored = zip(completion.logprobs, completion.top_logprobs, strict=False)
    for index, ((token, _), _) in enumerate(scored):
        before = _BEFORE_VERDICT.search(written + token)
        if before is not None and before.end() < len(written + token):
            return index, (written + token)[len(written) : before.end()]
        written += token
    return None


def _compare(head: str, logprobs: dict[str, float]) -> float | None:
    """Compare the verdicts that tokens with this beginning begin."""
    by_verdict: dict[Decision, list[float]] = {decision: [] for decision in Decision}
    for token, logprob in logprobs.items():
        rest = token.removeprefix(head)
        for decision in Decision:
            if token.startswith(head) and rest and (decision.startswith(rest) or rest.startswith(decision)):
                by_verdict[decision].append(logprob)
    false, true = by_verdict[Decision.FALSE_POSITIVE], by_verdict[Decision.TRUE_POSITIVE]
    if not false and not true:
        return None
    least = min(logprobs.values())
    return _sum_logs(false or [least]) - _sum_logs(true or [least])


def _sum_logs(values: Sequence[float]) -> float:
    highest = max(values)
    return highest + math.log(sum(math.exp(value - highest) for value in values))


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
