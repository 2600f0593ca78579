"""Parse XML from outside within bounds. All XML of publishers is read here.

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

#: Maximum elements and attributes in memory, at up to 200 bytes each; NIST's SP 800-53 has 300,000.
MAX_NODES = 2_000_000
#: Bytes read at a time.
_CHUNK_BYTES = 1 << 20
_PARSER_OPTIONS: Any = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "dtd_validation": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}


def parse_xml(data: bytes) -> Element:
    """Return the root of a document. Raises SourceError."""
    _count_nodes(data, 0)
    try:
        root = etree.fromstring(data, etree.XMLParser(**_PARSER_OPTIONS))
    except etree.XMLSyntaxError as error:
        raise SourceError(f"not well-formed XML: {error}") from error
    if root is None:
        raise SourceError("an empty XML document")
    _refuse_dtd(root)
    return root


def iter_entries(path: Path, root: str, names: Collection[str]) -> Iterator[Element]:
    """Yield the grandchildren of the root with one of `names`, one at a time, of a file of any size.

    Names are local ones. An entry is emptied when the next is requested, so that memory holds only one.
    Raises SourceError: for another root before the first entry, for damage where it is met.
    """
    check_root(path, root)
    parser = etree.XMLPullParser(events=("end",), tag=[f"{{*}}{name}" for name in names], **_PARSER_OPTIONS)
    pending = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                pending = _count_nodes(chunk, pending)
                parser.feed(chunk)
                for _, node in parser.read_events():
                    element: Element = node
                    ancestors = list(element.iterancestors())
                    if len(ancestors) != 2:
                        continue
                    yield element
                    pending = 0
                    _free_entry(element, ancestors[0])
        parser.close()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except etree.XMLSyntaxError as error:
        raise SourceError(f"not well-formed XML: {error}") from error


def check_root(path: Path, root: str) -> None:
    """Raise SourceError when the file isn't XML without a DTD whose root has that local name."""
    try:
        with path.open("rb") as file:
            _, root_element = next(etree.iterparse(file, events=("start",), **_PARSER_OPTIONS))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except (etree.XMLSyntaxError, StopIteration) as error:
        raise SourceError(f"not well-formed XML: {error}") from error
    _refuse_dtd(root_element)
    if get_name(root_element) != root:
        raise SourceError(f"the root is {get_name(root_element)}, not {root}")


def get_name(element: Element) -> str:
    """Return the local name without namespace; empty for comments and entities."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def find_child(element: Element, name: str) -> Element | None:
    """Return the first child with a local name."""
    return next((child for child in element if get_name(child) == name), None)


def find_children(element: Element, *path: str) -> list[Element]:
    """Return the descendants along local names: the last of `path` inside the previous ones."""
    elements = [element]
    for name in path:
        elements = [child for parent in elements for child in parent if get_name(child) == name]
    return elements


def get_child_text(element: Element, name: str) -> str:
    """Return the words of the first child with a local name; empty without one."""
    child = find_child(element, name)
    return " ".join("".join(child.itertext()).split()) if child is not None else ""


def list_texts(element: Element, *path: str) -> list[str]:
    """Return the words of each descendant along local names."""
    return [" ".join("".join(descendant.itertext()).split()) for descendant in find_children(element, *path)]


def _refuse_dtd(root: Element) -> None:
    if root.getroottree().docinfo.internalDTD is not None:
        raise SourceError("an XML document with a DTD, which no publisher of ours uses")


def _count_nodes(data: bytes, before: int) -> int:
    """Return `before` plus the nodes that `data` may hold: `<` of elements and `=` of attributes.

    It holds in any encoding. Raises SourceError above MAX_NODES.
    """
    count = before + data.count(b"<") + data.count(b"=")
    if count > MAX_NODES:
        raise SourceError(f"XML of more than {MAX_NODES:,} nodes in one piece")
    return count


def _free_entry(element: Element, parent: Element) -> None:
    """Free an entry that was used, and its previous siblings."""
    element.clear()
    while element.getprevious() is not None:
        del parent[0]
