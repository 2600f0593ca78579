"""Near duplicates are dropped; texts with other identifiers and contrastive pairs are kept."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securetag import triage
from securetag.datasets.decontamination.decontaminate import find_split_overlaps
from securetag.datasets.dedup.hashing import Tokens, hash_marked, hash_ngrams, hash_texts, hash_words
from securetag.datasets.dedup.near import (
    JACCARD,
    Document,
    drop_near_duplicates,
    find_near_pairs,
    find_representatives,
)
from securetag.datasets.drops import DropReason
from securetag.datasets.synthetic.cases import make_synthetic_rows
from securetag.datasets.triage_rows import PromptStyle
from securetag.records import Example, Finding, Label, Message, Origin, Task
from securetag.settings.sections import SemgrepSettings

STORY = (
    "{name} before {version} lets a remote attacker read files outside of the upload folder, since the name "
    "of an archive's member is joined to the folder as it is, and the check for dots runs on the name "
    "before it was decoded. Users are advised to update, since no workaround is known for it."
)


def row(text: str, *, group: str = "g", record: str = "r", **more: Any) -> Example:
    return Example.of(
        task=more.pop("task", Task.QA),
        messages=[Message("system", "Answer."), Message("user", "What is it?"), Message("assistant", text)],
        lang=more.pop("lang", "en"),
        licence="MIT",
        group=group,
        origin="template",
        origins=[Origin(record_id=record)],
        source="s",
        **more,
    )


def advisory_text(name: str = "kort-media", version: str = "4.2.1") -> str:
    return STORY.format(name=name, version=version)


def count_kept(*texts: str) -> int:
    representatives = find_representatives([Document(text) for text in texts])
    return int((representatives == np.arange(len(texts))).sum())


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(advisory_text().upper(), id="upper case"),
        pytest.param(advisory_text().replace(" ", "\n", 5), id="line breaks"),
        pytest.param(
            advisory_text().replace(",", " –").replace("uploaded", "“uploaded”"), id="other punctuation"
        ),
        pytest.param(advisory_text().replace("attacker", "adversary"), id="one word replaced"),
        pytest.param(advisory_text() + " A fixed release is available.", id="one sentence added"),
        pytest.param(advisory_text().replace("file", "ﬁle"), id="ligature"),
    ],
)
def test_the_same_text_in_another_form_is_a_near_duplicate(variant: str) -> None:
    assert variant != advisory_text()
    assert count_kept(advisory_text(), variant) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(advisory_text() + " (CVE-2024-1234)", advisory_text() + " (CVE-2024-1235)", id="CVE"),
        pytest.param(advisory_text() + " This is CWE-22.", advisory_text() + " This is CWE-23.", id="CWE"),
        pytest.param(
            advisory_text() + " See T1059.001.", advisory_text() + " See T1059.003.", id="ATT&CK technique"
        ),
        pytest.param(advisory_text(version="1.2.3"), advisory_text(version="3.2.1"), id="version"),
        pytest.param(
            advisory_text() + " AC-2(1) applies.",
            advisory_text() + " AC-2(2) applies.",
            id="control enhancement",
        ),
        pytest.param(
            advisory_text() + " AC-2 applies.", advisory_text() + " IA-2 applies.", id="control family"
        ),
        pytest.param(
            advisory_text() + " GHSA-aaaa-bb1b-cccc", advisory_text() + " GHSA-aaaa-bb1b-dddd", id="GHSA"
        ),
        pytest.param(
            advisory_text() + " It is in read_file.",
            advisory_text() + " It is in read_files.",
            id="function name",
        ),
        pytest.param(
            advisory_text() + " (CVE-2024-1234)", advisory_text(), id="identifier only in the first"
        ),
    ],
)
def test_texts_with_other_identifiers_are_kept(first: str, second: str) -> None:
    assert count_kept(first, second) == 2


def test_other_texts_are_kept() -> None:
    assert (
        count_kept(advisory_text(), "A cookie is set without the attribute that keeps scripts from it. " * 2)
        == 2
    )
    assert count_kept("Too short.", "Too short.") == 2  # left to the exact comparison


def test_a_dropped_text_is_near_its_representative() -> None:
    first = [f"w{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(80)]
    chain = [first]
    for step in range(6):
        chain.append([*chain[-1][: 12 * step], "x" * (step + 2), *chain[-1][12 * step + 1 :]])
    documents = [Document(" ".join(text)) for text in chain]
    representatives = find_representatives(documents)
    for index, into in enumerate(representatives.tolist()):
        first_grams, second_grams = (
            set(hash_ngrams(hash_words([documents[n].text]), 3).hashes.tolist()) for n in (index, into)
        )
        assert len(first_grams & second_grams) / len(first_grams | second_grams) >= JACCARD


def test_rows_of_other_languages_tasks_and_groups_are_kept() -> None:
    rows = [
        row(advisory_text()),
        row(advisory_text() + " Beware.", lang="es"),
        row(advisory_text() + " Do so.", task=Task.REMEDIATION),
        row(advisory_text() + " Now.", group="id/CVE-2024-1"),
        row(advisory_text() + " Then.", group="id/CVE-2024-2"),
    ]
    assert len(drop_near_duplicates(rows)[0]) == 5


def test_a_dropped_row_is_counted_and_its_origins_are_merged() -> None:
    first, second = row(advisory_text(), record="r1"), row(advisory_text() + " Beware.", record="r2")
    kept, drops = drop_near_duplicates([first, second])
    assert [sorted(str(o.record_id) for o in e.origins) for e in kept] == [["r1", "r2"]]
    assert [(d.reason, d.against) for d in drops] == [(DropReason.DUPLICATE_NEAR, kept[0].id)]


def test_a_held_out_row_is_kept_and_its_copy_in_train_is_dropped() -> None:
    test = msgspec.structs.replace(row(advisory_text()), split="test")
    for text in (advisory_text() + " Beware.", advisory_text() + " Do it.", advisory_text() + " Now."):
        train = msgspec.structs.replace(row(text), split="train")
        assert [e.split for e in drop_near_duplicates([train, test])[0]] == ["test"]


SENTENCES = [
    "the parser trusts the length field of a packet that a stranger sent over the network",
    "an address from the request is fetched without looking at the host that it names first",
    "a session outlives the password that it was opened with and nobody can end it remotely",
]
TEXTS = st.builds(
    lambda parts, number, word: " ".join([*parts, f"number {number}", word]),
    st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=3),
    st.integers(1, 3),
    st.sampled_from(["now", "then"]),
)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=12), st.randoms())
def test_the_order_of_the_rows_does_not_matter(texts: list[str], rng: random.Random) -> None:
    rows = [row(text, record=f"r{n}") for n, text in enumerate(dict.fromkeys(texts))]
    kept, drops = drop_near_duplicates(rows)
    rng.shuffle(rows)
    again, others = drop_near_duplicates(rows)
    assert (kept, sorted(d.id for d in drops)) == (again, sorted(d.id for d in others))
    assert len(kept) + len(drops) == len(rows)
    assert {o.record_id for e in kept for o in e.origins} == {o.record_id for e in rows for o in e.origins}


@settings(deadline=None)
@given(st.lists(st.text(max_size=60), max_size=8))
def test_words_of_a_text_do_not_depend_on_its_neighbours(texts: list[str]) -> None:
    together = hash_words(texts)
    alone = [hash_words([text]) for text in texts]
    assert together.counts.tolist() == [len(words.hashes) for words in alone]
    assert together.hashes.tolist() == [value for words in alone for value in words.hashes.tolist()]
    assert hash_texts(together).tolist() == [int(hash_texts(words)[0]) for words in alone]
    assert hash_marked(together).tolist() == [int(hash_marked(words)[0]) for words in alone]
    for n in (1, 3, 13):
        expected = [max(len(words.hashes) - n + 1, 0) for words in alone]
        assert hash_ngrams(together, n).counts.tolist() == expected


@given(st.lists(st.text("ab 1_-.", max_size=12), max_size=8))
def test_equal_words_and_nothing_else_have_equal_hashes(texts: list[str]) -> None:
    plain = [tuple(text.replace("-", " ").replace(".", " ").split()) for text in texts]
    hashes = hash_texts(hash_words(texts)).tolist()
    assert len({(p, f) for p, f in zip(plain, hashes, strict=True)}) == len(set(plain)) == len(set(hashes))


def test_hashes_are_the_same_everywhere() -> None:
    # Written down: keys and clusters must not depend on the machine or the process.
    assert (
        hash_texts(hash_words(["Hello, world"])).tolist() == hash_texts(hash_words(["hello WORLD."])).tolist()
    )
    assert int(hash_texts(hash_words(["Hello, world"]))[0]) == 15429750140385552596


def test_a_lone_surrogate_and_a_nul_are_hashed() -> None:
    assert hash_words(["\ud800 a\x00b", ""]).counts.tolist() == [2, 0]


def test_numbers_of_a_text_count_whatever_its_place_among_others() -> None:
    # Words of one digit begin as small numbers, and so do places: a salt that is as small makes them collide.
    assert len(set(hash_marked(hash_words(["Version 4.2.1 of it."] * 3_000)).tolist())) == 1


def test_two_thousand_copies_make_one_row_and_few_pairs() -> None:
    representatives = find_representatives(
        [Document(advisory_text() + " Beware." * (n % 2)) for n in range(2_000)]
    )
    assert set(representatives.tolist()) == {0}
    grams = hash_ngrams(hash_words([advisory_text()] * 2_000), 3)
    assert len(find_near_pairs(grams, 0.8)) < 2 * 2_000


def finding(code: str) -> Finding:
    return Finding(
        tool="semgrep",
        rule_id="r",
        cwe="CWE-89",
        title="SQL injection",
        message="m",
        severity="high",
        confidence="high",
        language="python",
        path="a.py",
        start_line=2,
        end_line=2,
        snippet=code,
        snippet_line=1,
        scope="f",
        fingerprint="v1:0",
    )


CODE = """def show(name):
    term = request.args.get("q", "")
    term = re.sub("[^a-z]", "", term)
    if not term:
        return abort(400)
    rows = db.execute("SELECT title, body FROM page WHERE title = '" + term + "'")
    return render_template("page.html", rows=rows, term=term)
"""


def reviewed(code: str, label: Label, record: str) -> Example:
    prompt = triage.render(finding(code), profile="full")
    return Example.of(
        task=Task.TRIAGE,
        messages=[*prompt.messages, Message("assistant", f"because {record}")],
        lang="en",
        licence="MIT",
        group=record,
        origin="analyst",
        origins=[Origin(record_id=record)],
        source="s",
        label=label,
        label_source="analyst",
        prompt_version=prompt.version,
    )


def test_renamed_code_is_a_near_duplicate_unless_its_label_differs() -> None:
    other = CODE.replace("term", "word").replace("show", "find").replace("rows", "results")
    same = [reviewed(CODE, "true_positive", "a"), reviewed(other, "true_positive", "b")]
    assert len(drop_near_duplicates(same)[0]) == 1
    contradictory = [reviewed(CODE, "true_positive", "a"), reviewed(other, "false_positive", "b")]
    assert len(drop_near_duplicates(contradictory)[0]) == 2


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    batch = make_synthetic_rows(
        400,
        3,
        PromptStyle("compact", "en"),
        work=tmp_path_factory.mktemp("work"),
        semgrep=SemgrepSettings(),
    )
    return batch.rows


@pytest.mark.system
@pytest.mark.slow
def test_contrastive_pairs_are_kept(synthetic: list[Example]) -> None:
    assert len(synthetic) > 350
    kept, drops = drop_near_duplicates(synthetic)
    assert drops == []
    assert find_split_overlaps(kept) == []
    assert Counter(e.pair_id for e in kept) == Counter(e.pair_id for e in synthetic)
    assert kept == sorted(synthetic, key=lambda e: (e.id, e.label or ""))


def test_empty() -> None:
    assert find_representatives([]).tolist() == []
    assert drop_near_duplicates([]) == ([], [])
    nothing = hash_words([])
    assert isinstance(nothing, Tokens)
    assert (
        hash_ngrams(nothing, 3).counts.tolist()
        == hash_texts(nothing).tolist()
        == hash_marked(nothing).tolist()
        == []
    )
