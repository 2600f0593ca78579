"""Splits, duplicates, licenses, filters and questions, on constructed rows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.datasets import filters
from securetag.datasets.dedup import exact
from securetag.datasets.licences import is_allowed
from securetag.datasets.splitting.assign import assign_splits, leaking_groups
from securetag.datasets.splitting.groups import TEST_SHARE, VALIDATION_SHARE, Split, split_of
from securetag.errors import LicenceError
from securetag.records import Example, Facts, Label, Message, Origin, Record, Status, Task

MakeRecord = Callable[..., Record]


def row(
    question: str = "q",
    answer: str = "a plain and long enough answer",
    *,
    label: Label | None = None,
    record: str = "r",
    group: str = "g",
    split: Split | None = None,
    pair: str | None = None,
    licence: str = "MIT",
    task: Task = Task.QA,
) -> Example:
    example = Example.of(
        task=task,
        messages=[Message("user", question), Message("assistant", answer)],
        lang="en",
        licence=licence,
        group=group,
        origin="template",
        origins=[Origin(record_id=record)],
        source="s",
        label=label,
        pair_id=pair,
    )
    return msgspec.structs.replace(example, split=split)


GROUPS = st.lists(st.text(min_size=1), unique=True, max_size=30)


@given(GROUPS, GROUPS)
def test_growth_moves_no_row_between_splits(before: list[str], later: list[str]) -> None:
    old = {e.group: e.split for e in assign_splits(row(group=group) for group in before).rows}
    new = {e.group: e.split for e in assign_splits(row(group=group) for group in [*later, *before]).rows}
    assert {group: new[group] for group in old} == old


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1))
def test_a_group_is_in_one_split(groups: list[str]) -> None:
    assert (
        leaking_groups(assign_splits(row(str(n), group=group) for n, group in enumerate(groups)).rows) == []
    )


def test_splits_have_their_shares() -> None:
    counts = Counter(split_of(f"group {n}") for n in range(20_000))
    assert counts["test"] / 20_000 == pytest.approx(TEST_SHARE, abs=0.01)
    assert counts["validation"] / 20_000 == pytest.approx(VALIDATION_SHARE, abs=0.01)


def test_splits_never_change_between_versions() -> None:
    # Written down: with another hash, test rows of an old release would train in a new one.
    assert [split_of(f"record/mitre-cwe/CWE-{n}") for n in (20, 78, 89, 502)] == [
        "train",
        "test",
        "train",
        "train",
    ]


def test_groups_and_pairs_in_two_splits_are_listed() -> None:
    rows = [
        row("1", group="g", split="train"),
        row("2", group="g", split="test"),
        row("3", group="h", split="train", pair="p"),
        row("4", group="i", split="validation", pair="p"),
    ]
    assert leaking_groups(rows) == ["group g", "pair p"]


ROWS = st.lists(
    st.builds(
        row,
        st.sampled_from(["q1", "q2", "q1\r\n"]),
        st.sampled_from(["a1", "a2"]),
        label=st.sampled_from([None, "true_positive", "false_positive"]),
        record=st.sampled_from("rst"),
        split=st.sampled_from([None, "train", "test"]),
    ),
    max_size=12,
)


@given(ROWS, st.randoms())
def test_dedup_is_a_set_operation(rows: list[Example], rng: random.Random) -> None:
    kept, drops = exact.drop_duplicates(rows)
    assert len(kept) + len(drops) == len(rows)
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert exact.drop_duplicates(shuffled)[0] == kept  # the order decides nothing
    assert exact.drop_duplicates(kept)[0] == kept
    labels: dict[str, set[str]] = {}
    for example in rows:
        if example.label:
            labels.setdefault(exact.question_id(example), set()).add(example.label)
    for example in kept:
        assert len(labels.get(exact.question_id(example), ())) <= 1
    surviving = {origin.record_id for example in kept for origin in example.origins}
    undropped = {
        o.record_id for e in rows if len(labels.get(exact.question_id(e), ())) <= 1 for o in e.origins
    }
    assert surviving == undropped


def test_contradictory_duplicates_are_dropped_and_origins_merge() -> None:
    kept, drops = exact.drop_duplicates(
        [
            row("q", label="true_positive"),
            row("q", label="false_positive"),
            row("p", record="r1"),
            row("p", record="r2"),
        ]
    )
    assert [sorted(str(origin.record_id) for origin in example.origins) for example in kept] == [["r1", "r2"]]
    assert Counter(drop.reason for drop in drops) == {"duplicate_contradiction": 2, "duplicate": 1}


def test_a_duplicate_of_a_test_row_is_dropped_from_train() -> None:
    kept, _ = exact.drop_duplicates([row(split="train", group="a"), row(split="test", group="b")])
    assert [example.split for example in kept] == ["test"]


@pytest.mark.parametrize(
    ("expression", "internal", "public"),
    [
        pytest.param("MIT", True, True, id="permissive"),
        pytest.param("CC-BY-SA-4.0 AND MIT", True, True, id="share-alike and permissive"),
        pytest.param("GPL-3.0-only", True, False, id="copyleft"),
        pytest.param("LicenseRef-Securetag-Tenant-Consent", True, False, id="tenant consent"),
        pytest.param("MIT OR GPL-3.0-only", True, True, id="permissive or copyleft"),
        pytest.param("MIT AND GPL-3.0-only", True, False, id="permissive and copyleft"),
        pytest.param("Apache-2.0 OR CC-BY-NC-4.0", True, True, id="permissive or non-commercial"),
        pytest.param("LicenseRef-MITRE-CWE-Terms-of-Use", True, True, id="terms of use"),
    ],
)
def test_a_licence_is_allowed_by_purpose(expression: str, internal: bool, public: bool) -> None:
    assert (is_allowed(expression, "internal"), is_allowed(expression, "public")) == (internal, public)


@pytest.mark.parametrize(
    "expression",
    [
        "CC-BY-NC-SA-4.0",
        "MIT AND CC-BY-NC-4.0",
        "GPL-3.0-only AND CC-BY-NC-4.0",
        "LicenseRef-Own",
        "",
        "free as in beer",
        "MIT AND",
        "CC-BY-NC-ND-4.0",
    ],
)
def test_licences_that_stop_a_release(expression: str) -> None:
    for _ in range(2):  # an answer that is remembered must not turn into a yes
        with pytest.raises(LicenceError):
            is_allowed(expression, "internal")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"status": Status.DEPRECATED}, "record_deprecated", id="deprecated"),
        pytest.param({"status": Status.SUPERSEDED}, "record_superseded", id="superseded"),
        pytest.param({"licence": "GPL-3.0-only"}, "record_licence", id="copyleft"),
        pytest.param({"text": "x", "facts": Facts(kind="section")}, "record_too_short", id="short section"),
        pytest.param({}, None, id="kept"),
    ],
)
def test_records_are_dropped_with_a_reason(
    record: MakeRecord, changes: dict[str, object], reason: str | None
) -> None:
    assert filters.check_record(record(**changes), "public") == reason


def test_examples_are_dropped_with_a_reason() -> None:
    assert filters.check_example(row(), "compact") is None
    assert filters.check_example(row(answer=" "), "compact") == "row_empty"
    assert filters.check_example(row(answer="short"), "compact") == "row_short_answer"
    long = row("word " * 400)
    assert filters.check_example(long, "compact") == "row_too_long"
    assert filters.check_example(long, "full") is None
    # A tokenizer's count replaces the estimate.
    assert filters.check_example(long, "compact", count=lambda text: 1) is None


def test_a_row_without_its_pair_is_dropped() -> None:
    kept, drops = filters.drop_unpaired(
        [row("1", pair="p"), row("2", pair="p"), row("3", pair="q"), row("4")]
    )
    assert sorted(example.messages[0].content for example in kept) == ["1", "2", "4"]
    assert [drop.reason for drop in drops] == ["row_unpaired"]
