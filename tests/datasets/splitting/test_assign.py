"""Growth moves no row from test to train; rows that connect two splits are dropped and counted."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securetag.datasets.decontamination.decontaminate import drop_overlapping, find_split_overlaps
from securetag.datasets.drops import DropReason
from securetag.datasets.splitting.assign import (
    assign_splits,
    drop_cross_split,
    leaking_groups,
    moved_rows,
)
from securetag.datasets.splitting.groups import TEST_SHARE, GroupKeys, group_keys_of, set_group, split_of
from securetag.records import Example, Facts, Message, Origin, Record, Task

#: Group names by the split that their hash gives.
NAMED = {
    where: [f"id/CVE-2024-{n}" for n in range(1000, 1400) if split_of(f"id/CVE-2024-{n}") == where]
    for where in ("train", "validation", "test")
}


def record(key: str, **facts: Any) -> Record:
    url = facts.pop("url", "")
    publisher = facts.pop("publisher", "P")
    return Record.of(
        source=facts.pop("source", "s"),
        publisher=publisher,
        key=key,
        title=key,
        text=f"About {key}.",
        lang="en",
        url=url,
        edition="1",
        licence="MIT",
        file_sha256="0" * 64,
        locator="",
        facts=Facts(**facts),
    )


def row(text: str, origin: str = "r", group: str = "g") -> Example:
    return Example.of(
        task=Task.QA,
        messages=[Message("user", f"What of {text}?"), Message("assistant", text)],
        lang="en",
        licence="MIT",
        group=group,
        origin="template",
        origins=[Origin(record_id=origin)],
        source="s",
    )


@pytest.mark.parametrize(
    ("given_record", "group"),
    [
        pytest.param(record("CVE-2024-7777"), "id/CVE-2024-7777", id="CVE"),
        pytest.param(
            record("GHSA-aaaa-bbbb-cccc", aliases=["CVE-2024-9999", "CVE-2023-10000"]),
            "id/CVE-2023-10000",
            id="oldest CVE alias",
        ),
        pytest.param(record("GHSA-aaaa-bbbb-cccc"), "id/GHSA-AAAA-BBBB-CCCC", id="GHSA without alias"),
        pytest.param(
            record("PYSEC-2024-1", aliases=["GHSA-aaaa-bbbb-cccc"]),
            "id/PYSEC-2024-1",
            id="PYSEC without CVE alias",
        ),
        pytest.param(record("CWE-79"), "id/CWE-79", id="CWE"),
        pytest.param(record("T1059.001"), "id/T1059.001", id="ATT&CK technique"),
        pytest.param(record("AC-2(1)"), "record/P/AC-2(1)", id="control enhancement"),
        pytest.param(
            record("Introduction", source="doc-2.0"), "record/P/Introduction", id="document section"
        ),
        pytest.param(
            record("CVE-2024-7777", vulnerable="x", references=["https://GitHub.com/Org/Repo.git/commit/1"]),
            "repository/github.com/org/repo",
            id="repository of a reference",
        ),
        pytest.param(
            record("fix-1", fixed="x", url="https://github.com/org/repo.git"),
            "repository/github.com/org/repo",
            id="repository of a fix",
        ),
    ],
)
def test_the_group_of_a_record(given_record: Record, group: str) -> None:
    assert group_keys_of(given_record).group == group


def test_an_advisory_and_its_cve_share_a_group_and_so_do_editions() -> None:
    osv, nvd = (
        group_keys_of(record("GHSA-aaaa-bbbb-cccc", aliases=["CVE-2024-9999"])),
        group_keys_of(record("CVE-2024-9999")),
    )
    assert osv.group == nvd.group
    assert group_keys_of(record("4.2", source="doc-1")) == group_keys_of(record("4.2", source="doc-2"))


def test_records_since_a_date_are_in_test_and_older_ones_keep_their_split() -> None:
    keys = {
        name: group_keys_of(record(f"CVE-2024-{1000 + n}", published=name))
        for n, name in enumerate(["2024-01-31", "2024-06-01", "2025-01-01"])
    }
    rows = [row(name, name, keys[name].group) for name in keys]
    before, after = assign_splits(rows, keys).rows, assign_splits(rows, keys, test_since="2024-06-01").rows
    assert [e.split for e in after][1:] == ["test", "test"]
    assert after[0].split == before[0].split == split_of(keys["2024-01-31"].group)


def test_a_row_with_keys_of_two_splits_is_dropped_and_counted() -> None:
    train, test = NAMED["train"][0], NAMED["test"][0]
    keys = {
        "a": GroupKeys(train, (train,)),
        "b": GroupKeys(test, (test,)),
        "c": GroupKeys(test, (test, train)),
    }
    rows = [row("one", "a", train), row("two", "b", test), row("three", "c", test)]
    kept, drops = drop_cross_split(assign_splits(rows, keys).rows, keys)
    assert {e.messages[1].content: e.split for e in kept} == {"one": "train", "two": "test"}
    assert [(d.reason, d.against) for d in drops] == [(DropReason.SPLIT_IDENTIFIER, train)]


def test_a_training_row_is_kept_when_a_later_row_connects_it_with_test() -> None:
    # The group of the connecting row is in train, so the held-out row is dropped.
    train, test = NAMED["train"][0], NAMED["test"][0]
    keys = {"b": GroupKeys(test, (test,)), "c": GroupKeys(train, (train, test))}
    rows = [row("two", "b", test), row("three", "c", train)]
    kept, drops = drop_cross_split(assign_splits(rows, keys).rows, keys)
    assert [(e.messages[1].content, e.split) for e in kept] == [("three", "train")]
    assert [d.against for d in drops] == [test]


def test_rows_that_moved_into_train_are_listed() -> None:
    train = msgspec.structs.replace(row("x"), split="train")
    assert moved_rows([train], [train.id]) == [train.id]
    assert moved_rows([msgspec.structs.replace(train, split="test")], [train.id]) == []


#: Group, other keys, date and text of a row.
RowSpec = tuple[str, list[str], str | None, str]
LONG = [" ".join(f"{stem}{n}" for n in range(34)) for stem in ("alpha", "beta", "gamma")]
UNIVERSE = st.lists(
    st.tuples(
        st.sampled_from([*NAMED["train"][:4], *NAMED["validation"][:2], *NAMED["test"][:3]]),
        st.lists(st.sampled_from([NAMED["train"][0], NAMED["test"][0], NAMED["validation"][0]]), max_size=2),
        st.sampled_from([None, "2024-01-01", "2025-01-01"]),
        st.sampled_from(["", *LONG]),
    ),
    max_size=14,
)


def released(items: list[tuple[int, RowSpec]], since: str | None) -> dict[str, str | None]:
    """Return the split of each row that the steps of a build keep, by id."""
    keys = {str(n): GroupKeys(group, (group, *others), day) for n, (group, others, day, _) in items}
    rows = [
        example
        for n, (_, _, _, text) in items
        for example in set_group([row(f"item number {n}", str(n)), row(f"{text} {n}", str(n))], keys[str(n)])
    ]
    kept, _ = drop_cross_split(assign_splits(rows, keys, test_since=since).rows, keys)
    kept, _ = drop_overlapping(kept)
    assert leaking_groups(kept) == []
    assert find_split_overlaps(kept) == []
    return {e.id: e.split for e in kept}


@settings(deadline=None, max_examples=60)
@given(UNIVERSE, st.randoms(), st.sampled_from([None, "2024-06-01"]))
def test_no_row_moves_from_test_to_train_in_any_order_of_rows(
    universe: list[RowSpec], rng: random.Random, since: str | None
) -> None:
    items = list(enumerate(universe))
    rng.shuffle(items)
    tested: set[str] = set()
    for size in range(0, len(items) + 1, 3):
        now = released(items[:size], since)
        assert [name for name in tested if now.get(name) == "train"] == []
        tested |= {name for name, where in now.items() if where == "test"}
    rng.shuffle(items)
    assert released(items, since) == released(sorted(items), since)


def test_the_first_cutoff_date_moves_no_row_out_of_test() -> None:
    items: list[tuple[int, RowSpec]] = [
        (n, (f"id/CVE-2024-{1000 + n}", [], f"202{n % 6}-01-01", "")) for n in range(80)
    ]
    before, after = released(items, None), released(items, "2024-01-01")
    assert {name for name, where in before.items() if where == "test"} <= {
        name for name, where in after.items() if where == "test"
    }
    assert sum(where == "test" for where in before.values()) < len(before) * TEST_SHARE * 3
