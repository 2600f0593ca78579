"""What a release's manifest says: its digest, parameters, inputs, files, counts and sources."""

from __future__ import annotations

import msgspec

from securetag.records import JsonObject

SPLITS = ("train", "validation", "test")
#: Hex digits of the digest that name the folder.
NAME_LENGTH = 12


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


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a release is made of. `digest` covers schema, params, inputs and the files' sha256."""

    schema: int
    digest: str
    params: JsonObject
    #: What went in: digest of the Record ids of each source, of the harvest, of the rules; versions.
    inputs: JsonObject
    files: dict[str, FileEntry]
    counts: dict[str, dict[str, int]]
    sources: list[SourceEntry]
    #: Outside the digest, as are counts and sources.
    code_version: str = ""
    #: Name → sha256 of every other file: the card, what was dropped, the lineage.
    sidecars: dict[str, str] = {}
    #: `content_id` of all the fields above: a manifest whose words were changed doesn't fit it.
    seal: str = ""
