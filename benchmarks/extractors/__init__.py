"""Readers beside their peers, one module a format, all in one run."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from benchmarks.figure import Figure


def measure() -> Iterator[Figure]:
    """The figures of every module of this package, in the order of their names."""
    for module in pkgutil.iter_modules(__path__):
        yield from importlib.import_module(f"{__name__}.{module.name}").measure()
