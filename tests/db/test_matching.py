"""Properties of the assignment of a scan's places to findings."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.db.matching import KnownFinding, Place, assign
from securetag.records import CodeIdentity, CodeTerm
from securetag.scanning.identity.describe import CodeFile
from securetag.scanning.identity.inventory import Inventory, digests_of


def place(path: str, line: int = 1, scope: str = "f", mark: str = "m") -> Place:
    """A place whose code isn't known."""
    return Place(mark, path, scope, line, line, frozenset({"rule"}), "sql")


def stored(*places: Place, is_current: bool = True) -> list[KnownFinding]:
    """Findings 1, 2, … at these places."""
    return [KnownFinding(UUID(int=n), each, is_current) for n, each in enumerate(places, 1)]


@pytest.mark.parametrize(
    ("findings", "scan", "expected"),
    [
        pytest.param(["b.py"], ["a.py", "b.py"], {1: 1}, id="a twin in an earlier path"),
        pytest.param(["a.py"], ["b.py"], {0: 1}, id="a moved file"),
        pytest.param(["a.py"], ["b.py", "c.py"], {}, id="two candidates for a moved file"),
        pytest.param(["a.py", "b.py"], ["b.py"], {0: 2}, id="the first one is gone, its twin stays"),
        pytest.param(["a.py", "b.py"], ["b.py", "c.py"], {0: 2, 1: 1}, id="the first one moves"),
        pytest.param(["a.py", "b.py"], ["c.py"], {}, id="two that one place could be"),
    ],
)
def test_a_place_is_the_finding_that_it_was(
    findings: list[str], scan: list[str], expected: dict[int, int]
) -> None:
    pairs = assign([place(path) for path in scan], stored(*map(place, findings)))
    assert {pair.place: pair.finding_id.int for pair in pairs} == expected


@pytest.mark.parametrize(
    ("left", "stays"),
    [
        pytest.param(b"def f():\n    pass\n", True, id="the function is there, its code fixed"),
        pytest.param(b"def g():\n    pass\n", False, id="the function has left its file"),
    ],
)
def test_a_finding_stays_where_its_function_still_is(left: bytes, stays: bool) -> None:
    moved, findings = [place("b.py")], stored(place("a.py"))
    assert assign(moved, findings) != []
    inventory = Inventory({*Inventory.MARKERS, *digests_of("a.py", left, nameless=False)})
    assert (assign(moved, findings, inventory) == []) is stays
    assert Inventory.unpack(inventory.pack()).has_path("a.py")


@pytest.mark.parametrize(
    ("left", "scope", "is_moved"),
    [
        pytest.param(
            b"function load() { ; }", "load.fs.open()", False, id="the function around it was copied"
        ),
        pytest.param(
            b"function other() { ; }", "load.fs.open()", True, id="the function around it moved too"
        ),
        pytest.param(b"function load() { ; }", "save.fs.open()", True, id="it moved to another function"),
        pytest.param(
            b"module.exports = function () { ; };", "exports.app.get()", True, id="what the module exports"
        ),
        pytest.param(b"define(function () { ; });", "define().load", True, id="a callback around it"),
    ],
)
def test_what_was_fixed_in_a_function_is_not_what_a_copy_of_the_function_has(
    left: bytes, scope: str, is_moved: bool
) -> None:
    inventory = Inventory({*Inventory.MARKERS, *digests_of("a.js", left, nameless=True)})
    older = scope.replace("save", "load")
    pairs = assign([place("b.js", scope=scope)], stored(place("a.js", scope=older)), inventory)
    assert [pair.kind for pair in pairs] == (["moved"] if is_moved else [])


def described(path: str, code: str) -> Place:
    """The place of `run(…)` in some code."""
    content = code.encode()
    start = content.index(b"run(")
    identity = CodeFile(content, "python").describe(start, content.index(b")", start) + 1, code).identity
    scope = "f" if code.startswith("def f") else ""
    return replace(place(path, scope=scope, mark=identity.digest + path), identity=identity)


def test_a_short_function_with_one_more_line_is_followed_to_a_renamed_file() -> None:
    older = described("a.py", "def f(x):\n    run(x)\n")
    newer = described(
        "b.py", "def f(x):\n    if log.is_open:\n        log.info('about to run', x)\n    run(x)\n"
    )
    other = described(
        "b.py", "def f(x):\n    if log.is_open:\n        log.info('about to run', x)\n    run(y)\n"
    )
    inventory = Inventory({*Inventory.MARKERS, *digests_of("b.py", b"def f(x): pass\n", nameless=False)})
    assert [pair.kind for pair in assign([newer], stored(older), inventory)] == ["moved"]
    assert assign([other], stored(older), inventory) == []


def test_a_finding_that_was_fixed_before_does_not_move() -> None:
    assert assign([place("b.py")], stored(place("a.py"), is_current=False)) == []
    assert assign([place("a.py")], stored(place("a.py"), is_current=False)) != []


def test_twins_of_one_function_keep_their_order_when_lines_shift_and_the_fingerprint_changes() -> None:
    code = CodeIdentity(digest="d", file="f", statement="s", sink=CodeTerm("sink"))
    before = [replace(place("a.py", line), identity=code) for line in (7, 8)]
    after = [replace(place("a.py", line, mark="edited"), identity=code) for line in (8, 9)]
    pairs = assign(after, stored(*before))
    assert {pair.place: pair.finding_id.int for pair in pairs} == {0: 1, 1: 2}
    moved = [replace(each, path="b.py") for each in before]
    assert {pair.place: pair.finding_id.int for pair in assign(moved, stored(*before))} == {0: 1, 1: 2}


@pytest.mark.parametrize("mark", ["m", "of a function that was edited"])
@pytest.mark.parametrize("digest", ["d", "of a source that was edited"])
def test_a_twin_that_stays_is_known_by_what_holds_where_it_is(digest: str, mark: str) -> None:
    first = CodeIdentity(digest="c", file="f", statement="s", sink=CodeTerm("sink"), guards=[CodeTerm("a")])
    second = CodeIdentity(digest="d", file="f", statement="s", sink=CodeTerm("sink"), guards=[CodeTerm("b")])
    before = [replace(place("a.py", 7), identity=first), replace(place("a.py", 8), identity=second)]
    now = msgspec.structs.replace(second, digest=digest)
    pairs = assign([replace(place("a.py", 8, mark=mark), identity=now)], stored(*before))
    assert {pair.place: pair.finding_id.int for pair in pairs} == {0: 2}


def test_another_weakness_is_another_finding() -> None:
    other = replace(place("a.py"), rule_keys=frozenset({"other"}), cwe="xss", fingerprint="n")
    assert assign([other], stored(place("a.py"))) == []
    assert len(assign([replace(other, cwe="sql", fingerprint="m")], stored(place("a.py")))) == 1


PLACES = st.lists(
    st.builds(
        place,
        st.sampled_from(["a.py", "b.py", "c/a.py"]),
        st.integers(1, 4),
        st.sampled_from(["f", "g", ""]),
        st.sampled_from(["m", "n"]),
    ),
    max_size=7,
    unique_by=lambda each: (each.path, each.start_line, each.scope, each.fingerprint),
)


@given(scans=st.lists(PLACES, min_size=2, max_size=4), data=st.data())
def test_no_two_places_are_one_finding_and_order_does_not_count(
    scans: list[list[Place]], data: st.DataObject
) -> None:
    findings: list[KnownFinding] = []
    number = 0
    for places in scans:
        pairs = {pair.place: pair.finding_id for pair in assign(places, findings)}
        assert len(set(pairs.values())) == len(pairs)
        order = data.draw(st.permutations(range(len(places))))
        shuffled = assign([places[index] for index in order], findings[::-1])
        assert {order[pair.place]: pair.finding_id for pair in shuffled} == pairs
        older = {finding.id: finding.place for finding in findings}
        paths = {each.path for each in places}
        for index, finding_id in pairs.items():
            # A finding changes its path only where its old path holds nothing any more.
            assert older[finding_id].path == places[index].path or older[finding_id].path not in paths
        now = []
        for index, each in enumerate(places):
            number += 1
            now.append(KnownFinding(pairs.get(index, UUID(int=1_000 + number)), each))
        seen = {finding.id for finding in now}
        findings = [*now, *(replace(each, is_current=False) for each in findings if each.id not in seen)]


@given(places=PLACES)
def test_the_same_scan_again_is_the_same_findings(places: list[Place]) -> None:
    pairs = assign(places, stored(*places))
    assert {pair.place: places[pair.finding_id.int - 1] for pair in pairs} == dict(enumerate(places))
