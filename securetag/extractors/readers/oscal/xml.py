"""OSCAL's XML → the builtins that its JSON would have given, so that one model reads both.

XML names its children in the singular and mixes prose as markup among them; JSON gathers them into
arrays and writes the prose as Markdown. https://pages.nist.gov/OSCAL-Reference/models/v1.1.3/catalog/xml-outline/
"""

from __future__ import annotations

from typing import Any

from securetag.errors import SourceError
from securetag.extractors.text import prose
from securetag.extractors.text.xhtml import to_markdown
from securetag.extractors.text.xml_doc import Element, get_name, parse_xml

#: Child element → array of JSON. What isn't named here or below carries nothing that Records hold.
_LISTS = {
    "group": "groups", "control": "controls", "param": "params", "part": "parts", "prop": "props",
    "link": "links", "resource": "resources", "rlink": "rlinks", "import": "imports",
    "include-controls": "include-controls", "exclude-controls": "exclude-controls",
}  # fmt: skip
_OBJECTS = {"metadata", "select", "back-matter", "citation", "include-all"}
#: Child element → array of texts.
_TEXT_LISTS = {"value": "values", "choice": "choice", "with-id": "with-ids"}
_TEXTS = {"title", "version", "last-modified", "label", "text"}
_PROSE = {"p", "ul", "ol", "table", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "img"}
_ROOTS = {"catalog", "profile"}


def builtins(data: bytes) -> dict[str, Any]:
    """`{"catalog": …}` or `{"profile": …}`. Raises SourceError."""
    root = parse_xml(data)
    if get_name(root) not in _ROOTS:
        raise SourceError(f"an OSCAL catalog or profile was expected, and the root is {get_name(root)}")
    return {get_name(root): _object(root)}


def _object(element: Element) -> dict[str, Any]:
    found: dict[str, Any] = dict(element.attrib)
    paragraphs: list[str] = []
    for child in list(element):  # a list, since what is prose moves out
        name = get_name(child)
        if name in _PROSE:
            paragraphs.append(_markdown(child))
        elif name in _TEXTS:
            found[name] = _markdown(child)
        elif name in _TEXT_LISTS:
            found.setdefault(_TEXT_LISTS[name], []).append(_markdown(child))
        elif name in _OBJECTS:
            found[name] = _object(child)
        elif name in _LISTS:
            found.setdefault(_LISTS[name], []).append(_object(child))
    if paragraphs:
        found["prose"] = "\n\n".join(paragraphs)
    return found


def _markdown(element: Element) -> str:
    """Markup as JSON writes it: inserts in double braces, links by their text, code in backticks."""
    if get_name(element) == "pre":
        return prose.make_code_block("".join(element.itertext()))
    for inner in element.iter():
        name = get_name(inner)
        if name == "insert":
            inner.text = f"{{{{ insert: {inner.get('type', 'param')}, {inner.get('id-ref', '')} }}}}"
        elif name == "code":
            code = "".join(inner.itertext())
            del inner[:]
            inner.text = prose.make_code_span(code)
    wrapper = element.makeelement("div")
    wrapper.append(element)
    return to_markdown(wrapper)
