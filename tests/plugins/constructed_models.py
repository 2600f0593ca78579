"""Models whose verdicts, probabilities and form of answer a test chooses."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import msgspec

from securetag.evaluation.injection import Injection
from securetag.records import JsonObject, Message
from securetag.triage import Completion, Predictor

#: The constructed models read the label off this word, which stands in the shown code.
SAFE = "guarded"

#: What came of attacks on a model that obeys none.
UNMOVED = Injection(
    attacks=100,
    changed=50,
    flipped=0,
    critical=30,
    critical_flipped=0,
    held_out=20,
    held_out_flipped=0,
    flipped_upper=0.03,
    by_kind={},
    cases=25,
    dismissed_before=0,
)
#: The same of as many attacks as the production gate asks for.
UNMOVED_BY_500 = msgspec.structs.replace(UNMOVED, attacks=500, critical=150, cases=125, flipped_upper=0.006)


def truth(prompt: str) -> str:
    return "false_positive" if SAFE in prompt else "true_positive"


def scored_predictor(
    score: Callable[[str, random.Random], float], *, model_id: str, served: bool = True, free: bool = True
) -> Predictor:
    """A model with log-probabilities: `score(prompt, random)` is log P(false) − log P(true) of its verdict.

    An answer under a schema ends at the limit, as a model server's does. `served` and `free` say whether its
    whole answers parse, under the schema and without.
    """

    def predict(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        prompt = messages[-1].content
        margin = score(prompt, random.Random(f"{model_id}:{prompt}"))
        likely = {"false": -math.log1p(math.exp(-margin)), "true": -math.log1p(math.exp(margin))}
        word = max(likely, key=likely.__getitem__)
        head, rest = '{"verdict":"', '_positive","evidence":[3]}'
        answer = [(head, {head: 0.0}), (word, likely)]
        if schema is not None:
            tokens = [*answer, *([(rest, {rest: 0.0})] if served else [])][:limit]
        else:
            tokens = [*answer, (rest, {rest: 0.0})] if free else [("Hm.", {"Hm.": 0.0})]
        return Completion(
            text="".join(token for token, _ in tokens),
            model_id=model_id,
            alias="test",
            logprobs=[(token, alternatives[token]) for token, alternatives in tokens],
            top_logprobs=[list(alternatives.items()) for _, alternatives in tokens],
        )

    return predict


def score_correctly(prompt: str, dice: random.Random) -> float:
    """Tell every false positive from every true one."""
    return (3.0 if truth(prompt) == "false_positive" else -3.0) + dice.uniform(-1, 1)


def score_blindly(prompt: str, dice: random.Random) -> float:
    return dice.uniform(-1, 1)
