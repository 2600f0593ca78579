"""Several processes of one training run (DDP): which of them writes, and what they tell one another.

In a run of one process each of these does nothing. Only the main process, rank 0, may write to the run's
folder; transformers' own checkpoints have one file of random states for each rank beside what rank 0 writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")


def is_main() -> bool:
    """Return whether this is rank 0, as accelerate and torchrun count."""
    return int(os.environ.get("RANK", "0")) == 0


def count() -> int:
    """Return the number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join(*, on_cpu: bool) -> None:
    """Join the group of all processes, which the trainer then uses too."""
    if count() > 1:
        from accelerate import PartialState

        PartialState(cpu=on_cpu)


def share(value: T) -> T:
    """Return rank 0's `value` in every process. All of them must call this at the same place."""
    if count() == 1:
        return value
    from torch import distributed

    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def wait() -> None:
    """Wait until every process is here."""
    if count() > 1:
        from torch import distributed

        distributed.barrier()


def compute_in_forward(model: nn.Module, compute: Callable[[], Tensor]) -> Tensor:
    """Return what `compute` makes of the modules in `model`, within `model`'s own forward pass.

    DDP averages the gradients only of what its `forward` has computed; a loss that is made of the inner
    modules directly would leave each process with gradients of its own rows.
    """
    from torch.nn.parallel import DistributedDataParallel

    if not isinstance(model, DistributedDataParallel):
        return compute()
    inner = model.module
    forward = inner.forward

    def redirected() -> Tensor:
        inner.forward = forward
        return compute()

    inner.forward = redirected
    try:
        loss: Tensor = model()
    finally:
        inner.forward = forward
    return loss
