"""How often a model in training finds the token that tells a triage answer's verdict.

The loss hides it: of an answer's nineteen tokens one tells the verdict, the others follow from the form,
which a hundred rows teach. Knows no release and no recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from securetag.training.rows import Row


def measure_verdict_accuracy(model: Any, rows: Sequence[Row]) -> float | None:
    """Return the share of `rows` whose verdict token the model predicts, given the answer up to it.

    None where no row decides anything. It reads one row at a time: a few dozen rows are meant.
    """
    import torch

    deciding = [row for row in rows if row.verdict_index is not None]
    if not deciding:
        return None
    model.eval()
    correct = 0
    with torch.no_grad():
        for row in deciding:
            ids = torch.tensor([row.input_ids[: row.verdict_index]], device=model.device)
            likeliest = int(model(input_ids=ids, logits_to_keep=1).logits[0, -1].argmax())
            correct += likeliest == row.input_ids[row.verdict_index or 0]
    return correct / len(deciding)
