"""Restore a backup into an empty installation: everything is checked before anything is written.

Files are written first and the database last, in one transaction: while that hasn't happened, the same
restore can be started again, and takes the files that are there already for what they are.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from securetag.db import upgrade
from securetag.errors import ConflictError
from securetag.pipeline.backup import manifest as manifests
from securetag.pipeline.backup.database import CHUNK, load, owner_dsn, refuse_rows, row_counts
from securetag.pipeline.backup.manifest import (
    ARTIFACTS,
    ERASURES,
    MODELS,
    RELEASES,
    REVIEWS,
    Manifest,
    Progress,
)
from securetag.pipeline.backup.write import Summary, summarize
from securetag.serving.registry import FILE as REGISTRY
from securetag.settings import Settings
from securetag.storage import Storage, storage_for
from securetag.system.files import PRIVATE, draft_folder, replace_file
from securetag.system.hashing import hash_chunks, hash_file


def restore(settings: Settings, folder: Path, progress: Progress) -> Summary:
    """Restore the backup in `folder`. The services don't run meanwhile; PostgreSQL may.

    Raises NotFoundError, InputError for a damaged backup, ConflictError where the installation isn't empty
    or the backup is newer than this version; nothing is written then.
    """
    manifest = manifests.read_manifest(folder)
    if not upgrade.has_revision(manifest.revision):
        raise ConflictError(
            f"the backup's schema {manifest.revision} is newer than this version of Securetag",
            hint=f"Restore it with version {manifest.code_version} or newer.",
        )
    manifests.verify(folder, manifest, progress)
    storage = storage_for(settings.storage, settings.storage_credentials)
    _refuse_other_files(settings, manifest, storage)
    with owner_dsn(settings, must_exist=False) as dsn:
        refuse_rows(row_counts(dsn))
        for name in _part(manifest, ARTIFACTS):
            key = name.removeprefix(f"{ARTIFACTS}/")
            if not storage.exists(key):
                progress(f"artifacts: {key}", 0)
                storage.put(key, _chunks(folder / name), limit=manifest.files[name].bytes)
        _restore_releases(settings, folder, manifest, progress)
        # The registry last: what it names is there then.
        models = sorted(_part(manifest, MODELS), key=lambda name: name.endswith(REGISTRY))
        for name in [*models, *_part(manifest, ERASURES), *_part(manifest, REVIEWS)]:
            progress(name, 0)
            _copy(folder / name, _place(settings, name))
        load(dsn, manifest, folder, progress)
    return summarize(folder.absolute(), manifest)


def _refuse_other_files(settings: Settings, manifest: Manifest, storage: Storage) -> None:
    """Raise ConflictError where the installation has a file that isn't the backup's."""
    for key in storage.all_keys():
        sha256 = hash_chunks(storage.chunks(key))
        _refuse_other(f"{settings.storage}/{key}", manifest, f"{ARTIFACTS}/{key}", sha256)
    for part in (MODELS, RELEASES, ERASURES, REVIEWS):
        place = _place(settings, part)
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            hidden = any(name.startswith(".") for name in path.relative_to(place).parts)
            if path.is_file() and not hidden:  # hidden ones are locks and drafts
                name = path.relative_to(place.parent).as_posix()
                _refuse_other(str(path), manifest, name, hash_file(path))


def _refuse_other(place: str, manifest: Manifest, name: str, sha256: str) -> None:
    entry = manifest.files.get(name)
    if entry is None or entry.sha256 != sha256:
        raise ConflictError(
            f"the installation isn't empty: {place} is not from this backup",
            hint="Restore into an empty SECURETAG_HOME, SECURETAG_DATA and storage.",
        )


def _restore_releases(settings: Settings, folder: Path, manifest: Manifest, progress: Progress) -> None:
    """Each release as a whole, read-only as it was."""
    releases: dict[str, list[str]] = defaultdict(list)
    for name in _part(manifest, RELEASES):
        releases[name.split("/")[1]].append(name)
    for release, names in releases.items():
        progress(f"{RELEASES}: {release}", 0)
        with draft_folder(settings.releases_dir) as draft:
            for name in names:
                target = draft.path.joinpath(*name.split("/")[2:])
                _copy(folder / name, target)
            draft.commit(settings.releases_dir / release, read_only=True)


def _place(settings: Settings, name: str) -> Path:
    """Return where a file of the backup belongs, or a part as a whole."""
    part, _, rest = name.partition("/")
    return (settings.models_dir if part == MODELS else settings.data / part) / rest


def _part(manifest: Manifest, part: str) -> list[str]:
    return [name for name in manifest.files if name.split("/")[0] == part]


def _copy(source: Path, target: Path) -> None:
    with replace_file(target, mode=PRIVATE) as temporary:
        shutil.copyfile(source, temporary)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while block := source.read(CHUNK):
            yield block
