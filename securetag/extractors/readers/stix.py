"""Decode STIX 2.0 and 2.1 JSON: objects and the relationships between them.

Format: https://docs.oasis-open.org/cti/stix/v2.1/. A file is a bundle of many objects, a bundle of
one, or a bare object; 2.0 keeps `spec_version` on the bundle, 2.1 on each object, and nothing here
asks for it. A publisher's types are structs of the fields that Records are made of, so that the rest
is skipped undecoded; what the objects mean is for subclasses.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Union

import msgspec

from securetag.errors import SourceError
from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader, decode_json, describe_error, read_bytes
from securetag.extractors.text import prose
from securetag.records import Status


class Reference(msgspec.Struct, frozen=True, gc=False):
    """An external reference: the publisher's id, the id in another catalog, or a citation."""

    source_name: str = ""
    external_id: str | None = None
    description: str | None = None
    url: str | None = None


# gc=False: objects name one another by id, so no cycle can form, and the collector needn't walk them.
class StixObject(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="object"):
    """The fields that all kinds of object have. A subclass is one kind, and its `tag` the value of `type`."""

    id: str
    revoked: bool | None = False
    x_mitre_deprecated: bool | None = False

    @property
    def type(self) -> str:
        """Kind of the object: `attack-pattern`, `relationship`, …"""
        return str(self.__struct_config__.tag)

    @property
    def status(self) -> Status:
        """Status of the object; revoked wins over deprecated, since a revoked one has a successor."""
        if self.revoked:
            return Status.REVOKED
        return Status.DEPRECATED if self.x_mitre_deprecated else Status.ACTIVE


class Relationship(StixObject, frozen=True, gc=False, kw_only=True, tag="relationship"):
    """A relationship between two objects; ATT&CK writes the advice for the pair into its description."""

    relationship_type: str
    source_ref: str
    target_ref: str
    description: str | None = None


class Thing(StixObject, frozen=True, gc=False, kw_only=True):
    """An object with a name and prose."""

    name: str = ""
    description: str | None = None
    created: str | None = None
    external_references: list[Reference] = []


class Unread(StixObject, frozen=True, gc=False, kw_only=True):
    """An object of a kind that has no struct."""

    id: str = ""
    kind: str = ""


class _Typed(msgspec.Struct):
    type: str = ""
    id: str = ""


class _RawBundle(_Typed):
    objects: list[msgspec.Raw] | None = None
    #: ATT&CK's index of its editions.
    collections: list[msgspec.Raw] | None = None


class Kinds:
    """The structs of a publisher's kinds of object, and their decoders."""

    def __init__(self, *structs: type[StixObject], bare: Sequence[str] = ()) -> None:
        """Make the decoders; `bare` are the kinds of which only the id is needed."""
        bare_structs = [
            msgspec.defstruct("Bare", [], bases=(StixObject,), frozen=True, gc=False, tag=name)
            for name in bare
        ]
        any_object: Any = Union[(*structs, *bare_structs)]
        bundle = msgspec.defstruct("Bundle", [("objects", list[any_object], [])])
        self.names = {kind.__struct_config__.tag for kind in (*structs, *bare_structs)}
        self._bundle: msgspec.json.Decoder[Any] = msgspec.json.Decoder(bundle)
        self._object: msgspec.json.Decoder[Any] = msgspec.json.Decoder(any_object)

    def decode(self, data: bytes, name: str) -> tuple[list[tuple[str, StixObject]], list[Failure]]:
        """Return (JSON pointer, object) pairs and the failures. Raises SourceError for a document without
        STIX.
        """
        try:
            objects = self._bundle.decode(data).objects
            if objects:
                return [(f"/objects/{i}", item) for i, item in enumerate(objects)], []
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            pass  # an object that doesn't fit, or no bundle: look at each by itself
        outer = decode_json(data, _RawBundle)
        if outer.objects is None:
            if outer.collections is not None:
                return [("", Unread(kind="collection index"))], []
            return [("", self._one(data))], []
        objects_by_pointer, failures = [], []
        for index, raw in enumerate(outer.objects):
            try:
                objects_by_pointer.append((f"/objects/{index}", self._one(bytes(raw))))
            except SourceError as error:
                failures.append(Failure(name, f"/objects/{index}", describe_error(error)))
        return objects_by_pointer, failures

    def _one(self, data: bytes) -> StixObject:
        header = decode_json(data, _Typed)
        if not header.type:
            raise SourceError("a JSON object without a STIX type")
        if header.type not in self.names:
            return Unread(id=header.id, kind=header.type)
        try:
            stix_object: StixObject = self._object.decode(data.removeprefix(b"\xef\xbb\xbf"))
        except RecursionError as error:
            raise SourceError("nested too deeply") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SourceError(f"not the {header.type} that was expected: {error}") from error
        return stix_object


class StixReader(Reader):
    """Base of readers over STIX: all objects of all files first, then the items of each file."""

    kinds: Kinds
    #: Relationship types that a subclass joins.
    joins: frozenset[str] = frozenset()

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.objects: dict[str, StixObject] = {}
        self._of_file: dict[Path, list[tuple[str, StixObject]]] = {}
        self._broken: dict[Path, list[Failure]] = {}
        self._relationships: dict[Path, list[tuple[str, Relationship]]] = defaultdict(list)
        self._incoming: dict[tuple[str, str], list[Relationship]] = defaultdict(list)
        self._outgoing: dict[tuple[str, str], list[Relationship]] = defaultdict(list)

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        """Decode every file once; relationships may lie in any of them."""
        for file in files:
            try:
                objects, self._broken[file.path] = self.kinds.decode(read_bytes(file), str(file.path))
            except SourceError as error:
                yield Failure(str(file.path), "", describe_error(error))
                continue
            file_objects = self._of_file[file.path] = []
            for locator, item in objects:
                if isinstance(item, Relationship):
                    self._relationships[file.path].append((locator, item))
                if not isinstance(item, Relationship):
                    self.objects[item.id] = item
                    file_objects.append((locator, item))
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
            if isinstance(item, Thing) and not item.name.strip():
                yield Failure(str(file.path), locator, f"{item.id}: an object without a name")
            elif isinstance(item, Unread):
                yield Drop(f"{item.kind}: no Record is made of this kind of object", locator)
            else:
                yield from self.items(item, file, locator)
        for locator, relation in self._relationships[file.path]:
            is_joined = relation.relationship_type in self.joins and relation.status is Status.ACTIVE
            if is_joined and not {relation.source_ref, relation.target_ref} <= self.objects.keys():
                yield Drop("a relationship with an object that isn't here", locator)

    @abstractmethod
    def items(self, item: StixObject, file: FetchedFile, locator: str) -> Iterator[Item]:
        """Yield the Record or Drop of one object; nothing for one that only serves others."""

    def joined(self, kind: str, *, to: str) -> Iterator[tuple[Relationship, StixObject]]:
        """Yield (relationship, its source) for active relationships of a kind that point at an object."""
        for relation in sorted(self._incoming[kind, to], key=lambda relation: relation.id):
            if other := self.objects.get(relation.source_ref):
                yield relation, other

    def joined_from(self, kind: str, *, of: str) -> Iterator[tuple[Relationship, StixObject]]:
        """Yield (relationship, its target) for active relationships of a kind that start at an object."""
        for relation in sorted(self._outgoing[kind, of], key=lambda relation: relation.id):
            if other := self.objects.get(relation.target_ref):
                yield relation, other


def clean_description(text: str | None) -> str:
    """Return a STIX description as clean Markdown."""
    return prose.clean(text) if text else ""


def get_day(timestamp: str | None) -> str | None:
    """Return the day of an RFC 3339 time, `YYYY-MM-DD`."""
    return timestamp[:10] if timestamp else None
