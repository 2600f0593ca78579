"""Identity: content alone makes an id, and the same content always the same one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.records import Example, Facts, Message, Origin, Record, Task, canonical_json, content_id

BASE = {
    "source": "mitre-cwe",
    "publisher": "MITRE",
    "key": "CWE-79",
    "title": "XSS",
    "text": "Text.",
    "lang": "en",
    "url": "https://example.org/79",
    "edition": "4.19",
    "licence": "MIT",
    "file_sha256": "0" * 64,
    "locator": "/0",
}


def record(**changes: object) -> Record:
    return Record.of(**(BASE | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["url", "edition", "licence", "file_sha256", "locator"])
def test_provenance_is_not_identity(field: str) -> None:
    assert record(**{field: "something else"}).id == record().id


@pytest.mark.parametrize("field", ["source", "key", "title", "text"])
def test_content_is_identity(field: str) -> None:
    assert record(**{field: "something else"}).id != record().id


def test_unset_facts_leave_the_id_alone() -> None:
    assert record(facts=Facts()).id == record().id
    assert record(facts=Facts(severity="high")).id != record().id


def test_line_ends_bom_and_unicode_form_are_not_content() -> None:
    assert record(text="\ufeffe\u0301a\r\nb\rc\n").id == record(text="\u00e9a\nb\nc").id


def test_origins_are_not_part_of_an_examples_id() -> None:
    def example(origin: Origin) -> Example:
        return Example.of(
            task=Task.QA,
            messages=[Message("user", "?"), Message("assistant", "!")],
            lang="en",
            licence="MIT",
            group="g",
            origin="template",
            origins=[origin],
            source="s",
        )

    assert example(Origin(record_id="a")).id == example(Origin(record_id="b", tenant_id="t")).id


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_record_survives_json(title: str, text: str) -> None:
    made = record(title=title, text=text)
    assert msgspec.json.decode(msgspec.json.encode(made), type=Record) == made


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**53) + 1, 2**53 - 1))
)
def test_canonical_json_knows_no_key_order(values: dict[str, int]) -> None:
    turned = dict(reversed(values.items()))
    assert canonical_json(turned) == canonical_json(values)
    assert content_id(turned) == content_id(values)
