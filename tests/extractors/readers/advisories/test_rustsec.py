from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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
def read(make_source: Callable[..., Any], make_file: Callable[..., Any]) -> Read:
    return lambda content: list(RustSecReader(make_source()).read([make_file("a.md", content)]))


def one(items: list[Item]) -> Record:
    (item,) = items
    assert isinstance(item, Record), item
    return item


def test_front_matter_title_and_body(read: Read) -> None:
    found = one(read("\ufeff" + (FRONT + BODY).replace("\n", "\r\n")))
    assert found.title == "RUSTSEC-2031-0001: `Lid` comes off"
    assert found.text.startswith(
        "The lid comes off:\n\n```rust\n# not a heading\n```\n\n# Update\n\nGlue it.\n"
    )
    assert "- crates.io/teapot: all versions except `>= 1.2`; `< 1.0`" in found.text
    assert "- `teapot::Lid::open`" in found.text
    facts = found.facts
    assert (facts.cvss, facts.severity, facts.platforms) == (7.5, "high", ["windows"])
    assert facts.aliases == ["CVE-2031-0001", "GHSA-aaaa-bbbb-cccc"]
    assert facts.mitigations == ["Patched versions of `teapot`: `>= 1.2`."]
    assert facts.references == ["https://x.example/1", "https://x.example/2"]
    assert found.licence == "CC-BY-4.0"
    assert found.url == "https://rustsec.org/advisories/RUSTSEC-2031-0001.html"


def test_informational_and_withdrawn(read: Read) -> None:
    front = FRONT.replace(
        'cvss = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"', 'informational = "unmaintained"'
    )
    front = front.replace('"2031-02-03"', "2031-02-03\nwithdrawn = 2031-03-01")
    found = one(read(front + BODY))
    assert (found.facts.severity, found.facts.published, found.status) == (
        "info",
        "2031-02-03",
        Status.WITHDRAWN,
    )


def test_a_title_alone_is_the_text(read: Read) -> None:
    assert one(read(FRONT + "# Lid comes off\n")).text.startswith("Lid comes off")


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "# No front matter\n",
        FRONT.replace("id =", "id"),
        "```toml\n" + "a" * 300_000 + "\n```\n",
        FRONT[:-5],
        "```toml\n[advisory]\nid = 5\n```\n",
        "```toml\nx = " + "[" * 50_000 + "\n```\n",
        "```toml\n" + "a." * 60_000 + "b=1\n```\n",
    ],
)
def test_hostile_files_are_failures(read: Read, hostile: str) -> None:
    assert [type(item) for item in read(hostile)] == [Failure]
