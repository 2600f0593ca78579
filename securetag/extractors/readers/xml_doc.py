"""XML of upstream → elements, within bounds. The one way to read XML that others wrote.

Nothing is fetched and no entity is resolved: a document type definition is refused before any of it
is used, since no publisher of ours needs one and XXE, billion laughs and quadratic blowup all do.
libxml2 (through lxml) bounds a text at 10 MB and nesting at 256; the number of nodes is bounded here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from securetag.errors import SourceError

Element = Any  # lxml has no complete types

#: Elements and attributes held at once; a node costs up to 200 bytes, and NIST's SP 800-53 has 300,000.
MAX_NODES = 2_000_000
#: Bytes read at a time.
_CHUNK = 1 << 20
_STRICT: Any = {
    "resolve_entities": False, "no_network": True, "load_dtd": False, "dtd_validation": False,
    "huge_tree": False, "remove_comments": True, "remove_pis": True,
}  # fmt: skip


def parse(data: bytes) -> Element:
    """The root of a document. Raises SourceError."""
    _nodes(data, 0)
    try:
        root = etree.fromstring(data, etree.XMLParser(**_STRICT))
    except etree.XMLSyntaxError as error:
        raise SourceError(f"not well-formed XML: {error}") from error
    if root is None:
        raise SourceError("an empty XML document")
    _refuse_dtd(root)
    return root


def entries(path: Path, root: str, names: Collection[str]) -> Iterator[Element]:
    """The grandchildren of the root that bear one of `names`, of a file of any size, one at a time.

    Names are local ones. An entry is emptied as soon as the next is asked for, so memory holds one.
    Raises SourceError: for another root before the first entry, for damage where it is met.
    """
    check_root(path, root)
    parser = etree.XMLPullParser(events=("end",), tag=[f"{{*}}{name}" for name in names], **_STRICT)
    pending = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                pending = _nodes(chunk, pending)
                parser.feed(chunk)
                for _, found in parser.read_events():
                    element: Element = found
                    above = list(element.iterancestors())
                    if len(above) != 2:
                        continue
                    yield element
                    pending = 0
                    _forget(element, above[0])
        parser.close()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except etree.XMLSyntaxError as error:
        raise SourceError(f"not well-formed XML: {error}") from error


def check_root(path: Path, root: str) -> None:
    """Raises SourceError when the file isn't XML without a DTD whose root bears that local name."""
    try:
        with path.open("rb") as file:
            _, found = next(etree.iterparse(file, events=("start",), **_STRICT))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except (etree.XMLSyntaxError, StopIteration) as error:
        raise SourceError(f"not well-formed XML: {error}") from error
    _refuse_dtd(found)
    if name_of(found) != root:
        raise SourceError(f"the root is {name_of(found)}, not {root}")


def name_of(element: Element) -> str:
    """Local name without namespace; empty for comments and entities."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def child(element: Element, name: str) -> Element | None:
    """The first child of a local name."""
    return next((found for found in element if name_of(found) == name), None)


def children(element: Element, *path: str) -> list[Element]:
    """Descendants along local names: the last of `path` inside the ones before."""
    found = [element]
    for name in path:
        found = [inner for outer in found for inner in outer if name_of(inner) == name]
    return found


def text(element: Element, name: str) -> str:
    """The words of the first child of a local name; empty where there is none."""
    found = child(element, name)
    return " ".join("".join(found.itertext()).split()) if found is not None else ""


def texts(element: Element, *path: str) -> list[str]:
    """The words of each descendant along local names."""
    return [" ".join("".join(found.itertext()).split()) for found in children(element, *path)]


def _refuse_dtd(root: Element) -> None:
    if root.getroottree().docinfo.internalDTD is not None:
        raise SourceError("an XML document with a DTD, which no publisher of ours uses")


def _nodes(data: bytes, before: int) -> int:
    """`before` and what `data` may hold: each element has a `<`, each attribute a `=`, in any encoding."""
    count = before + data.count(b"<") + data.count(b"=")
    if count > MAX_NODES:
        raise SourceError(f"XML of more than {MAX_NODES:,} nodes in one piece")
    return count


def _forget(element: Element, parent: Element) -> None:
    """Free an entry that was used, and what stands before it."""
    element.clear()
    while element.getprevious() is not None:
        del parent[0]
