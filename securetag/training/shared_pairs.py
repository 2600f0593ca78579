"""Read what both members of a contrastive pair begin with once.

Members of a pair are the same code up to the line in which they differ. A sequence of what they share, the
rest of the first and the rest of the second, with a mask that hides the first's rest from the second and
positions that go on after what is shared, gives each token the state that it has in its own row. Knows no
release and no recipe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from securetag.training.rows import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

#: Part of the tokens, padding included, that must be saved for rows to be joined.
MIN_SAVED = 0.1


def join_pairs(inputs: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Return a micro-batch of half as many rows, each of two neighbors; None where that saves little.

    Input: `input_ids`, `labels`, `attention_mask`, each (rows, tokens), padded on the right. Output:
    `input_ids`, `labels`, `position_ids` (pairs, tokens) and `attention_mask` (pairs, 1, tokens, tokens),
    which is True where a token sees another. Labels stay with their tokens; none is scored across a seam.
    """
    import torch

    ids, labels, mask = inputs["input_ids"], inputs["labels"], inputs.get("attention_mask")
    if mask is None or mask.dim() != 2 or len(ids) % 2 or "position_ids" in inputs:
        return None
    lengths: list[int] = mask.sum(dim=1).tolist()
    shared = _count_shared(ids, labels, mask)
    widths = [a + b - same for a, b, same in zip(lengths[::2], lengths[1::2], shared, strict=True)]
    width = max(widths)
    if len(widths) * width > (1 - MIN_SAVED) * ids.numel():
        return None
    joined = ids.new_zeros((len(widths), width))
    targets = labels.new_full((len(widths), width), IGNORED)
    positions = ids.new_zeros((len(widths), width))
    sees = torch.ones((width, width), dtype=torch.bool, device=ids.device).tril().repeat(len(widths), 1, 1)
    for pair, (same, end) in enumerate(zip(shared, widths, strict=True)):
        first, second = 2 * pair, 2 * pair + 1
        seam = lengths[first]
        for whole, rows in ((joined, ids), (targets, labels)):
            whole[pair, :seam] = rows[first, :seam]
            whole[pair, seam:end] = rows[second, same : lengths[second]]
        positions[pair, :seam] = torch.arange(seam, device=ids.device)
        positions[pair, seam:end] = torch.arange(same, lengths[second], device=ids.device)
        sees[pair, seam:end, same:seam] = False
    return {
        "input_ids": joined,
        "labels": targets,
        "position_ids": positions,
        "attention_mask": sees[:, None],
    }


def _count_shared(ids: Tensor, labels: Tensor, mask: Tensor) -> list[int]:
    """Return how many tokens each two neighbors begin with alike, up to the token before the first label.

    A label is scored at the token before it, which after a seam would be another row's.
    """
    real = mask.bool()
    equal = (ids[::2] == ids[1::2]) & real[::2] & real[1::2]
    unlabelled = (labels == IGNORED).long().cumprod(dim=1).sum(dim=1)
    limit = (unlabelled.reshape(-1, 2).min(dim=1).values - 1).clamp(min=0)
    counts: list[int] = equal.long().cumprod(dim=1).sum(dim=1).minimum(limit).tolist()
    return counts
