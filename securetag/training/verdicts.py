"""How well a model in training tells the two verdicts apart.

The loss hides it: of an answer's tokens one tells the verdict, the others follow from the form, which a
hundred rows teach. Knows no release and no recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from securetag.records import JsonObject
from securetag.training.rows import Row


def measure_verdicts(model: Any, rows: Sequence[Row]) -> JsonObject:
    """Return `validation_verdicts_right` and `validation_auc` over the rows that carry a verdict.

    The first is the share of rows whose verdict token is the likeliest given the answer up to it, the second
    the chance that a true positive's logit(true) − logit(false) is above a false positive's (ties half);
    None where no row, or no row of a label, decides anything. It reads one row at a time.
    """
    import torch

    deciding = [(row, row.verdict_index) for row in rows if row.verdict_index is not None]
    first = {row.label: row.input_ids[index] for row, index in deciding}
    if deciding:
        model.eval()
    correct = 0
    margins: dict[str, list[float]] = {"true_positive": [], "false_positive": []}
    with torch.no_grad():
        for row, index in deciding:
            ids = torch.tensor([row.input_ids[:index]], device=model.device)
            logits = model(input_ids=ids, logits_to_keep=1).logits[0, -1]
            correct += int(logits.argmax()) == row.input_ids[index]
            if row.label is not None and len(first) == 2:
                margin = logits[first["true_positive"]] - logits[first["false_positive"]]
                margins[row.label].append(float(margin))
    return {
        "validation_verdicts_right": correct / len(deciding) if deciding else None,
        "validation_auc": compute_auc(margins["true_positive"], margins["false_positive"]),
    }


def compute_auc(higher: Sequence[float], lower: Sequence[float]) -> float | None:
    """Return the share of pairs in which the score of `higher` is above that of `lower`; ties count half."""
    pairs = [(above > below) + (above == below) / 2 for above in higher for below in lower]
    return sum(pairs) / len(pairs) if pairs else None
