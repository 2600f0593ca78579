"""Securetag: the life of a fine-tuning dataset for application security."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from securetag.pipeline.notebook import (
        findings_frame,
        load_answers,
        load_evaluation,
        load_release,
        scans_frame,
    )

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "findings_frame",
    "load_answers",
    "load_evaluation",
    "load_release",
    "scans_frame",
]

#: Public name → module that holds it. Imported on first use (PEP 562), so that
#: `import securetag` costs the api and the worker nothing.
_LAZY = {name: "securetag.pipeline.notebook" for name in __all__ if name != "__version__"}


def __getattr__(name: str) -> object:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
