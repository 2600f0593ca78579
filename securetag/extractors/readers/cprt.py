"""NIST's CPRT exports → one Record a function, category, subcategory, control, requirement, …

A flat list of elements, each with a type, and relationships between them; an element stands again,
often without its text, wherever another refers to it. Examples, discussions and statements belong
to the element that they hang on, and a `withdraw_reason` says what replaced it.
https://csrc.nist.gov/projects/cprt (export as JSON)
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import (
    Drop,
    Item,
    Reader,
    decode_json,
    read_bytes,
    reason_of,
    refuse_many,
)
from securetag.extractors.text import prose
from securetag.records import Facts, Status

#: Bytes of one export; that of SP 800-53 has 5 MB.
MAX_BYTES = 32 * 1024 * 1024
#: Values of an export, counted from above: that of CSF 2.0 has 13,000.
MAX_VALUES = 1_500_000

#: Types of elements that say something of the element they hang on, by what that is.
_EXAMPLE = re.compile(r"example$")
_STATEMENT = re.compile(r"statement$|^security_requirement$|^item$")
_DISCUSSION = re.compile(r"^(discussion|supplemental_)?guidance$|^discussion$")
_ASSESSMENT = re.compile(r"^(determination|examine|interview|test|odp)|assess|objective")
_REASON = "withdraw_reason"
_LEFT_OUT = {"party": "party: whose risk it is, not guidance", "reference": "reference: to a publication"}
_BLANKS = re.compile(r"(?<=\S) {2,}(?=\S)")
_PADDED = re.compile(r"([A-Z]{2})-0*(\d+)(?:\(0*(\d+)\))?")


class _Element(msgspec.Struct, frozen=True):
    element_identifier: str
    element_type: str = ""
    doc_identifier: str = ""
    title: str | None = None
    text: str | None = None


class _Relationship(msgspec.Struct, frozen=True):
    source_element_identifier: str
    dest_element_identifier: str
    relationship_identifier: str = ""


class _Elements(msgspec.Struct, frozen=True):
    elements: list[msgspec.Raw]
    relationships: list[_Relationship] = []


class _Response(msgspec.Struct, frozen=True):
    elements: _Elements


class _Export(msgspec.Struct, frozen=True):
    response: _Response


class _Framework:
    """An export's elements by identifier, and what hangs on what."""

    def __init__(self) -> None:
        #: Identifier → (element, its place in the file); of several the first that has a text.
        self.elements: dict[str, tuple[_Element, int]] = {}
        self.below: dict[str, list[str]] = {}
        self.above: dict[str, list[str]] = {}

    def add(self, element: _Element, number: int) -> None:
        held = self.elements.get(element.element_identifier)
        if held is None or (not held[0].text and element.text):
            self.elements[element.element_identifier] = element, number

    def relate(self, relationship: _Relationship) -> None:
        source, target = relationship.source_element_identifier, relationship.dest_element_identifier
        if relationship.relationship_identifier in ("", "projection"):
            self.below.setdefault(source, []).append(target)
            self.above.setdefault(target, []).append(source)

    def hanging(self, element: _Element, kind: re.Pattern[str]) -> list[_Element]:
        """What of that kind hangs on an element, in the file's order."""
        found = dict.fromkeys(self.below.get(element.element_identifier, []))
        return [e for name in found if (e := self._get(name)) and kind.search(e.element_type)]

    def parent(self, element: _Element) -> _Element | None:
        """The element that it is grouped under; what points at it as a replacement is none."""
        names = self.above.get(element.element_identifier, [])
        return next((e for name in names if (e := self._get(name)) and e.element_type != _REASON), None)

    def _get(self, name: str) -> _Element | None:
        held = self.elements.get(name)
        return held[0] if held else None


class CprtReader(Reader):
    """Reads exports of any framework that CPRT holds."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        data = read_bytes(file)
        if len(data) > MAX_BYTES:
            raise SourceError(f"a CPRT export of more than {MAX_BYTES:,} bytes")
        refuse_many(data, MAX_VALUES)
        found = decode_json(data, _Export).response.elements
        framework = _Framework()
        for number, raw in enumerate(found.elements):
            try:
                framework.add(decode_json(bytes(raw), _Element), number)
            except SourceError as error:
                yield Failure(str(file.path), _pointer(number), reason_of(error))
        for relationship in found.relationships:
            framework.relate(relationship)
        for element, number in framework.elements.values():
            yield from self._item(element, number, framework, file)

    def _item(
        self, element: _Element, number: int, framework: _Framework, file: FetchedFile
    ) -> Iterator[Item]:
        kind, locator = element.element_type, _pointer(number)
        if _ASSESSMENT.search(kind):
            yield Drop("how a control is assessed, not what it asks for", locator)
        elif kind in _LEFT_OUT:
            yield Drop(_LEFT_OUT[kind], locator)
        elif kind == _REASON or any(p.search(kind) for p in (_EXAMPLE, _STATEMENT, _DISCUSSION)):
            if framework.parent(element) is None:
                yield Drop(f"{kind}: belongs to nothing that is kept", locator)
        else:
            yield self._record(element, locator, framework, file)

    def _record(self, element: _Element, locator: str, framework: _Framework, file: FetchedFile) -> Item:
        key, parent = _key(element), framework.parent(element)
        reasons = framework.hanging(element, re.compile(_REASON))
        replacements = [e for reason in reasons for e in framework.hanging(reason, re.compile(""))]
        page = f"{element.doc_identifier}/home?element={element.element_identifier}"
        return self.record(
            file,
            key=key,
            title=_title(element, parent),
            text=_text(element, reasons, framework),
            locator=locator,
            url=f"https://csrc.nist.gov/projects/cprt/catalog#/cprt/framework/version/{page}",
            facts=Facts(
                kind=element.element_type or None,
                parents=[_key(parent)] if parent else [],
                related=list(dict.fromkeys(_key(e) for e in replacements if _key(e) != key)),
                examples=_texts(framework.hanging(element, _EXAMPLE)),
                section=_section(element, framework),
            ),
            status=Status.WITHDRAWN if reasons else Status.ACTIVE,
        )


def _text(element: _Element, reasons: list[_Element], framework: _Framework) -> str:
    """Its own text, its statements, its discussion, and why it was withdrawn."""
    own = [element.text or "", *_texts(framework.hanging(element, _STATEMENT))]
    parts = [text for text in map(_clean, own) if text]
    parts += [f"## Discussion\n\n{text}" for text in _texts(framework.hanging(element, _DISCUSSION))]
    for text in _texts(reasons):
        parts.append(f"Withdrawn: {text[:1].lower()}{text[1:]}" + ("" if text.endswith(".") else "."))
    return "\n\n".join(parts)


def _texts(elements: list[_Element]) -> list[str]:
    return [text for element in elements if (text := _clean(element.text or ""))]


def _clean(text: str) -> str:
    """Clean Markdown, without the runs of blanks that CPRT's editors leave."""
    return prose.map_prose(prose.clean(text), lambda piece: _BLANKS.sub(" ", piece))


def _title(element: _Element, parent: _Element | None) -> str:
    """Its name; where it has none, its parent's with the key."""
    if element.title:
        return element.title
    return f"{parent.title}: {_key(element)}" if parent and parent.title else _key(element)


def _section(element: _Element, framework: _Framework) -> list[str]:
    """Titles of what it is grouped under, outermost first."""
    path: list[str] = []
    seen = {element.element_identifier}
    current = framework.parent(element)
    while current is not None and current.element_identifier not in seen:
        seen.add(current.element_identifier)
        path.insert(0, current.title or _key(current))
        current = framework.parent(current)
    return path


def _key(element: _Element) -> str:
    """SP 800-53's `AC-02(01)` as its publication prints it, `AC-2(1)`; any other as it stands."""
    match = _PADDED.fullmatch(element.element_identifier)
    if match is None:
        return element.element_identifier
    return f"{match[1]}-{match[2]}" + (f"({match[3]})" if match[3] else "")


def _pointer(number: int) -> str:
    return f"#/response/elements/elements/{number}"
