"""Lists of what a document cites are no sections to learn from, in any format."""

from __future__ import annotations

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.readers.base import Drop, Reader, is_reference_list
from securetag.extractors.readers.html import HtmlReader
from securetag.extractors.readers.markdown import MarkdownReader
from securetag.records import Record

SENTENCE = (
    "Every door has a lock, every lock has an owner, and every owner writes down who holds a key to it."
)
CITED = [
    '[1] Ana Soler, "Doors and their keys", Journal of Locks, vol. 3, 2019.',
    "[2] The house rules, available at: https://house.example/rules.",
]


@pytest.mark.parametrize(("reader", "name"), [(MarkdownReader, "d.md"), (HtmlReader, "d.html")])
def test_references_are_left_out(
    reader: type[Reader], name: str, make_source: MakeSource, make_file: MakeFile
) -> None:
    parts = [("Keys", [SENTENCE]), ("9.1 References", CITED), ("Locks", [SENTENCE])]
    if name.endswith("md"):
        text = "# Doors\n\n" + "\n\n".join(f"## {title}\n\n" + "\n\n".join(body) for title, body in parts)
    else:
        body = "".join(f"<h2>{title}</h2>" + "".join(f"<p>{p}</p>" for p in body) for title, body in parts)
        text = f"<html><body><main><h1>Doors</h1>{body}</main></body></html>"
    source = make_source(options={"whole": 100})
    items = list(reader(source).read([make_file(name, text.encode())]))
    assert [item.title for item in items if isinstance(item, Record)] == ["Doors: Keys", "Doors: Locks"]
    assert [item.reason for item in items if isinstance(item, Drop)] == ["a list of references"]


def test_prose_about_references_stays() -> None:
    assert is_reference_list(["Doors", "A. References", "Standards"], "\n\n".join(CITED))
    assert not is_reference_list(["References", "Keys"], "\n\n".join(CITED))  # the document's own title
    assert not is_reference_list(["Doors", "References"], SENTENCE)
    assert not is_reference_list(["Doors", "Object references"], "\n\n".join(CITED))
