"""Hostile XML: refused within bounds, whoever reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from within import within

from securetag.errors import SourceError
from securetag.extractors.text.xml_doc import get_name, iter_entries, parse_xml

LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
MANY = 2_100_000
#: Made when they are asked for, since some are large.
HOSTILE: dict[str, Callable[[], str | bytes]] = {
    "external entity": lambda: (
        '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><r><g><e>&a;</e></g></r>'
    ),
    "external DTD": lambda: '<!DOCTYPE r SYSTEM "http://192.0.2.1/x.dtd"><r><g><e/></g></r>',
    "parameter entity": lambda: (
        '<!DOCTYPE r [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><r><g><e/></g></r>'
    ),
    "billion laughs": lambda: f'<!DOCTYPE r [<!ENTITY a0 "ha">{LAUGHS}]><r><g><e>&a11;</e></g></r>',
    "laughs in an attribute": lambda: f'<!DOCTYPE r [<!ENTITY a0 "ha">{LAUGHS}]><r a="&a11;"><g><e/></g></r>',
    "quadratic blowup": lambda: (
        f'<!DOCTYPE r [<!ENTITY a "{"x" * 50_000}">]><r><g><e>{"&a;" * 50_000}</e></g></r>'
    ),
    "unknown entity": lambda: "<r><g><e>&nbsp;</e></g></r>",
    "deep": lambda: "<r>" * 100_000,
    "a text of 11 MB": lambda: f"<r><g><e>{'x' * 11_000_000}</e></g></r>",
    "an attribute of 11 MB": lambda: f'<r><g><e a="{"x" * 11_000_000}"/></g></r>',
    "many elements": lambda: f"<r><g><e>{'<x/>' * MANY}</e></g></r>",
    "many attributes": lambda: "<r><g><e " + " ".join(f"a{n}=''" for n in range(MANY)) + "/></g></r>",
    "truncated": lambda: "<r><g><e>text</e>",
    "two roots": lambda: "<r><g><e/></g></r><r/>",
    "no XML": lambda: "\x00\x01\x02",
    "empty": lambda: "",
    "wrong encoding": lambda: '<?xml version="1.0" encoding="utf-16"?><r><g><e/></g></r>',
    "unknown encoding": lambda: '<?xml version="1.0" encoding="x-mine"?><r><g><e/></g></r>',
    "broken UTF-8": lambda: b"<r><g><e>\xff\xfe</e></g></r>",
}


@pytest.mark.hostile
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_xml_is_refused_within_bounds(name: str, tmp_path: Path) -> None:
    document = HOSTILE[name]()
    data = document if isinstance(document, bytes) else document.encode()
    path = tmp_path / "h.xml"
    path.write_bytes(data)
    with pytest.raises(SourceError):
        parse_xml(data)
    with pytest.raises(SourceError):
        list(iter_entries(path, "r", ["e"]))


def test_a_document_larger_than_its_bound_on_nodes_streams(tmp_path: Path) -> None:
    path = tmp_path / "big.xml"
    entry = "<e>" + "<x/>" * 3_000 + "</e>"
    path.write_text("<r><g>" + entry * 800 + "</g></r>")
    with pytest.raises(SourceError, match="nodes"):
        parse_xml(path.read_bytes())
    with within(memory=100 << 20):
        assert sum(len(entry) for entry in iter_entries(path, "r", ["e"])) == 2_400_000


def test_entries_are_the_roots_grandchildren_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text('<r xmlns="u:1"><!-- c --><e/><g><e n="1"><e n="2"/></e><f/><?pi?><e n="3"/></g></r>')
    assert [entry.get("n") for entry in iter_entries(path, "r", ["e"])] == ["1", "3"]
    with pytest.raises(SourceError, match="the root is r, not s"):
        list(iter_entries(path, "s", ["e"]))
    with pytest.raises(SourceError, match="No such file"):
        list(iter_entries(tmp_path / "none.xml", "r", ["e"]))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"], ids=str)
def test_encodings(tmp_path: Path, encoding: str) -> None:
    declared = "" if encoding.endswith("sig") else f'<?xml version="1.0" encoding="{encoding}"?>'
    data = f"{declared}<r><g><e>señal</e></g></r>".encode(encoding)
    path = tmp_path / "a.xml"
    path.write_bytes(data)
    assert [entry.text for entry in iter_entries(path, "r", ["e"])] == ["señal"]
    assert get_name(parse_xml(data)) == "r"
