"""What a Record says of affected versions is what the specifications' algorithms say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from securetag.extractors.readers.advisories.advisory import render_versions
from securetag.extractors.readers.advisories.affected_ranges import (
    VersionEntry,
    evaluate_osv,
    evaluate_product,
)
from securetag.extractors.readers.advisories.version_order import FIRST, LAST, Scheme, make_key

Events = Sequence[Mapping[str, str]]
#: Versions of the random ranges. The oracle compares them as tuples, with `*` after every number.
VERSIONS = [f"{major}.{minor}" for major in range(1, 5) for minor in range(4)]
ANY = float("inf")


def number(version: str) -> tuple[float, ...]:
    return tuple(ANY if part == "*" else int(part) for part in version.split("."))


# What the sentence says.


def says_affected(line: str, version: str) -> bool:
    """Read `- name: `≥ 1`; `3` except `2`, fixed in `1.4` (`1.*`) and `5` back."""
    if ": " not in line:
        return False
    words = line.split(": ", 1)[1].replace("all versions", "`*`")
    words, _, fixes = words.partition(", fixed in ")
    words, _, exceptions = words.partition(" except ")
    spans = r"`([^`]+)`"
    is_included = any(covers(text, version) for text in re.findall(spans, words))
    is_excepted = any(covers(text, version) for text in re.findall(spans, exceptions))
    is_fixed = any(
        number(fix) <= number(version) <= (number(branch) if branch else (ANY,))
        for fix, branch in re.findall(r"`([^`]+)`(?: \(`([^`]+)`\))?", fixes)
    )
    return is_included and not is_excepted and not is_fixed


def covers(text: str, version: str) -> bool:
    if text == "*":
        return True
    tests = {
        "<": lambda a, b: a < b,
        "≤": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        "≥": lambda a, b: a >= b,
    }
    return all(
        tests[part[0]](number(version), number(part[2:])) if part[0] in tests else part == version
        for part in text.split(", ")
    )


# The algorithms, as the specifications write them.


def is_vulnerable_osv(version: str, ranges: Sequence[Events], versions: Sequence[str]) -> bool:
    return version in versions or any(
        is_before_limits(version, events) and is_in_events(version, events) for events in ranges
    )


def is_before_limits(version: str, events: Events) -> bool:
    limits = [event["limit"] for event in events if "limit" in event]
    return not limits or any(number(version) < number(limit) for limit in limits)


def is_in_events(version: str, events: Events) -> bool:
    vulnerable = False
    for event in sorted(events, key=lambda e: (number(next(iter(e.values()))), "last_affected" in e)):
        kind, bound = next(iter(event.items()))
        if kind == "introduced" and (bound == "0" or number(version) >= number(bound)):
            vulnerable = True
        elif (kind == "fixed" and number(version) >= number(bound)) or (
            kind == "last_affected" and number(version) > number(bound)
        ):
            vulnerable = False
    return vulnerable


def find_status(version: str, default: str, entries: Sequence[VersionEntry]) -> str:
    for entry in entries:
        if not entry.high:
            if version == entry.version:
                return entry.status
            continue
        low = (0.0,) if entry.version == "0" else number(entry.version)
        if low <= number(version) and (
            number(version) < number(entry.less_than)
            if entry.less_than
            else number(version) <= number(entry.less_than_or_equal)
        ):
            status = entry.status
            for at, changed in entry.changes:
                if number(at) <= number(version):
                    status = changed
            return status
    return default


versions = st.sampled_from(VERSIONS)
events = st.lists(
    st.one_of(
        st.builds(lambda v: {"introduced": v}, st.one_of(st.just("0"), versions)),
        st.builds(lambda v: {"fixed": v}, versions),
        st.builds(lambda v: {"last_affected": v}, versions),
        st.builds(lambda v: {"limit": v}, versions),
    ),
    max_size=5,
    unique_by=lambda event: (next(iter(event.values())), "last_affected" in event),
).filter(lambda items: any("introduced" in item for item in items))


@given(st.lists(events, max_size=3), st.lists(versions, max_size=3))
@example([[{"introduced": "1.0"}, {"limit": "2.0"}]], ["3.1"])
@example([[{"fixed": "1.3"}, {"introduced": "1.1"}, {"introduced": "0"}, {"fixed": "1.0"}]], [])
def test_osv_sentences_say_what_the_algorithm_says(ranges: list[Events], listed: list[str]) -> None:
    versions = evaluate_osv("teapot", "PyPI", [("ECOSYSTEM", item) for item in ranges], listed)
    line = render_versions([versions], "en")
    for version in VERSIONS:
        assert says_affected(line, version) == is_vulnerable_osv(version, ranges, listed), (version, line)


status = st.sampled_from(["affected", "unaffected", "unknown"])
highs = st.one_of(versions, st.sampled_from(["*", "1.*", "2.*", "3.*"]))
entries = st.lists(
    st.one_of(
        st.builds(VersionEntry, version=versions, status=status),
        st.builds(
            VersionEntry,
            version=st.one_of(st.just("0"), versions),
            status=status,
            less_than=highs,
            changes=st.lists(st.tuples(versions, status), max_size=3),
        ),
        st.builds(
            VersionEntry,
            version=st.one_of(st.just("0"), versions),
            status=status,
            less_than_or_equal=highs,
            changes=st.lists(st.tuples(versions, status), max_size=2),
        ),
    ),
    min_size=1,
    max_size=5,
)


@given(status, entries)
@example("affected", [VersionEntry("2.1", "unaffected", less_than_or_equal="2.*")])
@example("unaffected", [VersionEntry("2.0", less_than="3.0", changes=[("2.2", "unaffected")])])
def test_cve_sentences_say_what_the_algorithm_says(default: str, entries: list[VersionEntry]) -> None:
    versions = evaluate_product("Maker/Teapot", default, entries)
    line = render_versions([versions], "en") if versions else ""
    for version in VERSIONS:
        expected = find_status(version, default, entries) == "affected"
        assert says_affected(line, version) == expected, (version, line)


BRANCHES = [
    VersionEntry("6.5"),
    VersionEntry("0", "unaffected", less_than="6.5", version_type="semver"),
    VersionEntry("6.1.78", "unaffected", less_than_or_equal="6.1.*", version_type="semver"),
    VersionEntry("6.6.17", "unaffected", less_than_or_equal="6.6.*", version_type="semver"),
    VersionEntry("6.8", "unaffected", less_than_or_equal="*", version_type="original_commit_for_fix"),
]


@pytest.mark.parametrize(
    ("lang", "expected"),
    [
        pytest.param(
            "en", "`≥ 6.5`, fixed in `6.1.78` (`6.1.*`), `6.6.17` (`6.6.*`) and `6.8`", id="English"
        ),
        pytest.param(
            "es", "`≥ 6.5`, corregido en `6.1.78` (`6.1.*`), `6.6.17` (`6.6.*`) y `6.8`", id="Spanish"
        ),
    ],
)
def test_a_kernel_names_the_fix_of_each_branch(lang: str, expected: str) -> None:
    versions = evaluate_product("kernel", "affected", BRANCHES)
    assert versions
    assert render_versions([versions], lang) == f"- kernel: {expected}"


@pytest.mark.parametrize(
    ("default", "entries", "expected"),
    [
        pytest.param(
            "unaffected",
            [VersionEntry("2.0", less_than="3.0", changes=[("2.4.7", "unaffected")])],
            ": `≥ 2.0`, fixed in `2.4.7`",
            id="change",
        ),
        pytest.param(
            "unaffected",
            [VersionEntry("n/a", less_than_or_equal="4.4.0", changes=[("4.4.1", "unaffected")])],
            ": `≤ 4.4.0`, fixed in `4.4.1`",
            id="change behind the range",
        ),
        pytest.param(
            "unaffected",
            [
                VersionEntry(
                    "2.0-beta9",
                    less_than="log4j-core*",
                    changes=[("2.3.1", "unaffected"), ("2.4", "affected"), ("2.15.0", "unaffected")],
                )
            ],
            ": `≥ 2.0-beta9, < 2.3.1`; `≥ 2.4, < 2.15.0`",
            id="several changes",
        ),
        pytest.param("affected", [VersionEntry("7", "unaffected")], ": all versions except `7`", id="hole"),
        pytest.param("affected", [], ": all versions", id="all"),
        pytest.param("unknown", [], "", id="only the name"),
        pytest.param("unknown", [VersionEntry("< 3.8.5")], ": `< 3.8.5`", id="words"),
        pytest.param("unknown", [VersionEntry("a" * 40)], "", id="commit"),
        pytest.param("unknown", [VersionEntry("n/a")], "", id="no version"),
    ],
)
def test_cve_versions(default: str, entries: list[VersionEntry], expected: str) -> None:
    versions = evaluate_product("agent", default, entries)
    assert versions
    assert render_versions([versions], "en") == f"- agent{expected}"


@pytest.mark.parametrize(
    ("default", "entries"),
    [
        pytest.param("unaffected", [], id="unaffected"),
        pytest.param("unaffected", [VersionEntry("1", "unknown")], id="one version unknown"),
        pytest.param("unknown", [VersionEntry("1", "unaffected", less_than="*")], id="fixed only"),
        pytest.param("unaffected", [VersionEntry("a" * 40, "unaffected")], id="commit"),
    ],
)
def test_products_that_no_version_affects(default: str, entries: list[VersionEntry]) -> None:
    assert evaluate_product("agent", default, entries) is None


@pytest.mark.parametrize(
    ("events", "listed", "last_known", "expected"),
    [
        pytest.param([{"fixed": "1.2.5"}], [], "", ": `< 1.2.5`", id="only fixed"),
        pytest.param([{"introduced": "0"}], [], "<= 29.0", ": `≤ 29.0` (no fix known)", id="last known"),
        pytest.param([{"introduced": "2"}], [], "< 29.0", ": `≥ 2, < 29.0` (no fix known)", id="last below"),
        pytest.param([{"introduced": "2"}], [], "<= 1", ": `≥ 2`", id="last known of another range"),
        pytest.param([{"introduced": "2"}], [], "all of them", ": `≥ 2`", id="last known in words"),
        pytest.param(
            [{"introduced": "1.0"}, {"limit": "2.0"}], [], "", ": `≥ 1.0, < 2.0` (limit)", id="limit"
        ),
        pytest.param(
            [{"introduced": "3.0"}, {"fixed": "3.2"}],
            ["3.0", "3.1-rc1", "1.7.1-special"],
            "",
            ": `≥ 3.0, < 3.2`; `1.7.1-special`",
            id="versions beside a range",
        ),
        pytest.param([], ["1.0", "1.1"], "", ": `1.0`; `1.1`", id="only versions"),
        pytest.param([{"introduced": "0"}], [], "", ": all versions", id="all"),
        pytest.param([], [], "", "", id="nothing"),
    ],
)
def test_osv_versions(events: Events, listed: list[str], last_known: str, expected: str) -> None:
    versions = evaluate_osv("a:b", "Maven", [("ECOSYSTEM", events)], listed, last_known)
    assert render_versions([versions], "en") == f"- Maven/a:b{expected}"


def test_ranges_of_commits_say_nothing() -> None:
    versions = evaluate_osv("a", "PyPI", [("GIT", [{"introduced": "0"}])], ["1.0"])
    assert render_versions([versions], "en") == "- PyPI/a: `1.0`"


ORDERED = "1.0.dev1 1.0a1.dev1 1.0a1 1.0-rc1 1.0 1.0.1 1.0.2 1.0.2a 1.1 1.* 2~rc1 2 1:0.1"
ORDERED_SEMVER = "0.0.0-2020 1.0.0-1 1.0.0-alpha 1.0.0-h1 1.0.0 1.0.1-rc.1 1.0.1"


@pytest.mark.parametrize(
    ("ordered", "scheme"),
    [pytest.param(ORDERED, "generic", id="generic"), pytest.param(ORDERED_SEMVER, "semver", id="SemVer")],
)
def test_order_of_versions(ordered: str, scheme: Scheme) -> None:
    keys = [make_key(version, scheme) for version in ordered.split()]
    assert keys == sorted(set(keys))


@pytest.mark.parametrize(
    ("version", "other"), [("1.0", "1.0.0"), ("v1.2", "1.2"), ("0:1.2-3", "1.2-3"), ("4.5.Final", "4.5")]
)
def test_equal_versions(version: str, other: str) -> None:
    assert make_key(version) == make_key(other)


@given(st.text(max_size=8), st.sampled_from(["semver", "generic"]))
def test_every_text_is_ordered_between_the_ends(text: str, scheme: Scheme) -> None:
    assert FIRST.key < make_key(text, scheme) < LAST.key
