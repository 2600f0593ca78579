"""What the services may not load: they rest small, and AGPL code stays out of them."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import securetag

HEAVY = ["torch", "transformers", "trl", "peft", "dagster", "pymupdf", "pyarrow", "pandas", "sklearn"]


def modules(package: str) -> list[str]:
    """Every module below a package, without importing it."""
    root = securetag.__path__
    found = [
        m.name
        for m in pkgutil.walk_packages(root, "securetag.")
        if m.name.startswith(f"securetag.{package}.")
    ]
    # Neither is imported by a service: a main module runs, Alembic's environment needs its context.
    left_out = ("__main__", "migrations.env")
    return [f"securetag.{package}", *(name for name in found if not name.endswith(left_out))]


def loaded(names: list[str]) -> set[str]:
    """Which of HEAVY a fresh interpreter holds after importing `names`."""
    code = (
        "import importlib, json, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("package", ["api", "worker", "scanning", "db"])
def test_services_load_nothing_heavy(package: str) -> None:
    names = modules(package)
    assert len(names) > 3, "an empty list would prove nothing"
    assert loaded(names) == set()


def test_the_command_lines_help_loads_nothing_heavy() -> None:
    assert loaded(["securetag.cli"]) == set()


def test_the_instrument_sees_what_it_looks_for() -> None:
    assert loaded(["pandas"]) >= {"pandas"}
