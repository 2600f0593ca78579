"""What the services may not load: they rest small, and AGPL code stays out of them."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import securetag

HEAVY = [
    "torch",
    "transformers",
    "trl",
    "peft",
    "dagster",
    "pymupdf",
    "pyarrow",
    "pandas",
    "sklearn",
    "django",
]


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


def loaded(names: list[str], looked_for: list[str] = HEAVY) -> set[str]:
    """Return which of `looked_for` a fresh interpreter holds after importing `names`."""
    code = (
        "import importlib, json, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print(json.dumps([n for n in {looked_for!r} if n in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_services_load_nothing_heavy() -> None:
    names: list[str] = []
    for package in ("api", "worker", "scanning", "db"):
        assert len(modules(package)) > 3, "an empty list would prove nothing"
        names += modules(package)
    assert loaded(names) == set()


def test_the_command_lines_help_loads_nothing_heavy() -> None:
    assert loaded(["securetag.cli"]) == set()


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        pytest.param(
            "securetag.pipeline.release", {"sqlalchemy", "psycopg", "alembic", "dagster"}, id="build"
        ),
        pytest.param("securetag.pipeline.evaluate", {"sqlalchemy", "dagster", "torch"}, id="evaluate"),
        pytest.param("securetag.pipeline.train", {"sqlalchemy", "dagster", "torch"}, id="train"),
        pytest.param("securetag.pipeline.extract", {"sqlalchemy", "dagster", "torch"}, id="extract"),
    ],
)
def test_a_step_of_the_pipeline_loads_nothing_of_another(module: str, absent: set[str]) -> None:
    assert loaded([module], sorted(absent)) == set()


def test_the_instrument_sees_what_it_looks_for() -> None:
    assert loaded(["pandas"]) >= {"pandas"}
