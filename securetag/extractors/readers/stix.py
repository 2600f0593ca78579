"""STIX 2.0 and 2.1 JSON → objects and the relationships between them.

Format: https://docs.oasis-open.org/cti/stix/v2.1/. A file is a bundle of many objects, a bundle of
one, or a bare object; 2.0 keeps `spec_version` on the bundle, 2.1 on each object, and nothing here
asks for it. What the objects mean is for subclasses.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from securetag.errors import SourceError
from securetag.extractors import prose
from securetag.extractors.catalog import Source
from securetag.extractors.fetch import Failure, FetchedFile
from securetag.extractors.readers.base import Item, Reader, decode_json, read_bytes, reason_of
from securetag.records import Status


class Reference(msgspec.Struct, frozen=True):
    """An external reference: the publisher's own id, or a citation."""

    source_name: str = ""
    external_id: str | None = None
    url: str | None = None
    description: str | None = None


class Phase(msgspec.Struct, frozen=True):
    """A kill chain phase; ATT&CK's tactics by short name."""

    phase_name: str = ""


class StixObject(msgspec.Struct, frozen=True):
    """The fields of any STIX object that Records are made of."""

    type: str
    id: str
    name: str = ""
    description: str | None = ""
    revoked: bool | None = False
    external_references: list[Reference] = []
    kill_chain_phases: list[Phase] = []
    relationship_type: str = ""
    source_ref: str = ""
    target_ref: str = ""
    x_mitre_deprecated: bool | None = False
    x_mitre_detection: str | None = ""
    x_mitre_platforms: list[str] | None = []
    x_mitre_shortname: str = ""
    x_mitre_analytic_refs: list[str] = []

    @property
    def status(self) -> Status:
        """Revoked weighs more than deprecated: it has a successor."""
        if self.revoked:
            return Status.REVOKED
        return Status.DEPRECATED if self.x_mitre_deprecated else Status.ACTIVE


class _Bundle(msgspec.Struct):
    objects: list[StixObject] = []


class _RawBundle(msgspec.Struct):
    type: str = ""
    objects: list[msgspec.Raw] | None = None


class StixReader(Reader):
    """Base of readers over STIX: all objects of all files first, then the items of each file."""

    #: Relationship types that a subclass joins.
    joins: frozenset[str] = frozenset()

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.objects: dict[str, StixObject] = {}
        self._of_file: dict[Path, list[tuple[str, StixObject]]] = {}
        self._broken: dict[Path, list[Failure]] = {}
        self._incoming: dict[tuple[str, str], list[StixObject]] = defaultdict(list)
        self._outgoing: dict[tuple[str, str], list[StixObject]] = defaultdict(list)

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        """Decode every file once; relationships may lie in any of them."""
        for file in files:
            try:
                found, broken = decode(read_bytes(file), str(file.path))
            except SourceError as error:
                yield Failure(str(file.path), "", reason_of(error))
                continue
            self._of_file[file.path], self._broken[file.path] = found, broken
            for _, item in found:
                if item.type != "relationship":
                    self.objects[item.id] = item
                elif item.relationship_type in self.joins and item.status is Status.ACTIVE:
                    self._incoming[item.relationship_type, item.target_ref].append(item)
                    self._outgoing[item.relationship_type, item.source_ref].append(item)

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        if file.path not in self._of_file:
            failures = list(self.prepare([file]))
            if failures:
                raise SourceError(failures[0].reason)
        yield from self._broken[file.path]
        for locator, item in self._of_file[file.path]:
            if item.type != "relationship":
                yield from self.items(item, file, locator)

    @abstractmethod
    def items(self, item: StixObject, file: FetchedFile, locator: str) -> Iterator[Item]:
        """What one object amounts to: a Record, a Drop, or nothing for what only serves others."""

    def joined(self, kind: str, *, to: str) -> Iterator[tuple[StixObject, StixObject]]:
        """(relationship, its source) of active relationships of a kind that point at an object."""
        for relation in sorted(self._incoming[kind, to], key=lambda relation: relation.id):
            if other := self.objects.get(relation.source_ref):
                yield relation, other

    def joined_from(self, kind: str, *, of: str) -> Iterator[tuple[StixObject, StixObject]]:
        """(relationship, its target) of active relationships of a kind that start at an object."""
        for relation in sorted(self._outgoing[kind, of], key=lambda relation: relation.id):
            if other := self.objects.get(relation.target_ref):
                yield relation, other


def decode(data: bytes, name: str) -> tuple[list[tuple[str, StixObject]], list[Failure]]:
    """(JSON pointer, object) pairs and what couldn't be read. Raises SourceError for no STIX at all."""
    try:
        bundle = msgspec.json.decode(data, type=_Bundle)
        if bundle.objects:
            return [(f"/objects/{i}", item) for i, item in enumerate(bundle.objects)], []
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass  # one object that doesn't fit, or no bundle: look at each by itself
    outer = decode_json(data, _RawBundle)
    if outer.objects is None:
        return [("", decode_json(data, StixObject))], []
    found, broken = [], []
    for index, raw in enumerate(outer.objects):
        try:
            found.append((f"/objects/{index}", decode_json(bytes(raw), StixObject)))
        except SourceError as error:
            broken.append(Failure(name, f"/objects/{index}", reason_of(error)))
    return found, broken


def text_of(text: str | None) -> str:
    """A STIX description as clean Markdown."""
    return prose.clean(text) if text else ""
