"""Decode YAML from outside to typed values within bounds. All YAML of publishers is read here.

A scalar stays the text that upstream wrote (`5.10`, `2024-01-02`, `no`), as JSON would have it in
quotes; a typed field turns it into a number or a boolean, and `null`, `~` and nothing are None. A key
without a value is as if it weren't there, so that a field's default holds. Keys are text.

The document is built from libyaml's events without recursion, so that depth, aliases and tags are
judged before anything grows: no object is ever constructed from a tag, and no library's limit is met.
YAML 1.1: https://yaml.org/spec/1.1/; merge keys (`<<`): https://yaml.org/type/merge.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec
import yaml

from securetag.errors import SourceError

T = TypeVar("T")

#: Characters of one file; the largest publication so far is NIST's full SP 800-53 at 10 MB.
MAX_CHARS = 32 * 1024 * 1024
#: Scalars, lists and mappings with every alias expanded; SP 800-53 has 250,000.
MAX_NODES = 1_000_000
#: Lists and mappings inside one another; OSCAL nests to about 25.
MAX_DEPTH = 200

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL_SPELLINGS = {"", "~", "null", "Null", "NULL"}
#: Tags of JSON's types, and of those that are read as text. Any other would need code.
_ALLOWED_TAGS = {
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map", "timestamp")
} | {"!"}
_MERGE_KEY = "<<"


def decode_yaml(text: str, kind: type[T]) -> T:
    """Return the only document of `text` as `kind`. Raises SourceError, also for none or several."""
    documents = list(decode_documents(text, kind))
    if len(documents) != 1:
        raise SourceError(f"one YAML document was expected, and there are {len(documents)}")
    return documents[0]


def decode_documents(text: str, kind: type[T]) -> Iterator[T]:
    """Yield the documents of a YAML stream as `kind` (`Any` for builtins). Raises SourceError.

    A mapping's key that stands twice keeps its last value, as in JSON.
    """
    if len(text) > MAX_CHARS:
        raise SourceError(f"YAML of more than {MAX_CHARS:,} characters")
    for document in _build_documents(text):
        try:
            yield msgspec.convert(document, kind, strict=False)
        except msgspec.ValidationError as error:
            raise SourceError(f"not the YAML that was expected: {error}") from error
        except RecursionError as error:
            raise SourceError("nested too deeply") from error


def _build_documents(text: str) -> Iterator[object]:
    try:
        tree = _DocumentBuilder()
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentEndEvent):
                yield tree.root
                tree = _DocumentBuilder()
            else:
                tree.take(event)
    except (yaml.YAMLError, UnicodeError) as error:
        raise SourceError(f"not YAML: {' '.join(str(error).split())}") from error


class _OpenCollection:
    """A list or mapping whose end event hasn't come yet."""

    __slots__ = ("anchor", "before", "key", "keyed", "merges", "value")

    def __init__(self, value: list[object] | dict[str, object], anchor: str | None, before: int) -> None:
        self.value = value
        self.anchor = anchor
        #: Number of nodes of the document when this collection began.
        self.before = before
        #: Whether a mapping's key was read and its value is next.
        self.keyed = False
        self.key: str | None = None
        self.merges: list[dict[str, object]] = []


class _DocumentBuilder:
    """Builds one document event by event."""

    def __init__(self) -> None:
        self.root: object = None
        self.nodes = 0
        self.open: list[_OpenCollection] = []
        #: Anchor → (value, nodes in it); an open collection has no entry, so that none can contain itself.
        self.anchors: dict[str, tuple[object, int]] = {}

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise SourceError(
                    f"line {_get_line(event)}: the alias *{event.anchor} names nothing before it"
                )
            value, size = self.anchors[event.anchor]
            self._count(event, size)
            self._put(value, event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._tagged(event)
            self._count(event, 1)
            if len(self.open) >= MAX_DEPTH:
                raise SourceError(f"line {_get_line(event)}: nested more than {MAX_DEPTH} deep")
            empty: list[object] | dict[str, object] = {} if isinstance(event, yaml.MappingStartEvent) else []
            self.open.append(_OpenCollection(empty, event.anchor, self.nodes - 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close(event)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._tagged(event)
        self._count(event, 1)
        plain = event.implicit[0] and event.tag is None
        value = None if plain and event.value in _NULL_SPELLINGS and not self._expects_key else event.value
        if event.anchor:
            self.anchors[event.anchor] = (value, 1)
        merge = plain and value == _MERGE_KEY and self._expects_key
        self._put(value, event, merge=merge)

    @property
    def _expects_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1].value, dict) and not self.open[-1].keyed

    def _close(self, event: yaml.Event) -> None:
        closed = self.open.pop()
        for merged in closed.merges:  # what the mapping says itself wins, then the first of the merged
            for key, value in merged.items():
                closed.value.setdefault(key, value)  # type: ignore[union-attr]
        if closed.anchor:
            self.anchors[closed.anchor] = (closed.value, self.nodes - closed.before)
        self._put(closed.value, event)

    def _put(self, value: object, event: yaml.Event, *, merge: bool = False) -> None:
        if not self.open:
            self.root = value
            return
        parent = self.open[-1]
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif not parent.keyed:
            if not isinstance(value, str):
                raise SourceError(f"line {_get_line(event)}: a mapping's key must be text")
            parent.key, parent.keyed = (None if merge else value), True
        else:
            parent.keyed = False
            if parent.key is None:
                parent.merges += _list_mappings(value, event)
            elif value is not None:
                parent.value[parent.key] = value

    def _count(self, event: yaml.Event, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise SourceError(
                f"line {_get_line(event)}: more than {MAX_NODES:,} values with aliases expanded"
            )

    @staticmethod
    def _tagged(event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None and event.tag not in _ALLOWED_TAGS:
            raise SourceError(f"line {_get_line(event)}: the tag {event.tag} isn't read: it would need code")


def _list_mappings(value: object, event: yaml.Event) -> list[dict[str, object]]:
    values = value if isinstance(value, list) else [value]
    mappings = [item for item in values if isinstance(item, dict)]
    if len(mappings) != len(values):
        raise SourceError(f"line {_get_line(event)}: only mappings can be merged")
    return mappings


def _get_line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
