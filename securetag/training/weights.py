"""What each token of a completion counts for in the loss, and how often the verdict's is right.

In a triage answer one token in nineteen tells the verdict; the others follow from the form, which a
hundred rows teach. Left alike, they leave the verdict a nineteenth of the gradient, and one knowledge
row's long answer outweighs the verdicts of a whole batch. Knows no release and no recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from securetag.training.rows import IGNORED, Row


def token_weights(rows: Sequence[Row], verdict: float) -> list[list[float]]:
    """For each row a weight a token: 0 over the prompt, `verdict` times the others' where it decides.

    They average 1 over all labelled tokens of `rows`, so that a loss is still divided by their number.
    """
    labelled = sum(row.completion_tokens for row in rows)
    total = labelled + (verdict - 1) * sum(row.decides is not None for row in rows)
    unit = labelled / total if total else 1.0
    return [
        [
            0.0 if label == IGNORED else unit * (verdict if place == row.decides else 1.0)
            for place, label in enumerate(row.labels)
        ]
        for row in rows
    ]


def collator(pad_token_id: int) -> Any:
    """TRL's collator, which also pads a column `weights` (rows, tokens) where the rows have one."""
    import torch
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    class WeightedCollator(DataCollatorForLanguageModeling):
        def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
            batch: dict[str, Any] = super().torch_call(examples)
            if "weights" in examples[0]:
                weights = torch.zeros(batch["labels"].shape)
                for row, example in zip(weights, examples, strict=True):
                    row[: len(example["weights"])] = torch.tensor(example["weights"])
                batch["weights"] = weights
            return batch

    return WeightedCollator(pad_token_id=pad_token_id)


def trainer_class() -> Any:
    """TRL's SFTTrainer, which counts each token for its weight where a batch has weights."""
    import trl

    sft: Any = trl  # lazily exported, which mypy can't see
    base: Any = sft.SFTTrainer

    class WeightedTrainer(base):  # type: ignore[misc]
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            weights = inputs.pop("weights", None)
            if weights is None:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            outputs = model(**inputs, use_cache=False, fused_lm_head=True)
            items = outputs.label_mask.sum() if num_items_in_batch is None else num_items_in_batch
            loss = -(outputs.log_probs * weights[:, 1:]).sum() / items
            if num_items_in_batch is not None:  # counts every process's tokens, and DDP averages
                loss = loss * self.accelerator.num_processes
            return (loss, outputs) if return_outputs else loss

    return WeightedTrainer


def verdicts_right(model: Any, rows: Sequence[Row]) -> float | None:
    """Share of `rows` whose deciding token the model finds likeliest, given the answer up to it.

    None where no row decides anything. It reads one row at a time: a few dozen rows are meant.
    """
    import torch

    asked = [row for row in rows if row.decides is not None]
    if not asked:
        return None
    model.eval()
    found = 0
    with torch.no_grad():
        for row in asked:
            ids = torch.tensor([row.input_ids[: row.decides]], device=model.device)
            likeliest = int(model(input_ids=ids, logits_to_keep=1).logits[0, -1].argmax())
            found += likeliest == row.input_ids[row.decides or 0]
    return found / len(asked)
