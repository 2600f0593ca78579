"""YAML files that the package carries, found by name: recipes of trainings, gates of models."""

from __future__ import annotations

from pathlib import Path

from securetag.errors import SettingsError


def list_names(folder: Path) -> list[str]:
    """Return the names of the YAML files of a folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def find_yaml(kind: str, name: str, folder: Path) -> Path:
    """Return a YAML file, given as a path or by the name of one in the package's folder.

    Raises SettingsError where there is neither.
    """
    for path in (Path(name), folder / f"{name}.yaml"):
        if path.is_file():
            return path
    raise SettingsError(
        f"there is no {kind} {name}", hint=f"Give a YAML file, or one of: {', '.join(list_names(folder))}."
    )
