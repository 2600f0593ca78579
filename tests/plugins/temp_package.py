"""Packages for tests that extend Securetag: installed in a temporary folder, as pip would do it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path


def install_package(folder: Path, pyproject: str, files: Mapping[str, str]) -> None:
    """Write the files of a package and its `.dist-info` with the entry points of `pyproject` to `folder`.

    `folder` must be on `sys.path`.
    """
    project = tomllib.loads(pyproject)["project"]
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    name, version = project["name"], project["version"]
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines: list[str] = []
    for group, names in project.get("entry-points", {}).items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in names.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
