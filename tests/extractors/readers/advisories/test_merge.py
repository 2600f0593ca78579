from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.advisories.merge import (
    MergeReader,
    cluster_records,
    join_licences,
    merge_texts,
    split_blocks,
)
from securetag.records import Facts, JsonObject, Record, Status

PARTS = ["cve-list", "nvd", "ghsa", "kev"]


def record(source: str, key: str, text: str = "The lid comes off.", **changes: Any) -> Record:
    row: JsonObject = {
        "publisher": source.upper(),
        "title": f"{key}: {source}'s name",
        "lang": "en",
        "edition": "1",
        "url": f"https://{source}.example/{key}",
        "licence": "MIT",
        "file_sha256": "0" * 64,
        "locator": "/",
        "status": Status.SUPERSEDED,
    }
    facts = changes.pop("facts", Facts())
    return Record.of(source=source, key=key, text=text, facts=facts, **(row | changes))


@pytest.fixture
def merge(make_source: MakeSource, tmp_path: Path) -> Callable[..., dict[tuple[str, str], Record]]:
    def merging(*records: Record, **options: Any) -> dict[tuple[str, str], Record]:
        files = []
        for source in sorted({merged.source for merged in records}):
            path = tmp_path / f"{source}.jsonl"
            path.write_bytes(msgspec.json.Encoder().encode_lines([r for r in records if r.source == source]))
            files.append(FetchedFile(path, "https://e.org", "0" * 64, "1", "MIT"))
        items = list(MergeReader(make_source(records=PARTS, options=options)).read(files))
        assert all(isinstance(item, Record) for item in items)
        merged = [item for item in items if isinstance(item, Record)]
        assert len({(r.key, r.lang) for r in merged}) == len(merged)
        return {(r.key, r.lang): r for r in merged}

    return merging


Merge = Callable[..., dict[tuple[str, str], Record]]
VECTOR = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"


def test_one_record_of_all_that_is_said(merge: Merge) -> None:
    members = [
        record(
            "ghsa",
            "GHSA-a",
            "The lid comes off.\n\n## Fix\n\nGlue it.",
            licence="CC-BY-4.0",
            facts=Facts(
                aliases=["CVE-2031-1000"],
                cvss=7.5,
                cvss_vector=VECTOR,
                severity="high",
                packages=["PyPI/teapot"],
                mitigations=["Glue it."],
                published="2031-02-01",
            ),
        ),
        record(
            "cve-list",
            "CVE-2031-1000",
            "The lid  comes off.",
            licence="CC0-1.0",
            facts=Facts(cwe=["CWE-1"], packages=["Maker/Teapot"], published="2031-02-03"),
        ),
        record(
            "nvd",
            "CVE-2031-1000",
            title="CVE-2031-1000 (maker/teapot)",
            facts=Facts(cwe=["CWE-1", "CWE-2"], cvss=9.0, cvss_vector="AV:N/AC:L", severity="high"),
        ),
        record("nvd", "CVE-2031-1000", "La tapa se suelta.", lang="es", title="CVE-2031-1000 (maker/teapot)"),
        record(
            "kev",
            "CVE-2031-1000",
            "## Required action\n\nGlue it.\n\nBy Friday.",
            facts=Facts(exploited=True),
        ),
    ]
    merged = merge(*members)
    assert set(merged) == {("CVE-2031-1000", "en"), ("CVE-2031-1000", "es")}
    english, spanish = merged["CVE-2031-1000", "en"], merged["CVE-2031-1000", "es"]
    assert english.text == (
        "The lid  comes off.\n\n## GHSA (GHSA-a)\n\n### Fix\n\nGlue it.\n\n"
        "## KEV (CVE-2031-1000)\n\n### Required action\n\nBy Friday."
    )
    assert english.title == "CVE-2031-1000: cve-list's name"
    assert english.licence == "CC-BY-4.0 AND CC0-1.0 AND MIT"
    assert english.publisher == "CVE-LIST, NVD, GHSA, KEV"
    assert english.status is Status.ACTIVE
    facts = english.facts
    assert (facts.cvss, facts.cvss_vector, facts.severity) == (7.5, VECTOR, "high")
    assert (facts.cwe, facts.aliases, facts.exploited) == (["CWE-1", "CWE-2"], ["GHSA-a"], True)
    assert (facts.packages, facts.published) == (["Maker/Teapot", "PyPI/teapot"], "2031-02-01")
    for member in members:
        assert f"{member.source}:{member.id}" in english.locator
    assert spanish.text == "La tapa se suelta."
    assert spanish.title == "CVE-2031-1000 (maker/teapot)"
    assert (spanish.facts.cvss, spanish.facts.mitigations) == (7.5, [])


def test_the_order_of_scores_is_an_option(merge: Merge) -> None:
    members = [
        record("cve-list", "CVE-2031-1000", facts=Facts(cvss=7.5, cvss_vector=VECTOR)),
        record("nvd", "CVE-2031-1000", facts=Facts(cvss=8.5, cvss_vector=VECTOR)),
    ]
    assert merge(*members)["CVE-2031-1000", "en"].facts.cvss == 7.5
    assert merge(*members, scores=["nvd"])["CVE-2031-1000", "en"].facts.cvss == 8.5


def test_an_advisory_without_a_cve_goes_by_the_first_of_the_databases(merge: Merge) -> None:
    go = record("nvd", "GO-2031-1", facts=Facts(aliases=["GHSA-a"]))
    python = record("ghsa", "PYSEC-2031-1", "Other words.", facts=Facts(aliases=["GHSA-a"]))
    (merged,) = merge(go, python).values()
    assert (merged.key, merged.facts.aliases) == ("GHSA-a", ["GO-2031-1", "PYSEC-2031-1"])


def test_two_cves_never_become_one(merge: Merge) -> None:
    both = record("ghsa", "RUSTSEC-1", "Both.", facts=Facts(aliases=["CVE-2031-1000", "CVE-2031-2000"]))
    twin = record("ghsa", "GHSA-a", "Twin.", facts=Facts(aliases=["RUSTSEC-1"]))
    first, second = record("nvd", "CVE-2031-1000", "First."), record("nvd", "CVE-2031-2000", "Second.")
    merged = merge(both, twin, first, second)
    assert {key for key, _ in merged} == {"CVE-2031-1000", "CVE-2031-2000"}
    for key, own_text, other in (
        ("CVE-2031-1000", "First.", "Second."),
        ("CVE-2031-2000", "Second.", "First."),
    ):
        text = merged[key, "en"].text
        assert text.startswith(own_text)
        assert "Both." in text
        assert "Twin." in text
        assert other not in text
        assert merged[key, "en"].facts.aliases == ["GHSA-a", "RUSTSEC-1"]


@pytest.mark.parametrize(
    ("cve", "advisory", "expected"),
    [
        pytest.param(
            Status.SUPERSEDED, Status.WITHDRAWN, Status.ACTIVE, id="superseded CVE, withdrawn advisory"
        ),
        pytest.param(Status.REJECTED, Status.SUPERSEDED, Status.REJECTED, id="rejected CVE"),
        pytest.param(Status.SUPERSEDED, Status.ACTIVE, Status.ACTIVE, id="superseded CVE, active advisory"),
        pytest.param(None, Status.WITHDRAWN, Status.WITHDRAWN, id="withdrawn advisory alone"),
    ],
)
def test_status(merge: Merge, cve: Status | None, advisory: Status, expected: Status) -> None:
    members = [record("ghsa", "GHSA-a", "Advice.", status=advisory, facts=Facts(aliases=["CVE-2031-1000"]))]
    members += [record("nvd", "CVE-2031-1000", status=cve)] if cve else []
    merged = merge(*members)["CVE-2031-1000", "en"]
    assert merged.status is expected
    assert ("Advice." in merged.text) == (advisory is not Status.WITHDRAWN or cve is None)


def test_no_records_is_a_failure(make_source: MakeSource, make_file: MakeFile) -> None:
    items = list(MergeReader(make_source(records=PARTS)).read([make_file("a.jsonl", "{}\n")]))
    assert [type(item) for item in items] == [Failure]


def test_code_stays_whole_and_nothing_stands_twice() -> None:
    first = "One.\n\n```\na\n\nb\n```\n\nTwo."
    assert list(split_blocks(first)) == ["One.", "```\na\n\nb\n```", "Two."]
    second = "# Title\n\nTWO!\n\n## Gone\n\none\n\n## Kept\n\n```\na\n\n# c\n```"
    assert merge_texts([("A", "1", first), ("B", "2", second)]) == (
        f"{first}\n\n## B (2)\n\n## Title\n\n### Kept\n\n```\na\n\n# c\n```"
    )


def test_licences() -> None:
    assert join_licences(["MIT", "MIT"]) == "MIT"
    assert join_licences(["MIT", "A OR B"]) == "(A OR B) AND MIT"


NAMES = st.sampled_from(
    [*(f"CVE-2031-100{n}" for n in range(4)), *(f"GHSA-{n}" for n in range(5)), "GO-1", "GO-2"]
)


@given(st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=3)), max_size=12))
def test_no_record_is_lost_and_no_cluster_holds_two_cves(given_: list[tuple[str, list[str]]]) -> None:
    records = [
        record("nvd", key, f"{n}", facts=Facts(aliases=aliases)) for n, (key, aliases) in enumerate(given_)
    ]
    clusters = cluster_records(records)
    assert {r.id for members in clusters.values() for r in members} == {r.id for r in records}
    for key, members in clusters.items():
        for member in members:
            cves = [name for name in (member.key, *member.facts.aliases) if name.startswith("CVE")]
            assert key in cves or not cves
    assert cluster_records(list(reversed(records))).keys() == clusters.keys()
