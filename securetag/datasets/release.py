"""The release directory: written whole or not at all, never changed, verified when read.

``data/releases/<first 12 hex of the digest>/``: train.jsonl, validation.jsonl, test.jsonl,
manifest.json, README.md (the card), dropped.parquet, lineage.parquet.

The digest covers schema version, parameters, inputs and the three JSONL files, and nothing that
depends on a place or a time. The JSONL rows name the Records that they come from; which finding of
which tenant under which consent a row goes back to stands in lineage.parquet alone, outside the
digest, so that no database id is trained on or published.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from securetag.datasets.filters import Drop
from securetag.errors import NotFoundError, ReleaseError
from securetag.records import Example, Origin, content_id

SCHEMA = 1
SPLITS = ("train", "validation", "test")
#: Hex digits of the digest that name the folder.
NAME_LENGTH = 12
_DRAFT = ".draft-"


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One JSONL file."""

    sha256: str
    rows: int
    bytes: int


class SourceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a source gave, for the card and for attribution."""

    name: str
    publisher: str
    editions: list[str]
    licences: list[str]
    urls: list[str]
    #: Active Records read, and rows in the release.
    records: int
    rows: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a release is made of. `digest` covers schema, params, inputs and the files' sha256."""

    schema: int
    digest: str
    params: dict[str, Any]
    #: What went in: digest of the Record ids of each source, of the harvest, of the rules; versions.
    inputs: dict[str, Any]
    files: dict[str, FileEntry]
    counts: dict[str, dict[str, int]]
    sources: list[SourceEntry]
    #: Outside the digest.
    code_version: str = ""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A release as read."""

    manifest: Manifest
    train: list[Example]
    validation: list[Example]
    test: list[Example]


def digest_of(params: Mapping[str, Any], inputs: Mapping[str, Any], files: Mapping[str, FileEntry]) -> str:
    """64 hex digits: sha256(canon({schema, params, inputs, sha256 of the three files}))."""
    shas = {name: files[name].sha256 for name in sorted(files)}
    return content_id({"schema": SCHEMA, "params": dict(params), "inputs": dict(inputs), "files": shas})


def published(example: Example) -> Example:
    """The row as it stands in JSONL: of its origins only the Records."""
    records = sorted({origin.record_id for origin in example.origins if origin.record_id})
    return msgspec.structs.replace(example, origins=[Origin(record_id=name) for name in records])


def encode(examples: Iterable[Example]) -> Iterator[bytes]:
    """JSONL lines, ordered by id. Key order is that of the struct, so bytes are stable."""
    for example in sorted(examples, key=lambda row: row.id):
        yield msgspec.json.encode(published(example)) + b"\n"


def write(
    examples: Sequence[Example],
    drops: Sequence[Drop],
    *,
    params: Mapping[str, Any],
    inputs: Mapping[str, Any],
    counts: dict[str, dict[str, int]],
    sources: list[SourceEntry],
    card: Any,
    releases_dir: Path,
    code_version: str,
) -> tuple[Path, Manifest]:
    """Write a release and return its folder. One that is there already is verified and kept.

    `card(manifest) -> str` writes the README. Raises ReleaseError when a folder of this name holds
    something else.
    """
    releases_dir.mkdir(parents=True, exist_ok=True)
    _sweep(releases_dir)
    draft = Path(tempfile.mkdtemp(prefix=f"{_DRAFT}{os.getpid()}-", dir=releases_dir))
    try:
        files = {f"{split}.jsonl": _write_split(draft, split, examples) for split in SPLITS}
        digest = digest_of(params, inputs, files)
        manifest = Manifest(
            schema=SCHEMA, digest=digest, params=dict(params), inputs=dict(inputs), files=files,
            counts=counts, sources=sources, code_version=code_version,
        )  # fmt: skip
        (draft / "manifest.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        )
        (draft / "README.md").write_text(card(manifest), encoding="utf-8")
        _write_tables(draft, examples, drops)
        return _settle(draft, releases_dir / digest[:NAME_LENGTH]), manifest
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_split(folder: Path, split: str, examples: Sequence[Example]) -> FileEntry:
    sha, rows, size = hashlib.sha256(), 0, 0
    with (folder / f"{split}.jsonl").open("wb") as out:
        for line in encode(example for example in examples if example.split == split):
            out.write(line)
            sha.update(line)
            rows, size = rows + 1, size + len(line)
    return FileEntry(sha256=sha.hexdigest(), rows=rows, bytes=size)


def _write_tables(folder: Path, examples: Sequence[Example], drops: Sequence[Drop]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number = pa.string(), pa.int64()
    dropped = [msgspec.to_builtins(drop) for drop in drops]
    schema = pa.schema([("reason", text), ("source", text), ("task", text), ("id", text), ("n", number)])
    pq.write_table(pa.Table.from_pylist(dropped, schema=schema), folder / "dropped.parquet")
    lineage = [
        {
            "example_id": example.id, "split": example.split, "task": example.task.value,
            "source": example.source,
            "licence": example.licence, "group": example.group, "record_id": origin.record_id,
            "finding_id": origin.finding_id, "tenant_id": origin.tenant_id, "consent_id": origin.consent_id,
        }
        for example in sorted(examples, key=lambda row: row.id)
        for origin in example.origins
    ]  # fmt: skip
    names = (
        "example_id", "split", "task", "source", "licence", "group", "record_id", "finding_id", "tenant_id",
        "consent_id",
    )  # fmt: skip
    table = pa.Table.from_pylist(lineage, schema=pa.schema([(name, text) for name in names]))
    pq.write_table(table, folder / "lineage.parquet")


def _settle(draft: Path, final: Path) -> Path:
    """Move a finished draft to its place; what stands there already must be the same release."""
    for file in draft.iterdir():
        _flush(file)
        file.chmod(0o444)
    if final.exists():
        verify(final)
        # Consents may have changed without changing a row: lineage follows the newest build.
        os.replace(draft / "lineage.parquet", final / "lineage.parquet")
        return final
    try:
        draft.rename(final)
    except OSError as error:
        if not final.exists():
            raise ReleaseError(f"the release can't be moved to {final}: {error}") from error
        verify(final)  # another process was faster, with the same content
    else:
        final.chmod(0o755)
    return final


def _flush(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())


def _sweep(releases_dir: Path) -> None:
    """Remove drafts of processes that are gone: they were killed while writing."""
    for folder in releases_dir.glob(f"{_DRAFT}*"):
        process = folder.name.removeprefix(_DRAFT).split("-", 1)[0]
        if not (process.isdigit() and Path(f"/proc/{process}").exists()):
            shutil.rmtree(folder, ignore_errors=True)


def manifest_of(path: Path) -> Manifest:
    """Raises NotFoundError where there is no release, ReleaseError for a manifest that can't be read."""
    try:
        content = (path / "manifest.json").read_bytes()
    except OSError as error:
        raise NotFoundError(f"there is no release at {path}", hint="See `securetag dataset list`.") from error
    try:
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise _broken(path, f"its manifest can't be read: {error}") from error


def verify(path: Path) -> Manifest:
    """Check a release against its digest. Raises ReleaseError saying what differs, NotFoundError."""
    manifest = manifest_of(path)
    if manifest.schema != SCHEMA:
        raise _broken(path, f"it has schema {manifest.schema}, this version reads {SCHEMA}")
    if set(manifest.files) != {f"{split}.jsonl" for split in SPLITS}:
        raise _broken(path, "its manifest doesn't name the three files")
    for name, entry in manifest.files.items():
        try:
            with (path / name).open("rb") as handle:
                found = hashlib.file_digest(handle, "sha256").hexdigest()
        except OSError as error:
            raise _broken(path, f"{name} can't be read: {error}") from error
        if found != entry.sha256:
            raise _broken(path, f"{name} was changed")
    if digest_of(manifest.params, manifest.inputs, manifest.files) != manifest.digest:
        raise _broken(path, "its manifest was changed")
    if path.name != manifest.digest[:NAME_LENGTH]:
        raise _broken(path, f"it is release {manifest.digest[:NAME_LENGTH]} under another name")
    return manifest


def read(path: Path) -> Release:
    """A verified release with its rows. Raises ReleaseError, NotFoundError."""
    manifest = verify(path)
    rows: dict[str, list[Example]] = {}
    for split in SPLITS:
        try:
            with (path / f"{split}.jsonl").open("rb") as lines:
                rows[split] = [msgspec.json.decode(line, type=Example) for line in lines]
        except msgspec.DecodeError as error:
            raise _broken(path, f"{split}.jsonl holds a row that can't be read: {error}") from error
    return Release(manifest=manifest, **rows)


def _broken(path: Path, why: str) -> ReleaseError:
    return ReleaseError(
        f"the release {path.name} is broken: {why}",
        hint="Delete the folder and build again: the same inputs give the same release.",
    )
