"""Write a package of a third party into a folder, as an installation leaves it on `sys.path`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_package(
    folder: Path, name: str, modules: Mapping[str, str], entry_points: Mapping[str, Mapping[str, str]]
) -> Path:
    """Write `modules` (file name → source) and the metadata of package `name` 1.0; return `folder`.

    `entry_points` is group → name → "module:attribute".
    """
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines: list[str] = []
    for group, names in entry_points.items():
        lines += [f"[{group}]", *(f"{entry} = {value}" for entry, value in names.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines))
    for file, source in modules.items():
        (folder / file).write_text(source)
    return folder
