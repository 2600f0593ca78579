"""Convert OSCAL's XML to the builtins of its JSON, so that one model reads both.

XML names its children in the singular and mixes prose as markup among them; JSON gathers them into
arrays and writes the prose as Markdown. https://pages.nist.gov/OSCAL-Reference/models/v1.1.3/catalog/xml-outline/
"""

from __future__ import annotations

from securetag.errors import SourceError
from securetag.extractors.text.xhtml import to_markdown
from securetag.extractors.text.xml_doc import Element, get_name, parse_xml
from securetag.records import JsonObject

#: Child element → array of JSON. Elements that aren't named here or below are ignored.
_LISTS = {
    "group": "groups",
    "control": "controls",
    "param": "params",
    "part": "parts",
    "prop": "props",
    "link": "links",
    "resource": "resources",
    "rlink": "rlinks",
    "import": "imports",
    "include-controls": "include-controls",
    "exclude-controls": "exclude-controls",
}
_OBJECTS = {"metadata", "select", "back-matter", "citation", "include-all"}
#: Child element → array of texts.
_TEXT_LISTS = {"value": "values", "choice": "choice", "with-id": "with-ids"}
_TEXTS = {"title", "version", "last-modified", "label", "text"}
_PROSE = {"p", "ul", "ol", "table", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "img"}
_ROOTS = {"catalog", "profile"}


def decode_xml(data: bytes) -> JsonObject:
    """Return `{"catalog": …}` or `{"profile": …}`. Raises SourceError."""
    root = parse_xml(data)
    if get_name(root) not in _ROOTS:
        raise SourceError(f"an OSCAL catalog or profile was expected, and the root is {get_name(root)}")
    return {get_name(root): _convert_object(root)}


def _convert_object(element: Element) -> JsonObject:
    fields: JsonObject = dict(element.attrib)
    paragraphs: list[str] = []
    for child in list(element):  # a list, since what is prose moves out
        name = get_name(child)
        if name in _PROSE:
            paragraphs.append(_convert_markup(child))
        elif name in _TEXTS:
            fields[name] = _convert_markup(child)
        elif name in _TEXT_LISTS:
            fields.setdefault(_TEXT_LISTS[name], []).append(_convert_markup(child))
        elif name in _OBJECTS:
            fields[name] = _convert_object(child)
        elif name in _LISTS:
            fields.setdefault(_LISTS[name], []).append(_convert_object(child))
    if paragraphs:
        fields["prose"] = "\n\n".join(paragraphs)
    return fields


def _convert_markup(element: Element) -> str:
    """Return markup as JSON has it: inserts in double braces, links by their text, code in backticks."""
    for insert in element.iter("{*}insert"):
        insert.text = f"{{{{ insert: {insert.get('type', 'param')}, {insert.get('id-ref', '')} }}}}"
    if get_name(element) not in _PROSE:
        return to_markdown(element)
    parent = element.makeelement("div")
    parent.append(element)
    return to_markdown(parent)
