"""Read XHTML inside an XML tree, as CWE, CAPEC and OSCAL use it in descriptions: prose and source code."""

from __future__ import annotations

from copy import deepcopy

from lxml import etree

from securetag.extractors.text.html_page import convert_fragment
from securetag.extractors.text.xml_doc import Element, get_name


def to_markdown(element: Element | None) -> str:
    """Return the content of an element that mixes text and XHTML blocks. Raises SourceError."""
    if element is None:
        return ""
    fragment = etree.Element("div")
    fragment.text = element.text
    fragment.extend(deepcopy(child) for child in element)
    for inner in fragment.iter(etree.Element):
        inner.tag = get_name(inner)  # without the namespace, which HTML takes for a part of the name
    return convert_fragment(etree.tostring(fragment, encoding="unicode", method="html"))


def to_code(element: Element | None) -> str:
    """Return source code that is written as nested `div`s (one level of indentation each) and `br`s."""
    if element is None:
        return ""
    out: list[str] = []
    _append_code(element, out, 0)
    lines = "".join(out).split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _append_code(element: Element, out: list[str], depth: int) -> None:
    def add(text: str | None) -> None:
        words = " ".join((text or "").split())
        if not words:
            if text and out and not out[-1].endswith("\n") and "\n" not in text:
                out.append(" ")
            return
        if out and out[-1][-1:] not in ("\n", "") and text and text[0].isspace() and not out[-1].isspace():
            out.append(" ")
        if not out or out[-1].endswith("\n"):
            words = "\t" * depth + words
        out.append(words + (" " if text and text[-1] == " " else ""))

    add(element.text)
    for child in element:
        name = get_name(child)
        if name == "br":
            out.append("\n")
        elif name in {"div", "p", "ul", "li"}:
            indent = 1 if "margin-left" in (child.get("style") or "") else 0
            if out and not out[-1].endswith("\n"):
                out.append("\n")
            _append_code(child, out, depth + indent)
            if out and not out[-1].endswith("\n"):
                out.append("\n")
        else:
            _append_code(child, out, depth)
        add(child.tail)
