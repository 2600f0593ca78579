"""Load the catalog: ours from `catalog.yaml`, and a user's rows from a second file of the same schema."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import msgspec
import yaml

from securetag.errors import NotFoundError, SettingsError
from securetag.extractors.catalog.source import Source
from securetag.settings import Settings


def load(extra: Path | None = None) -> dict[str, Source]:
    """Return name → source of our catalog and of the user's catalog `extra`.

    Raises SettingsError for a file that can't be read, doesn't fit the schema, or names a row that doesn't
    exist.
    """
    sources = dict(_read(Path(__file__).with_name("catalog.yaml")))
    for name, row in _read(extra).items() if extra else ():
        if name in sources:
            raise SettingsError(f"catalog {extra}: {name} is a name of the built-in catalog")
        sources[name] = _complete_row(row, extra.parent)  # type: ignore[union-attr]
    for row in sources.values():
        for name in row.supersedes:
            if name not in sources:
                raise SettingsError(f"catalog: {row.name} supersedes {name}, which is no row")
        for name in row.records:
            if name not in sources or sources[name].records:
                raise SettingsError(f"catalog: {row.name} is made of {name}, which is no row with files")
    return sources


def get_source(name: str, settings: Settings) -> Source:
    """Return the row of that name. Raises NotFoundError, whose hint lists all names."""
    sources = load(settings.catalog)
    if name not in sources:
        raise NotFoundError(
            f"no source is named {name}", hint=f"`securetag source list` knows: {', '.join(sorted(sources))}."
        )
    return sources[name]


def _complete_row(row: Source, base: Path) -> Source:
    """Return a user's row with its defaults.

    Its Records are scrubbed unless they are made of others, and its folder is resolved against `base`.
    """
    row = msgspec.structs.replace(row, scrub=not row.records if row.scrub is None else row.scrub)
    if row.folder is None or Path(row.folder.path).is_absolute():
        return row
    folder = msgspec.structs.replace(row.folder, path=str(base / row.folder.path))
    return msgspec.structs.replace(row, folder=folder)


def _read(path: Path) -> dict[str, Source]:
    try:
        return _parse(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise SettingsError(
            f"catalog {path}: {error.strerror}", hint="SECURETAG_CATALOG names a file of catalog rows."
        ) from error


@lru_cache(maxsize=8)
def _parse(path: Path, _modified_ns: int) -> dict[str, Source]:
    try:
        rows = msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), list[Source])
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(
            f"catalog {path}: {error}", hint="docs/sources.md shows what a catalog row holds."
        ) from error
    sources: dict[str, Source] = {}
    for row in rows:
        if row.name in sources:
            raise SettingsError(f"catalog {path}: two rows are named {row.name}")
        if not row.methods:
            raise SettingsError(f"catalog {path}: {row.name} names no way to have it")
        sources[row.name] = row
    return sources
