"""The machine that a run trains on, as its manifest names it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from securetag.records import JsonObject
from securetag.settings import cores
from securetag.training.recipe import Recipe


def describe_hardware(recipe: Recipe) -> JsonObject:
    """Return processor, cores, memory and, where the recipe trains on GPUs, their name and number."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    described: JsonObject = {
        "cpu": _find_processor(),
        "cores": cores(),
        "memory_gib": round(memory / 2**30, 1),
        "gpu": None,
        "gpus": 0,
    }
    if recipe.device == "cuda":
        import torch

        described |= {"gpu": torch.cuda.get_device_name(), "gpus": recipe.gpus}
    return described


def _find_processor() -> str:
    """Return the processor's name; its architecture where the system doesn't tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.machine()
