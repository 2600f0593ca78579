"""The machine that a run trains on, as its manifest names it."""

from __future__ import annotations

import os
import platform
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from securetag.records import JsonObject
from securetag.settings import cores
from securetag.training.recipe import Recipe

#: Tokens of a row up to which the plain attention keeps little memory: it holds a weight for each two tokens.
MAX_PLAIN_TOKENS = 512


def describe_hardware(recipe: Recipe) -> JsonObject:
    """Return processor, cores, memory and, where the recipe trains on GPUs, their name and number."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    described: JsonObject = {
        "cpu": _find_processor(),
        "cores": cores(),
        "memory_gib": round(memory / 2**30, 1),
        "matmul_precision": choose_matmul_precision(recipe),
        "gpu": None,
        "gpus": 0,
    }
    if recipe.device == "cuda":
        import torch

        described |= {"gpu": torch.cuda.get_device_name(), "gpus": recipe.gpus}
    return described


def choose_matmul_precision(recipe: Recipe) -> str:
    """Return torch's precision of float32 matrix products for a recipe on this machine.

    On a CPU without AMX products in bfloat16 would be emulated, which is slower.
    """
    import torch

    if recipe.device == "cpu" and recipe.matmul_precision == "medium":
        return "medium" if torch.cpu.get_capabilities().get("amx_bf16") else "highest"
    return torch.get_float32_matmul_precision()


def choose_attention(recipe: Recipe) -> AbstractContextManager[None]:
    """Return a context in which attention of short rows on a CPU takes torch's plain implementation.

    Its fused one took 74 ms of CPU, forward and back, for a layer of 4 joined pairs of 190 tokens; the plain
    one 34.
    """
    if recipe.device != "cpu" or recipe.max_tokens > MAX_PLAIN_TOKENS:
        return nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    context: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return context


def _find_processor() -> str:
    """Return the processor's name; its architecture where the system doesn't tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.machine()
