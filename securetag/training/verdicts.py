"""How often a model in training finds the token that tells a triage answer's verdict.

The loss hides it: of an answer's nineteen tokens one tells the verdict, the others follow from the form,
which a hundred rows teach. Knows no release and no recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from securetag.training.rows import Row


def right(model: Any, rows: Sequence[Row]) -> float | None:
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
