"""The wheel carries every file that the code reads, and the code finds them without a checkout."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest
import typer

from securetag.cli import app

CHECKOUT = Path(__file__).parents[1]
#: Run where only the unpacked wheel offers `securetag`. Prints what the code found.
PROBE = """
import json, sys
from pathlib import Path

import securetag
from securetag.cli.demo.shop import SHOP, TRUTH
from securetag.datasets.knowledge import mix
from securetag.db.migrations.script import FOLDER
from securetag.evaluation import gate
from securetag.extractors.catalog import load as load_catalog
from securetag.rules.pack import RULES, read_rules
from securetag.training import recipe

places = [securetag.__file__, SHOP, TRUTH, FOLDER, RULES, recipe.RECIPES_DIR, gate.GATES_DIR]
print(json.dumps({
    "places": [str(place) for place in places],
    "recipes": [recipe.load(recipe.find_recipe(name)).name for name in recipe.list_recipes()],
    "gates": [gate.load(gate.find_gate(name)).name for name in gate.list_gates()],
    "truth": TRUTH.read_text().count("\\n"),
    "shop": sorted(path.relative_to(SHOP).as_posix() for path in SHOP.rglob("*") if path.is_file()),
    "sql": sorted(path.name for path in FOLDER.iterdir()),
    "rules": len(read_rules(RULES)),
    "sources": len(load_catalog()),
    "mix": bool(mix.default_mix()),
}))
"""

COMMAND = "from securetag.cli import app; app()"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy: setuptools leaves folders beside what it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "project"
    shutil.copytree(
        CHECKOUT / "securetag", copy / "securetag", ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(CHECKOUT / name, copy / name)
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=copy, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def unpacked(wheel: Path) -> Path:
    target = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = {
        path.relative_to(CHECKOUT).as_posix()
        for path in (CHECKOUT / "securetag").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected - names == set()
    kinds = ("recipes/", "evaluation/gates/", "examples/bodega/", "rules/cases/", "db/migrations/sql/")
    counts = {kind: sum(name.startswith(f"securetag/{kind}") for name in names) for kind in kinds}
    assert min(counts.values()) >= 2, counts


@pytest.mark.slow
def test_the_code_finds_its_files_outside_a_checkout(unpacked: Path, tmp_path: Path) -> None:
    done = run(unpacked, tmp_path, "-c", PROBE)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [place for place in result["places"] if not place.startswith(f"{unpacked}/")] == []
    assert sorted(result["recipes"]) == [
        "securetag-embedded",
        "securetag-llama31-8b",
        "securetag-llama31-8b-2x",
        "securetag-llama31-8b-qlora",
    ]
    assert result["gates"] == ["demo", "production"]
    assert result["truth"] > 50
    assert {"shop/orders.py", "web/server.js", "ground_truth.csv"} <= set(result["shop"])
    assert [name for name in result["sql"] if name.startswith("0001")] == [
        "0001_tables.sql",
        "0001_tables_down.sql",
    ]
    assert result["rules"] > 20
    assert result["sources"] > 20
    assert result["mix"]


@pytest.mark.slow
def test_a_recipe_is_named_without_its_path(unpacked: Path, tmp_path: Path) -> None:
    """The command gets as far as the release, which isn't there."""
    done = run(unpacked, tmp_path, "-c", COMMAND, "train", "securetag-embedded", "--dataset", "0" * 12)
    assert done.returncode == 1
    assert "release" in done.stderr
    unknown = run(unpacked, tmp_path, "-c", COMMAND, "train", "securetag-ebedded", "--dataset", "0" * 12)
    assert unknown.returncode == 1
    assert "there is no recipe securetag-ebedded" in unknown.stderr
    assert (
        "llama31-8b-lora-2xh100, llama31-8b-lora-h100, llama31-8b-qlora-24gb, securetag-embedded"
        in unknown.stderr
    )


def test_make_wheels_promises_what_there_is() -> None:
    """The tool is not a part of CI: its commands and extras must exist, and its Records must be valid."""
    spec = importlib.util.spec_from_file_location("check_wheels", CHECKOUT / "tools" / "check_wheels.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = tool  # dataclasses look their module up
    spec.loader.exec_module(tool)
    assert len(tool.make_records()) == 8
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"])
    assert {*tool.PROMISES, *tool.MISSING, *tool.STAGES} <= extras
    for promise in chain(*tool.PROMISES.values(), *tool.MISSING.values()):
        if promise.command[:2] == ["-c", tool.COMMAND_LINE]:
            command = typer.main.get_command(app)
            for word in promise.command[2:]:
                if hasattr(command, "commands"):
                    command = command.commands[word]
        elif promise.command[0] == "-c":
            compile(promise.command[1], promise.label, "exec")
        else:
            assert importlib.util.find_spec(promise.command[1]) is not None, promise.command


def run(unpacked: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder`, with the wheel's package before any editable install of this checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SECURETAG_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
    )
