"""What a trained model scores: verdicts of triage rows, and the right answer among four to a question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.ablation.rows import list_wrong_answers
from securetag.errors import TrainingError
from securetag.records import Example, Message
from securetag.training import base, rows, verdicts
from securetag.training.hardware import choose_matmul_precision
from securetag.training.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """How one model does."""

    #: Chance that a true positive scores above a false positive.
    triage_auc: float
    #: Share of the questions whose right answer has the highest likelihood a token; .25 is chance.
    knowledge: float


def score_adapter(
    recipe: Recipe, adapter: Path | None, triage: Sequence[Example], questions: Sequence[Example]
) -> Scores:
    """Return the scores of the recipe's base with an adapter, or of the base alone.

    Raises TrainingError where the triage rows have one label only.
    """
    import torch
    from peft import PeftModel

    torch.set_float32_matmul_precision(choose_matmul_precision(recipe))
    tokenizer = base.load_tokenizer(recipe)
    model: Any = base.load_model(recipe)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter))
    model.eval()
    encoded, _ = rows.encode(triage, tokenizer, recipe)
    auc = verdicts.measure_verdicts(model, encoded)["validation_auc"]
    if auc is None:
        raise TrainingError("the triage rows have one label only", hint="Take a release with more of them.")
    correct = [_is_right(model, tokenizer, recipe, question, questions) for question in questions]
    return Scores(triage_auc=round(auc, 4), knowledge=round(sum(correct) / max(1, len(correct)), 4))


def _is_right(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    recipe: Recipe,
    question: Example,
    others: Sequence[Example],
) -> bool:
    """Is the question's own answer likelier, a token, than each wrong one?"""
    *prompt, answer = question.messages
    texts = [answer.content, *list_wrong_answers(question, others)]
    examples = [
        msgspec.structs.replace(question, messages=[*prompt, Message("assistant", text)]) for text in texts
    ]
    encoded, dropped = rows.encode(examples, tokenizer, recipe)
    if dropped or len(encoded) < 2:
        return False
    right, *wrong = _score_answers(model, encoded)
    return right > max(wrong)


def _score_answers(model: PreTrainedModel, answers: Sequence[rows.Row]) -> list[float]:
    """Return the mean log-probability of each answer's tokens; the prompt that all have is read once."""
    import torch
    from transformers import DynamicCache

    begins = [len(row.input_ids) - row.completion_tokens for row in answers]
    assert len({tuple(row.input_ids[:begin]) for row, begin in zip(answers, begins, strict=True)}) == 1
    begin, cache, scores = begins[0], DynamicCache(), []
    with torch.no_grad():
        model(
            input_ids=torch.tensor([answers[0].input_ids[: begin - 1]]),
            past_key_values=cache,
            logits_to_keep=1,
        )
        for row in answers:
            # The prompt's last token says what the answer's first one may be.
            ids = torch.tensor([row.input_ids[begin - 1 :]])
            logits = model(input_ids=ids, past_key_values=cache).logits[0, :-1].float()
            scores.append(float(logits.log_softmax(dim=-1).gather(1, ids[0, 1:, None]).mean()))
            cache.crop(-ids.shape[1])
    return scores
