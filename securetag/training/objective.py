"""The loss of the verdict: ranking over the batch beside cross-entropy.

Of an answer's tokens one carries the verdict, and completion loss spends a row on all of them alike. Here
the score of a row is s = logit(true) − logit(false) at its verdict token, and

    loss = mean BCE(s) + mean over all pairs of a true and a false positive of softplus(−(s_TP − s_FP))
           + form_weight · mean cross-entropy over all completion tokens

The second term compares rows of a micro-batch with one another, so that whole contrastive pairs belong into
one. The third keeps the form of the answer, and teaches the answers of other tasks.

A verdict's place is found in the labels by the tokens before it, so that packed rows need nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from securetag.errors import TrainingError
from securetag.training.compute_savings import Scored, read_in_parts, replace_loss, score_completions
from securetag.training.rows import IGNORED, Row

if TYPE_CHECKING:
    from torch import Tensor, nn
    from trl.trainer.sft_trainer import SFTTrainer


class VerdictTokens(NamedTuple):
    """The tokens that begin the two verdicts, and those before them in every answer."""

    true: int
    false: int
    before: tuple[int, ...]


def find_verdict_tokens(rows: Sequence[Row]) -> VerdictTokens:
    """Return the verdict tokens of triage rows.

    Raises TrainingError where rows of a label are missing, or where one verdict begins with several tokens.
    """
    deciding = [(row, row.verdict_index) for row in rows if row.verdict_index is not None]
    first = {
        label: {row.input_ids[index] for row, index in deciding if row.label == label}
        for label in ("true_positive", "false_positive")
    }
    if any(len(tokens) != 1 for tokens in first.values()):
        counts = {label: len(tokens) for label, tokens in first.items()}
        raise TrainingError(
            f"the objective `ranking` needs rows of both labels, each with one first token: {counts}",
            hint="Train on more triage rows, or set objective: completion.",
        )
    row, index = deciding[0]
    length = 0
    while all(
        at > length
        and other.labels[at - length - 1] != IGNORED
        and other.input_ids[at - length - 1] == row.input_ids[index - length - 1]
        for other, at in deciding
    ):
        length += 1
    (true,), (false,) = first["true_positive"], first["false_positive"]
    return VerdictTokens(true, false, tuple(row.input_ids[index - length : index]))


class Part(NamedTuple):
    """What the loss needs of some rows of a micro-batch."""

    #: Summed cross-entropy of the completion tokens, and how many these are.
    form: Tensor
    tokens: int
    #: (rows with a verdict): logit(true) − logit(false), and whether the row is a true positive.
    margin: Tensor
    is_true: Tensor


def measure_part(scored: Scored, tokens: VerdictTokens) -> Part:
    """Reduce the logits of some rows to what the loss needs of them."""
    from torch.nn import functional

    form = functional.cross_entropy(scored.scores, scored.targets, reduction="sum")
    is_verdict = find_verdicts(scored.labels, tokens)[scored.labels != IGNORED]
    at_verdict = scored.scores[is_verdict]
    margin = at_verdict[:, tokens.true] - at_verdict[:, tokens.false]
    return Part(form, len(scored.targets), margin, scored.targets[is_verdict] == tokens.true)


def verdict_loss(parts: Sequence[Part], form_weight: float) -> Tensor:
    """Return the loss of one micro-batch (see the module's text), whatever parts it was read in."""
    import torch
    from torch.nn import functional

    form = torch.stack([part.form for part in parts]).sum() / sum(part.tokens for part in parts)
    loss = form_weight * form
    margin = torch.cat([part.margin for part in parts])
    is_true = torch.cat([part.is_true for part in parts])
    if not margin.numel():
        return loss
    loss = loss + functional.binary_cross_entropy_with_logits(margin, is_true.to(margin.dtype))
    differences = margin[is_true][:, None] - margin[~is_true][None, :]
    return loss + functional.softplus(-differences).mean() if differences.numel() else loss


def find_verdicts(labels: Tensor, tokens: VerdictTokens) -> Tensor:
    """Return a mask (rows, tokens) of the labels that begin a verdict."""
    mask = (labels == tokens.true) | (labels == tokens.false)
    for back, token in enumerate(reversed(tokens.before), 1):
        mask[:, :back] = False
        mask[:, back:] &= labels[:, :-back] == token
    return mask


def build_trainer_class(
    prefix: Sequence[int], tokens: VerdictTokens, form_weight: float, max_tokens: int | None = None
) -> type[SFTTrainer]:
    """Return TRL's SFTTrainer with `verdict_loss` in training; its evaluation stays completion loss."""

    def compute(
        trainer: SFTTrainer, model: nn.Module, inputs: dict[str, Tensor], items: Tensor | int | None
    ) -> Tensor:
        def read(part: dict[str, Tensor]) -> Part:
            return measure_part(score_completions(model, part, prefix), tokens)

        loss = verdict_loss(read_in_parts(read, inputs, max_tokens), form_weight)
        # transformers takes a loss that got the number of items to be divided by it already.
        is_divided = trainer.model_accepts_loss_kwargs and items is not None
        return loss / trainer.current_gradient_accumulation_steps if is_divided else loss

    return replace_loss(compute)
