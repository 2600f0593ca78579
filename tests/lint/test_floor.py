"""What is pinned installs on the first release of the Python that we promise, not just on this one."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

from packaging.specifiers import SpecifierSet

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_every_pinned_package_takes_the_oldest_python_that_we_promise() -> None:
    promised = tomllib.loads(PROJECT.read_text())["project"]["requires-python"]
    floor = promised.removeprefix(">=") + ".0"
    too_new = [
        f"{found.metadata['Name']} {found.version} needs Python {wanted}"
        for found in importlib.metadata.distributions()
        if (wanted := found.metadata.get("Requires-Python")) and floor not in SpecifierSet(wanted)
    ]
    assert too_new == []
