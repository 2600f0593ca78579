from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.base import Drop
from securetag.extractors.readers.markdown import MarkdownReader
from securetag.extractors.text.markdown_blocks import iter_headings, split_front_matter
from securetag.records import Record

LONG = "A sentence that is long enough to be worth a Record of its own, and then some more of it."
DOCUMENT = f"""---
title: "Doors"
---
# Doors {{: .title }}

{LONG}

## Locks

{LONG} See [keys](https://e.org/keys).

```python
# not a heading
x = "{{{{ kept }}}}"  # &amp; kept
```

Setext
------

~~~
## neither
~~~

{LONG} <script>alert(1)</script>

### \\#1 Deep ###

{LONG}

## References

- [a](https://e.org) {LONG}

## Stub

Moved.
"""


def read(reader: MarkdownReader, *files: FetchedFile) -> tuple[list[Record], list[Drop]]:
    items = list(reader.read(files))
    drops = [item for item in items if isinstance(item, Drop)]
    return [item for item in items if isinstance(item, Record)], drops


def test_sections(make_source: MakeSource, make_file: MakeFile) -> None:
    source = make_source(options={"whole": 300, "page": "https://e.org/{stem}.html"})
    text = "\ufeff" + DOCUMENT.replace("\n", "\r\n")
    records, drops = read(MarkdownReader(source), make_file("doors.md", text))
    assert [record.key for record in records] == ["doors", "doors#locks", "doors#setext"]
    by_title = {record.title: record for record in records}
    locks = by_title["Doors: Locks"]
    assert '# not a heading\nx = "{{ kept }}"  # &amp; kept' in locks.text
    assert "See keys." in locks.text
    assert "<script>alert(1)</script>" in by_title["Doors: Setext"].text
    assert locks.url == "https://e.org/doors.html"
    assert {drop.reason for drop in drops} >= {"a list of links", "shorter than 80 characters"}


def test_a_short_document_is_one_record(make_source: MakeSource, make_file: MakeFile) -> None:
    records, _ = read(
        MarkdownReader(make_source()), make_file("a b.md", f"# One\n\n{LONG}\n\n## Two\n\n{LONG}")
    )
    (record,) = records
    assert record.key == "a b"
    assert record.text == f"{LONG}\n\n## Two\n\n{LONG}"


def test_the_same_heading_twice_gives_two_keys(make_source: MakeSource, make_file: MakeFile) -> None:
    text = f"# T\n\n## A\n\n{LONG} 1\n\n## A\n\n{LONG} 2\n"
    records, _ = read(MarkdownReader(make_source(options={"whole": 100})), make_file("d.md", text))
    assert [record.key for record in records] == ["d#a", "d#a-2"]


def test_bytes_that_are_no_utf8(make_source: MakeSource, make_file: MakeFile) -> None:
    latin = make_file("l.md", f"# Caf\xe9\n\n{LONG} na\xefve".encode("cp1252"))
    wide = make_file("w.md", f"# Café\n\n{LONG} naïve".encode("utf-16"))
    records, _ = read(MarkdownReader(make_source()), latin, wide)
    assert [record.title for record in records] == ["Café", "Café"]


@given(st.text(alphabet="#=-`~ab \n\t>*", max_size=200))
def test_every_line_is_text_or_heading_once(text: str) -> None:
    numbers = [number for _, _, number in iter_headings(text)]
    assert numbers == sorted(set(numbers))
    underlined = sum(level in (1, 2) for level, _, _ in iter_headings(text))
    assert text.count("\n") + 1 - underlined <= len(numbers) <= text.count("\n") + 1


def test_front_matter_that_never_ends_is_text() -> None:
    assert split_front_matter("---\ntitle: x\n") == ({}, "---\ntitle: x\n")
    assert split_front_matter("---\ntitle: 'x'\n---\nbody") == ({"title": "x"}, "body")
