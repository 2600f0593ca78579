from __future__ import annotations

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.base import Drop
from securetag.extractors.readers.owasp.mastg import MastgReader
from securetag.extractors.readers.owasp.pages import OwaspReader, split_entries
from securetag.records import Record, Status

LONG = "A sentence that is long enough to be worth a Record of its own, and then some more of it."
RISK = f"""\ufeff# A07:2030 – Open Doors    ![icon](a/i.png){{: style="height:80px" align="right"}}

## Factors

| CWEs Mapped | Max Rate |
|:--:|:--:|
| 3 | 19.09% |

## Overview

{LONG} *CWE-999: a mention*. See A03:2030 and WSTG-INPV-05.

## How to Prevent

Doors are shut so:

- Shut the door with a `key` that fits it.
  And then try it.
- Lock the window as well, with <b> and `<b>`.

```sh
lock --all
```

## References

- [Locks](https://e.org/locks_(wood))
- [CWE-5](https://cwe.mitre.org/data/definitions/5.html)

## List of Mapped CWEs

[CWE-1 One](https://cwe.mitre.org/data/definitions/1.html)

* [CWE-022 Two](https://cwe.mitre.org/data/definitions/22.html)
"""


def read(reader: OwaspReader, *files: FetchedFile) -> tuple[dict[str, Record], list[Drop]]:
    items = list(reader.read(sorted(files, key=lambda file: file.url)))
    assert all(isinstance(item, Record | Drop) for item in items), items
    records = [item for item in items if isinstance(item, Record)]
    assert len({(record.key, record.lang, record.status) for record in records}) == len(records)
    return {record.key: record for record in records}, [item for item in items if isinstance(item, Drop)]


def test_a_risk(make_source: MakeSource, make_file: MakeFile) -> None:
    source = make_source(options={"kind": "risk", "page": "https://o.org/{tail}/", "root": "/docs/(?:en/)?"})
    url = "https://raw.example.org/x/docs/en/A07_2030-Open_Doors.md"
    records, drops = read(OwaspReader(source), make_file("a.md", RISK, url))
    risk = records["A07:2030"]
    assert (risk.title, risk.url) == ("Open Doors", "https://o.org/A07_2030-Open_Doors/")
    assert risk.text.startswith("## Overview\n\n")
    assert "lock --all" in risk.text
    assert "Mapped" not in risk.text
    facts = risk.facts
    assert facts.kind == "risk"
    assert facts.cwe == ["CWE-1", "CWE-22"]
    assert facts.related == ["A03:2030", "WSTG-INPV-05"]
    assert facts.references == ["https://e.org/locks_(wood)"]
    assert facts.mitigations == [
        "Shut the door with a `key` that fits it.\n  And then try it.",
        "Lock the window as well, with ** and `<b>`.\n\n```sh\nlock --all\n```",
    ]
    assert [drop.reason for drop in drops] == ["a table of scores", "a list of links", "a list of links"]


@pytest.mark.parametrize(
    ("title", "edition", "key", "name"),
    [
        pytest.param("A03:2021 – Inyección", "2021", "A03:2021", "Inyección", id="Top 10 in Spanish"),
        pytest.param("A1:2017-Injection", "2017", "A1:2017", "Injection", id="hyphen after the year"),
        pytest.param("A1 – Injection", "2013", "A1:2013", "Injection", id="year of the edition"),
        pytest.param(
            "API10:2023 Unsafe Consumption",
            "2023",
            "API10:2023",
            "Unsafe Consumption",
            id="API without a mark",
        ),
        pytest.param("LLM04: Envenenamiento", "2025", "LLM04:2025", "Envenenamiento", id="colon"),
        pytest.param(
            "M1: Improper Use",
            "final 2023 release",
            "M1:2023",
            "Improper Use",
            id="year in the edition's text",
        ),
        pytest.param("C1: Implement", "4", "C1", "Implement", id="no year"),
        pytest.param("CICD-SEC-1: Flow Control", "1", "CICD-SEC-1", "Flow Control", id="hyphens"),
        pytest.param("MASVS-STORAGE: Storage", "2", "MASVS-STORAGE", "Storage", id="control group"),
        pytest.param("MASVS-STORAGE-1", "2", "MASVS-STORAGE-1", "The app keeps secrets.", id="control"),
    ],
)
def test_identifiers(
    make_source: MakeSource, make_file: MakeFile, title: str, edition: str, key: str, name: str
) -> None:
    text = f"# {title}\n\n## Control\n\nThe app keeps secrets.\n\n## Description\n\n{LONG}\n"
    records, _ = read(OwaspReader(make_source(edition=edition)), make_file("x.md", text))
    assert (*records,) == (key,)
    assert records[key].title == name


@pytest.mark.parametrize(
    "title", ["SQL Injection", "TLS 1.3", "V2 Authentication", "OAuth2 Flows", "X", "API1"], ids=str
)
def test_titles_that_are_none(make_source: MakeSource, make_file: MakeFile, title: str) -> None:
    records, _ = read(OwaspReader(make_source()), make_file("page.md", f"# {title}\n\n{LONG}\n"))
    assert (*records,) == ("page",)
    assert records["page"].facts.kind == "section"


def wstg(identifier: str, text: str) -> str:
    return f"# A Test of {identifier or 'Parts'}\n\n" + (
        f"|ID          |\n|------------|\n|{identifier}|\n\n{text}" if identifier else text
    )


def test_tests_parts_and_stubs(make_source: MakeSource, make_file: MakeFile) -> None:
    base = "https://raw.example.org/document/4/07/"
    merged = "This was merged into another.\n\n[merged]: # (WSTG-INPV-01)\n"
    long = f"## Summary\n\n{LONG}\n\n## How to Test\n\n" + f"### Step\n\n{LONG}\n\n" * 2
    source = make_source(options={"whole": 150, "kind": "test"})
    records, drops = read(
        OwaspReader(source),
        make_file("a", wstg("WSTG-INPV-01", long), base + "01-A.md"),
        make_file("b", wstg("", LONG), base + "01.2-B.md"),
        make_file("c", wstg("WSTG-INPV-02", merged), base + "02-C.md"),
        make_file("d", wstg("WSTG-INPV-13", "This content has been removed."), base + "13-D.md"),
        make_file("e", wstg("WSTG-INPV-13", LONG), base + "13-E.md"),
        make_file("f", wstg("", "This content has moved."), base + "14-F.md"),
        make_file("g", f"# 7 Tests\n\n7.1 [A](01-A.md)\n\n7.2 [{'C' * 40}](02-C.md)\n", base + "README.md"),
    )
    assert records["WSTG-INPV-01"].text == f"## Summary\n\n{LONG}"
    assert "|" not in records["WSTG-INPV-01"].text
    assert [key for key in records if "#" in key] == [
        "WSTG-INPV-01#how-to-test/step",
        "WSTG-INPV-01#how-to-test/step-2",
    ]
    assert records["WSTG-INPV-01.2"].facts.parents == ["WSTG-INPV-01"]
    assert records["WSTG-INPV-02"].status is Status.WITHDRAWN
    assert records["WSTG-INPV-02"].facts.related == ["WSTG-INPV-01"]
    assert records["WSTG-INPV-13"].status is Status.ACTIVE
    assert [drop.reason for drop in drops] == ["shorter than 80 characters", "a list of links"]


def test_pages_of_one_name_and_languages(make_source: MakeSource, make_file: MakeFile) -> None:
    german = "Eine Tür, die offen steht, lädt jeden ein, der vorbeikommt, und das ist nicht immer gewollt."
    records = [
        item
        for item in OwaspReader(make_source()).read(
            [
                make_file("1", f"# Doors\n\n{LONG}", "https://e.org/a/README.md"),
                make_file("2", f"# Windows\n\n{LONG} 2", "https://e.org/b/README.md"),
                make_file("3", f"# Puertas\n\n{LONG} 3", "https://e.org/es/doors.md"),
                make_file("4", f"# Türen\n\n{german}", "https://e.org/en/doors.md"),
                make_file("5", f"# About OWASP\n\n{LONG}", "https://e.org/about.md"),
            ]
        )
        if isinstance(item, Record)
    ]
    assert [(record.key, record.lang) for record in records] == [
        ("a", "en"),
        ("b", "en"),
        ("doors", "en"),
        ("doors", "de"),
    ]


def test_entries() -> None:
    text = "Lead-in, that is long enough:\n\n- one is long enough too\n\n  with more\n- two\n\n## Head\n"
    assert split_entries(text) == ["Lead-in, that is long enough:", "one is long enough too\n\n  with more"]


MOBILE = f"""---
title: Secrets in Backups
platform: android
id: MASTG-TEST-0900
type: [dynamic]
weakness: MASWE-0007
best-practices: [MASTG-BEST-0900]
profiles: [L1, R]
---

## Overview

{LONG} Use @MASTG-TOOL-0001 (@MASTG-KNOW-0900), but not `@MASTG-KNOW-0900`.

!!! Warning

    Mind the gap.
"""


def test_mobile_pages(make_source: MakeSource, make_file: MakeFile) -> None:
    old = MOBILE.replace("type: [dynamic]", "status: deprecated\ncovered_by: [MASTG-TEST-0900]")
    files = [
        make_file("1", MOBILE, "https://e.org/t/MASTG-TEST-0900.md"),
        make_file("2", old.replace("TEST-0900\n", "TEST-0001\n", 1), "https://e.org/t/MASTG-TEST-0001.md"),
        make_file("3", f"---\ntitle: Keys\nplatform: ios\n---\n\n{LONG}", "https://e.org/MASTG-KNOW-0900.md"),
        make_file("4", f"---\ntitle: 'Wipe them'\n---\n{LONG}", "https://e.org/MASTG-BEST-0900.md"),
        make_file("5", "---\ntitle: T\nstatus: placeholder\n---\n", "https://e.org/MASTG-TEST-0901.md"),
    ]
    records, drops = read(MastgReader(make_source()), *files)
    test = records["MASTG-TEST-0900"]
    assert "MASTG-TOOL-0001 (“Keys” (MASTG-KNOW-0900)), but not `@MASTG-KNOW-0900`" in test.text
    assert test.text.endswith("**Warning**\n\nMind the gap.")
    assert test.facts.parents == ["MASWE-0007"]
    assert test.facts.platforms == ["android"]
    assert test.facts.levels == ["L1", "R"]
    assert test.facts.mitigations == ["“Wipe them” (MASTG-BEST-0900)"]
    assert test.facts.related == ["MASTG-BEST-0900", "MASTG-TOOL-0001", "MASTG-KNOW-0900"]
    assert records["MASTG-TEST-0001"].status is Status.DEPRECATED
    assert "MASTG-TEST-0900" in records["MASTG-TEST-0001"].facts.related
    assert [record.facts.kind for record in records.values()] == ["practice", "article", "test", "test"]
    assert [drop.reason for drop in drops] == ["a placeholder for a page that isn't written"]
