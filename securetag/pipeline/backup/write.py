"""Write a backup: the database's snapshot first, then the files that it names and those beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from securetag.errors import ConflictError, NotFoundError
from securetag.pipeline.backup.database import Snapshot, owner_dsn, snapshot
from securetag.pipeline.backup.manifest import (
    ARTIFACTS,
    DATABASE,
    ERASURES,
    FILE,
    MODELS,
    RELEASES,
    REVIEWS,
    FileEntry,
    Manifest,
    Progress,
    Table,
)
from securetag.serving.registry import FILE as REGISTRY
from securetag.serving.registry import Registry
from securetag.settings import Settings
from securetag.storage import Storage, storage_for
from securetag.system.clock import utc_timestamp
from securetag.system.files import draft_folder, write_atomic
from securetag.system.hashing import hash_file
from securetag.system.version import package_version


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds, or what a restore has brought back."""

    path: str
    #: Of the database's schema.
    revision: str
    created_at: str
    files: int
    bytes: int
    #: Table → rows.
    rows: dict[str, int]
    #: See `Manifest`.
    missing: list[str]
    outside: list[str]


def summarize(path: Path, manifest: Manifest) -> Summary:
    """Return what a manifest says, in figures."""
    return Summary(
        path=str(path),
        revision=manifest.revision,
        created_at=manifest.created_at,
        files=len(manifest.files),
        bytes=sum(entry.bytes for entry in manifest.files.values()),
        rows={table.name: table.rows for table in manifest.tables},
        missing=manifest.missing,
        outside=manifest.outside,
    )


def write_backup(settings: Settings, target: Path, progress: Progress) -> Summary:
    """Write the installation's data to a new folder `target`, whole or not at all.

    The services may run meanwhile. Raises ConflictError where `target` exists, NotFoundError without a
    database, DatabaseUnavailableError, OSError.
    """
    target = target.absolute()
    if target.exists() or target.is_symlink():
        raise ConflictError(f"{target} exists", hint="Name a folder that doesn't exist yet.")
    with owner_dsn(settings, must_exist=True) as dsn, draft_folder(target.parent) as draft:
        folder = draft.path
        created_at = utc_timestamp()
        with snapshot(dsn) as rows:
            tables = _copy_tables(rows, folder / DATABASE, progress)
            keys = rows.storage_keys()
            sequences = rows.sequences()
            revision = rows.revision
        storage = storage_for(settings.storage, settings.storage_credentials)
        missing = [
            key for key in keys if not _copy_artifact(storage, key, folder / ARTIFACTS / key, progress)
        ]
        outside = _copy_models(settings, folder / MODELS, progress)
        for part in (RELEASES, ERASURES):
            _copy_folder(settings.data / part, folder / part, progress)
        if (settings.data / REVIEWS).is_file():
            shutil.copyfile(settings.data / REVIEWS, folder / REVIEWS)
        manifest = Manifest(
            created_at=created_at,
            code_version=package_version(),
            revision=revision,
            tables=tables,
            sequences=sequences,
            files=_list_digests(folder, progress),
            missing=missing,
            outside=outside,
        ).sealed()
        write_atomic(folder / FILE, msgspec.json.format(msgspec.json.encode(manifest), indent=2))
        if not draft.commit(target, mode=0o700):
            raise ConflictError(f"{target} exists", hint="Name a folder that doesn't exist yet.")
    return summarize(target, manifest)


def _copy_tables(rows: Snapshot, folder: Path, progress: Progress) -> list[Table]:
    folder.mkdir()
    return [rows.write_table(name, folder / f"{name}.copy", progress) for name in rows.table_names()]


def _copy_artifact(storage: Storage, key: str, target: Path, progress: Progress) -> bool:
    """Copy one stored file; return False where it was deleted since the snapshot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    try:
        chunks = storage.chunks(key)
    except NotFoundError:
        return False
    with target.open("wb") as out:
        for chunk in chunks:
            done += out.write(chunk)
            progress(f"artifacts: {key}", done)
    return True


def _copy_models(settings: Settings, folder: Path, progress: Progress) -> list[str]:
    """Copy the registry and the files that it names in the models folder; return the paths elsewhere."""
    registry = Registry(settings.models_dir)
    if not (settings.models_dir / REGISTRY).is_file():
        return []
    folder.mkdir()
    # First: models never change and are never deleted, so each that this copy names is there.
    shutil.copyfile(settings.models_dir / REGISTRY, folder / REGISTRY)
    outside = []
    for entry in Registry(folder).list():
        source = registry.path(entry)
        if not source.is_relative_to(settings.models_dir):
            outside.append(str(source))
            continue
        progress(f"models: {entry.path}", 0)
        target = folder / source.relative_to(settings.models_dir)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return outside


def _copy_folder(source: Path, target: Path, progress: Progress) -> None:
    """Copy finished files and folders; hidden ones are drafts and locks."""
    if source.is_dir():
        progress(source.name, 0)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*"), copy_function=shutil.copyfile)


def _list_digests(folder: Path, progress: Progress) -> dict[str, FileEntry]:
    entries = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        progress(f"digests: {name}", 0)
        entries[name] = FileEntry(hash_file(path), path.stat().st_size)
    return entries
