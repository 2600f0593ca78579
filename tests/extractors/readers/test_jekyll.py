from __future__ import annotations

from source_fixtures import MakeFile, MakeSource

from securetag.extractors.readers.base import Drop
from securetag.extractors.readers.jekyll import JekyllReader
from securetag.records import Record

LONG = "A sentence that is long enough to be worth a Record of its own, and then some more of it."
HOST = """---
layout: page
title: "Of Doors"
---

{{ site.time | date_to_rfc822 }}
{% include_relative parts/walls.md %}
{%- include_relative parts/../parts/locks.md level="2" -%}
"""
WALLS = f"""<a name="walls"></a>

<div class="breaker"></div>

## <a name="w"></a>1 Walls

{LONG} It was built {{{{ page.date }}}} and `{{{{ site.kept }}}}`.{{: .note }}

### 1.1 Bricks

{LONG}
"""


def test_parts_belong_to_their_page(make_source: MakeSource, make_file: MakeFile) -> None:
    source = make_source(options={"page": "https://e.org/{stem}.html", "whole": 100})
    files = [
        make_file("doors.md", HOST),
        make_file("parts/walls.md", WALLS),
        make_file("parts/locks.md", f"## 2 Locks\n\n{LONG}\n"),
        make_file("README.md", f"# How to build\n\n{LONG}\n"),
        make_file("alone.md", f"---\ntitle: Alone\n---\n{LONG}\n"),
    ]
    items = list(JekyllReader(source).read(files))
    records = {item.key: item for item in items if isinstance(item, Record)}
    assert list(records) == ["doors#1-walls", "doors#1-walls/1-1-bricks", "doors#2-locks", "alone"]
    bricks = records["doors#1-walls/1-1-bricks"]
    assert bricks.title == "Of Doors: 1.1 Bricks"
    assert bricks.facts.section == ["Of Doors", "1 Walls", "1.1 Bricks"]
    assert bricks.url == "https://e.org/doors.html"
    assert bricks.file_sha256 == files[1].sha256
    assert records["doors#1-walls"].text == f"{LONG} It was built and `{{{{ site.kept }}}}`."
    assert [item.reason for item in items if isinstance(item, Drop)] == [
        "a page that holds nothing but other files",
        "a file that no page includes",
    ]
