"""Read NIST's CPRT exports: one Record a function, category, subcategory, control, requirement, …

An export is a flat list of elements, each with a type, and relationships between them. An element is
repeated, often without its text, wherever another refers to it. Examples, discussions and statements
belong to the element that they are related to, and a `withdraw_reason` says what replaced it.
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
    describe_error,
    read_bytes,
    refuse_many_values,
)
from securetag.extractors.text import prose
from securetag.records import Facts, Status

#: Bytes of one export; that of SP 800-53 has 5 MB.
MAX_BYTES = 32 * 1024 * 1024
#: Maximum values of an export, as an upper bound; that of CSF 2.0 has 13,000.
MAX_VALUES = 1_500_000

#: Types of elements that describe the element they belong to, by kind of description.
_EXAMPLE = re.compile(r"example$")
_STATEMENT = re.compile(r"statement$|^security_requirement$|^item$")
_DISCUSSION = re.compile(r"^(discussion|supplemental_)?guidance$|^discussion$")
_ASSESSMENT = re.compile(r"^(determination|examine|interview|test|odp)|assess|objective")
_WITHDRAW_REASON = "withdraw_reason"
_LEFT_OUT = {"party": "party: whose risk it is, not guidance", "reference": "reference: to a publication"}
_EXTRA_BLANKS = re.compile(r"(?<=\S) {2,}(?=\S)")
_PADDED_KEY = re.compile(r"([A-Z]{2})-0*(\d+)(?:\(0*(\d+)\))?")


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
    """The elements of an export by identifier, and their relationships."""

    def __init__(self) -> None:
        #: Identifier → (element, its index in the file); of several the first that has a text.
        self.elements: dict[str, tuple[_Element, int]] = {}
        self.below: dict[str, list[str]] = {}
        self.above: dict[str, list[str]] = {}

    def add(self, element: _Element, number: int) -> None:
        current = self.elements.get(element.element_identifier)
        if current is None or (not current[0].text and element.text):
            self.elements[element.element_identifier] = element, number

    def relate(self, relationship: _Relationship) -> None:
        source, target = relationship.source_element_identifier, relationship.dest_element_identifier
        if relationship.relationship_identifier in ("", "projection"):
            self.below.setdefault(source, []).append(target)
            self.above.setdefault(target, []).append(source)

    def hanging(self, element: _Element, kind: re.Pattern[str]) -> list[_Element]:
        """Return the elements of a kind that belong to an element, in the order of the file."""
        names = dict.fromkeys(self.below.get(element.element_identifier, []))
        return [e for name in names if (e := self._get(name)) and kind.search(e.element_type)]

    def parent(self, element: _Element) -> _Element | None:
        """Return the element that groups this one; one that it replaces doesn't count."""
        names = self.above.get(element.element_identifier, [])
        return next(
            (e for name in names if (e := self._get(name)) and e.element_type != _WITHDRAW_REASON), None
        )

    def _get(self, name: str) -> _Element | None:
        entry = self.elements.get(name)
        return entry[0] if entry else None


class CprtReader(Reader):
    """Reads exports of any framework in CPRT."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        data = read_bytes(file)
        if len(data) > MAX_BYTES:
            raise SourceError(f"a CPRT export of more than {MAX_BYTES:,} bytes")
        refuse_many_values(data, MAX_VALUES)
        content = decode_json(data, _Export).response.elements
        framework = _Framework()
        for number, raw in enumerate(content.elements):
            try:
                framework.add(decode_json(bytes(raw), _Element), number)
            except SourceError as error:
                yield Failure(str(file.path), _make_pointer(number), describe_error(error))
        for relationship in content.relationships:
            framework.relate(relationship)
        for element, number in framework.elements.values():
            yield from self._item(element, number, framework, file)

    def _item(
        self, element: _Element, number: int, framework: _Framework, file: FetchedFile
    ) -> Iterator[Item]:
        kind, locator = element.element_type, _make_pointer(number)
        if _ASSESSMENT.search(kind):
            yield Drop("how a control is assessed, not what it asks for", locator)
        elif kind in _LEFT_OUT:
            yield Drop(_LEFT_OUT[kind], locator)
        elif kind == _WITHDRAW_REASON or any(p.search(kind) for p in (_EXAMPLE, _STATEMENT, _DISCUSSION)):
            if framework.parent(element) is None:
                yield Drop(f"{kind}: belongs to nothing that is kept", locator)
        else:
            yield self._record(element, locator, framework, file)

    def _record(self, element: _Element, locator: str, framework: _Framework, file: FetchedFile) -> Item:
        key, parent = _make_key(element), framework.parent(element)
        reasons = framework.hanging(element, re.compile(_WITHDRAW_REASON))
        replacements = [e for reason in reasons for e in framework.hanging(reason, re.compile(""))]
        page = f"{element.doc_identifier}/home?element={element.element_identifier}"
        return self.record(
            file,
            key=key,
            title=_make_title(element, parent),
            text=_render_text(element, reasons, framework),
            locator=locator,
            url=f"https://csrc.nist.gov/projects/cprt/catalog#/cprt/framework/version/{page}",
            facts=Facts(
                kind=element.element_type or None,
                parents=[_make_key(parent)] if parent else [],
                related=list(dict.fromkeys(_make_key(e) for e in replacements if _make_key(e) != key)),
                examples=_clean_texts(framework.hanging(element, _EXAMPLE)),
                section=_list_section(element, framework),
            ),
            status=Status.WITHDRAWN if reasons else Status.ACTIVE,
        )


def _render_text(element: _Element, reasons: list[_Element], framework: _Framework) -> str:
    """Return the text of an element, its statements, its discussion, and why it was withdrawn."""
    own_texts = [element.text or "", *_clean_texts(framework.hanging(element, _STATEMENT))]
    parts = [text for text in map(_clean_text, own_texts) if text]
    parts += [f"## Discussion\n\n{text}" for text in _clean_texts(framework.hanging(element, _DISCUSSION))]
    for text in _clean_texts(reasons):
        parts.append(f"Withdrawn: {text[:1].lower()}{text[1:]}" + ("" if text.endswith(".") else "."))
    return "\n\n".join(parts)


def _clean_texts(elements: list[_Element]) -> list[str]:
    return [text for element in elements if (text := _clean_text(element.text or ""))]


def _clean_text(text: str) -> str:
    """Return clean Markdown without the repeated spaces that CPRT's editors leave."""
    return prose.map_prose(prose.clean(text), lambda piece: _EXTRA_BLANKS.sub(" ", piece))


def _make_title(element: _Element, parent: _Element | None) -> str:
    """Return the element's title; without one the title of its parent with the key."""
    if element.title:
        return element.title
    return f"{parent.title}: {_make_key(element)}" if parent and parent.title else _make_key(element)


def _list_section(element: _Element, framework: _Framework) -> list[str]:
    """Return the titles of the elements that group this one, outermost first."""
    path: list[str] = []
    seen = {element.element_identifier}
    current = framework.parent(element)
    while current is not None and current.element_identifier not in seen:
        seen.add(current.element_identifier)
        path.insert(0, current.title or _make_key(current))
        current = framework.parent(current)
    return path


def _make_key(element: _Element) -> str:
    """Return SP 800-53's `AC-02(01)` as its publication prints it, `AC-2(1)`; any other key unchanged."""
    match = _PADDED_KEY.fullmatch(element.element_identifier)
    if match is None:
        return element.element_identifier
    return f"{match[1]}-{match[2]}" + (f"({match[3]})" if match[3] else "")


def _make_pointer(number: int) -> str:
    return f"#/response/elements/elements/{number}"
