from __future__ import annotations

from collections.abc import Callable

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import Failure
from securetag.extractors.readers.advisories.rustsec import RustSecReader
from securetag.extractors.readers.base import Item
from securetag.records import Record, Status

FRONT = """```toml
[advisory]
id = "RUSTSEC-2031-0001"
package = "teapot"
date = "2031-02-03"
url = "https://x.example/1"
references = ["https://x.example/2"]
aliases = ["CVE-2031-0001", "GHSA-aaaa-bbbb-cccc"]
cvss = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"
license = "CC-BY-4.0"

[affected]
os = ["windows"]

[affected.functions]
"teapot::Lid::open" = ["*"]

[versions]
patched = [">= 1.2"]
unaffected = ["< 1.0"]
```
"""
BODY = "\n# `Lid` comes off\n\nThe lid comes off:\n\n```rust\n# not a heading\n```\n\n# Update\n\nGlue it.\n"
Read = Callable[[str], list[Item]]


@pytest.fixture
def read(make_source: MakeSource, make_file: MakeFile) -> Read:
    return lambda content: list(RustSecReader(make_source()).read([make_file("a.md", content)]))


def get_only_record(items: list[Item]) -> Record:
    (item,) = items
    assert isinstance(item, Record), item
    return item


def test_front_matter_title_and_body(read: Read) -> None:
    record = get_only_record(read("\ufeff" + (FRONT + BODY).replace("\n", "\r\n")))
    assert record.title == "RUSTSEC-2031-0001: `Lid` comes off"
    assert record.text.startswith(
        "The lid comes off:\n\n```rust\n# not a heading\n```\n\n# Update\n\nGlue it.\n"
    )
    assert "- crates.io/teapot: all versions except `>= 1.2`; `< 1.0`" in record.text
    assert "- `teapot::Lid::open`" in record.text
    facts = record.facts
    assert (facts.cvss, facts.severity, facts.platforms) == (7.5, "high", ["windows"])
    assert facts.aliases == ["CVE-2031-0001", "GHSA-aaaa-bbbb-cccc"]
    assert facts.mitigations == ["Patched versions of `teapot`: `>= 1.2`."]
    assert facts.references == ["https://x.example/1", "https://x.example/2"]
    assert record.licence == "CC-BY-4.0"
    assert record.url == "https://rustsec.org/advisories/RUSTSEC-2031-0001.html"


def test_informational_and_withdrawn(read: Read) -> None:
    front = FRONT.replace(
        'cvss = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"', 'informational = "unmaintained"'
    )
    front = front.replace('"2031-02-03"', "2031-02-03\nwithdrawn = 2031-03-01")
    record = get_only_record(read(front + BODY))
    assert (record.facts.severity, record.facts.published, record.status) == (
        "info",
        "2031-02-03",
        Status.WITHDRAWN,
    )


def test_a_title_alone_is_the_text(read: Read) -> None:
    assert get_only_record(read(FRONT + "# Lid comes off\n")).text.startswith("Lid comes off")


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("", id="empty"),
        pytest.param("# No front matter\n", id="no front matter"),
        pytest.param(FRONT.replace("id =", "id"), id="invalid TOML"),
        pytest.param("```toml\n" + "a" * 300_000 + "\n```\n", id="long key"),
        pytest.param(FRONT[:-5], id="open fence"),
        pytest.param("```toml\n[advisory]\nid = 5\n```\n", id="id is a number"),
        pytest.param("```toml\nx = " + "[" * 50_000 + "\n```\n", id="brackets"),
        pytest.param("```toml\n" + "a." * 60_000 + "b=1\n```\n", id="dotted key"),
    ],
)
def test_hostile_files_are_failures(read: Read, hostile: str) -> None:
    assert [type(item) for item in read(hostile)] == [Failure]
