"""The release directory: written whole or not at all, never changed, verified when read.

``data/releases/<first 12 hex of the digest>/``: train.jsonl, validation.jsonl, test.jsonl,
manifest.json, README.md (the card), NOTICE, its pictures, dropped.parquet, lineage.parquet, the rows again as
Parquet (`shards`), croissant.json and bom.cdx.json (`metadata`).

The digest covers schema version, parameters, inputs and the three JSONL files, and nothing that
depends on a place or a time. The JSONL rows name the Records that they come from; which finding of
which tenant under which consent a row goes back to is in lineage.parquet alone, outside the
digest, so that no database id is trained on or published.

What the digest doesn't cover, the manifest's seal does: the sha256 of every other file, and the
manifest's own words. A release that was built again under other consents has the same rows; its new
lineage is then added as ``lineage-<12 hex of its sha256>.parquet``, so that nothing is forgotten and
nothing that was written is changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import rfc8785

from securetag.datasets.drops import Drop
from securetag.datasets.releases import lineage, metadata, shards
from securetag.datasets.releases.manifest import NAME_LENGTH, SPLITS, FileEntry, Manifest, SourceEntry
from securetag.datasets.releases.notice import NOTICE, render_notice
from securetag.errors import NotFoundError, ReleaseError
from securetag.records import Example, Origin, content_id
from securetag.system.files import Draft, draft_folder
from securetag.system.hashing import hash_file

SCHEMA = 2
MANIFEST = "manifest.json"


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A release as read."""

    manifest: Manifest
    train: list[Example]
    validation: list[Example]
    test: list[Example]


def digest_of(
    params: Mapping[str, object], inputs: Mapping[str, object], files: Mapping[str, FileEntry]
) -> str:
    """64 hex digits: sha256(canon({schema, params, inputs, sha256 of the three files}))."""
    shas = {name: files[name].sha256 for name in sorted(files)}
    return content_id({"schema": SCHEMA, "params": dict(params), "inputs": dict(inputs), "files": shas})


def as_published(example: Example) -> Example:
    """Return the row as JSONL has it: of its origins only the Records."""
    records = sorted({origin.record_id for origin in example.origins if origin.record_id})
    return msgspec.structs.replace(example, origins=[Origin(record_id=name) for name in records])


def encode_rows(examples: Iterable[Example]) -> Iterator[bytes]:
    """JSONL lines, ordered by id. Key order is that of the struct, so bytes are stable."""
    for example in sorted(examples, key=lambda row: row.id):
        yield msgspec.json.encode(as_published(example)) + b"\n"


def write_release(
    examples: Sequence[Example],
    drops: Sequence[Drop],
    *,
    params: Mapping[str, object],
    inputs: Mapping[str, object],
    counts: dict[str, dict[str, int]],
    sources: list[SourceEntry],
    card: Callable[[Manifest], str],
    pictures: Mapping[str, bytes] | None = None,
    releases_dir: Path,
    code_version: str,
) -> tuple[Path, Manifest]:
    """Write a release and return its folder. One that is there already is verified and kept.

    `card(manifest) -> str` writes the README; `pictures` are files beside it. Raises
    ReleaseError when a folder of this name holds something else.
    """
    with draft_folder(releases_dir) as draft:
        folder = draft.path
        files = {f"{split}.jsonl": _write_split(folder, split, examples) for split in SPLITS}
        for split in SPLITS:
            shards.write_shards(folder, split)
        digest = digest_of(params, inputs, files)
        manifest = Manifest(
            schema=SCHEMA,
            digest=digest,
            params=dict(params),
            inputs=dict(inputs),
            files=files,
            counts=counts,
            sources=sources,
            code_version=code_version,
        )
        (folder / "README.md").write_text(card(manifest), encoding="utf-8")
        for name, content in (pictures or {}).items():
            (folder / name).write_bytes(content)
        _write_dropped(folder / "dropped.parquet", drops)
        lineage.write_lineage(folder / lineage.FILE, examples)
        (folder / NOTICE).write_text(render_notice(manifest), encoding="utf-8")
        metadata.write_metadata(folder, manifest)
        manifest = _sealed(manifest, folder)
        (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        return _commit(draft, releases_dir / digest[:NAME_LENGTH]), manifest


def _sealed(manifest: Manifest, folder: Path) -> Manifest:
    others = {
        path.relative_to(folder).as_posix(): hash_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in manifest.files
    }
    whole = msgspec.structs.replace(manifest, sidecars=others)
    return msgspec.structs.replace(whole, seal=_seal(whole))


def _seal(manifest: Manifest) -> str:
    return content_id(msgspec.structs.replace(manifest, seal=""))


def _write_split(folder: Path, split: str, examples: Sequence[Example]) -> FileEntry:
    sha, rows, size = hashlib.sha256(), 0, 0
    with (folder / f"{split}.jsonl").open("wb") as out:
        for line in encode_rows(example for example in examples if example.split == split):
            out.write(line)
            sha.update(line)
            rows, size = rows + 1, size + len(line)
    return FileEntry(sha256=sha.hexdigest(), rows=rows, bytes=size)


def _write_dropped(path: Path, drops: Sequence[Drop]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number = pa.string(), pa.int64()
    rows = [msgspec.to_builtins(drop) for drop in drops]
    names = ("reason", "source", "task", "id", "against", "detail")
    schema = pa.schema([*((name, text) for name in names), ("n", number)])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def _commit(draft: Draft, final: Path) -> Path:
    """Move a finished draft to its place; what is there already must be the same release."""
    try:
        if draft.commit(final, read_only=True):
            return final
    except OSError as error:
        raise ReleaseError(
            f"the release can't be moved to {final}: {error}", hint="Free the name or the disk, build again."
        ) from error
    try:
        present = verify_release(final)
    except NotFoundError as error:
        raise _broken(final, "its folder holds no manifest") from error
    # The rows are the same, but they may have come under other consents this time.
    sha = hash_file(draft.path / lineage.FILE)
    if sha != present.sidecars[lineage.FILE]:
        (draft.path / lineage.FILE).rename(final / lineage.addition_name(sha))
    return final


def read_manifest(path: Path) -> Manifest:
    """Raises NotFoundError where there is no release, ReleaseError for a manifest that can't be read."""
    try:
        content = (path / MANIFEST).read_bytes()
    except OSError as error:
        raise NotFoundError(f"there is no release at {path}", hint="See `securetag dataset list`.") from error
    try:
        schema = msgspec.json.decode(content, type=_Schema).schema
        if schema != SCHEMA:
            raise _broken(path, f"it has schema {schema}, this version reads {SCHEMA}")
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _broken(path, f"its manifest can't be read: {error}") from error


class _Schema(msgspec.Struct):
    schema: int


def find_release(name: str, releases_dir: Path) -> Path:
    """Return the folder of a release by its path or by the beginning of its digest. Raises NotFoundError."""
    if (Path(name) / MANIFEST).is_file():
        return Path(name).absolute()
    manifests = releases_dir.glob(f"*/{MANIFEST}")
    folders = [path.parent for path in manifests if path.parent.name.startswith(name[:12])]
    if name and len(folders) == 1:
        return folders[0]
    raise NotFoundError(
        f"{len(folders)} releases begin with {name!r}", hint="`securetag dataset list` names them."
    )


def verify_release(path: Path) -> Manifest:
    """Check every file of a release. Raises ReleaseError saying what differs, NotFoundError.

    The rows are compared with the digest that names the folder, the other files with the
    manifest's seal.
    """
    manifest = read_manifest(path)
    if set(manifest.files) != {f"{split}.jsonl" for split in SPLITS}:
        raise _broken(path, "its manifest doesn't name the three files")
    try:
        digest, seal = digest_of(manifest.params, manifest.inputs, manifest.files), _seal(manifest)
    except rfc8785.CanonicalizationError as error:
        raise _broken(path, f"its manifest was changed: {error}") from error
    if digest != manifest.digest or seal != manifest.seal or lineage.FILE not in manifest.sidecars:
        raise _broken(path, "its manifest was changed")
    if path.name != manifest.digest[:NAME_LENGTH]:
        raise _broken(path, f"it is release {manifest.digest[:NAME_LENGTH]} under another name")
    expected = {name: entry.sha256 for name, entry in manifest.files.items()} | manifest.sidecars
    # Listed before the additions: another build may add its lineage while this one reads.
    present = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    additions = {file.name: file for file in lineage.list_additions(path)}
    for name, sha in expected.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise _broken(path, "its manifest names a file outside the release")
        try:
            actual = hash_file(path / name)
        except OSError as error:
            raise _broken(path, f"{name} can't be read: {error}") from error
        if actual != sha:
            raise _broken(path, f"{name} was changed")
    for name, file in additions.items():
        if lineage.addition_name(hash_file(file)) != name:
            raise _broken(path, f"{name} was changed")
    if strange := sorted(present - {*expected, *additions, MANIFEST}):
        raise _broken(path, f"{strange[0]} doesn't belong to it")
    return manifest


def read_release(path: Path) -> Release:
    """A verified release with its rows. Raises ReleaseError, NotFoundError."""
    manifest = verify_release(path)
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
