"""Make the manifest of a mirror from the files of a folder: which URL of the catalog each one replaces."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from securetag.errors import InputError
from securetag.extractors.catalog.mirror_manifest import MirrorEntry, MirrorManifest
from securetag.extractors.catalog.source import Source
from securetag.system.files import write_atomic
from securetag.system.hashing import hash_file
from securetag.system.zips import DAMAGED_ZIP

MANIFEST = "MANIFEST.json"


class CreatedMirror(msgspec.Struct, frozen=True):
    """What `create_mirror` wrote: the entries, and the files that no row of the catalog asks for."""

    entries: list[MirrorEntry]
    unmatched: list[str]


def create_mirror(folder: Path, sources: Iterable[Source]) -> CreatedMirror:
    """Write `MANIFEST.json` into `folder` for the files in it.

    The URL of a file is that of the present manifest, else `https://` and its path (as `wget -x` saves
    files), else the one URL of the catalog that ends with its name. Other files are left out and returned.

    Raises InputError where `folder` is no folder or no file of it is known.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    rows = list(sources)
    previous = _read_previous(folder)
    by_name = _index_urls(rows)
    entries, unmatched = [], []
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    for path in paths:
        name = path.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        url = previous[name].url if name in previous else _find_url(name, rows, by_name)
        if url:
            entries.append(_make_entry(path, name, url, previous.get(name), rows))
        else:
            unmatched.append(name)
    if not entries:
        raise InputError(
            f"{folder}: no file has the name of a URL in the catalog",
            hint="Save files as <host>/<path>, as `wget -x URL` does.",
        )
    document = {"schema": 1, "files": [_to_dict(entry, folder) for entry in entries]}
    write_atomic(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
    return CreatedMirror(entries, unmatched)


def _read_previous(folder: Path) -> dict[str, MirrorEntry]:
    if not (folder / MANIFEST).is_file():
        return {}
    return {entry.path: entry for entry in MirrorManifest.load(folder).entries}


def _list_patterns(source: Source) -> Iterator[str]:
    """Yield the URLs, with or without wildcards, of which a source takes files."""
    yield from source.mirror
    yield from source.mirror_companions
    yield from (method.url for method in source.network if not method.api)


def _index_urls(sources: list[Source]) -> dict[str, set[str]]:
    """Return last segment → URLs of the catalog without wildcards."""
    urls: defaultdict[str, set[str]] = defaultdict(set)
    for source in sources:
        for pattern in _list_patterns(source):
            if not any(mark in pattern for mark in "*?["):
                urls[pattern.rsplit("/", 1)[-1]].add(pattern)
    return urls


def _find_url(name: str, sources: list[Source], by_name: dict[str, set[str]]) -> str:
    by_path = f"https://{name}"
    if any(fnmatchcase(by_path, pattern) for source in sources for pattern in _list_patterns(source)):
        return by_path
    candidates = by_name.get(name.rsplit("/", 1)[-1], set())
    return next(iter(candidates)) if len(candidates) == 1 else ""


def _make_entry(
    path: Path, name: str, url: str, previous: MirrorEntry | None, sources: list[Source]
) -> MirrorEntry:
    source = next(
        (row for row in sources if any(fnmatchcase(url, glob) for glob in _list_patterns(row))), None
    )
    entry = previous or MirrorEntry(
        path=name,
        url=url,
        sha256="",
        licence=source.licence if source else "",
        version=source.edition if source else "",
    )
    member = _find_only_member(path) if path.suffix == ".zip" and not url.endswith(".zip") else None
    is_packed = path.suffix == ".gz" and not url.endswith(".gz") and _is_gzip(path)
    return msgspec.structs.replace(
        entry,
        sha256=hash_file(path),
        archive_member=member,
        content_encoding="gzip" if is_packed else None,
        member_sha256=None,
    )


def _find_only_member(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except DAMAGED_ZIP:
        return None
    return names[0] if len(names) == 1 else None


def _is_gzip(path: Path) -> bool:
    try:
        with gzip.open(path) as stream:
            stream.read(1)
    except (OSError, EOFError, zlib.error):
        return False
    return True


def _to_dict(entry: MirrorEntry, folder: Path) -> dict[str, object]:
    fields = {"bytes": (folder / entry.path).stat().st_size, **msgspec.to_builtins(entry)}
    return {name: value for name, value in fields.items() if value not in (None, "")}
