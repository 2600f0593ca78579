"""Defects that people found in samples of knowledge rows, each with the rule that keeps it out."""

from __future__ import annotations

from typing import Any

import pytest

from securetag.datasets.knowledge.corpus import Corpus
from securetag.datasets.knowledge.forms.passages import has_subject
from securetag.datasets.knowledge.forms.vulnerabilities import draft_vulnerability, find_subject
from securetag.datasets.knowledge.forms.weaknesses import draft_siblings
from securetag.records import Facts, Record

PARENT = "The product handles input of others without a check of what it means."


def make_record(key: str, title: str, text: str, publisher: str = "MITRE", **facts: Any) -> Record:
    return Record.of(
        source="s",
        publisher=publisher,
        key=key,
        title=title,
        text=text,
        lang="en",
        url="https://s.example/",
        edition="1",
        licence="MIT",
        file_sha256="0" * 64,
        locator=f"/{key}",
        facts=Facts(**{"kind": "weakness", **facts}),
    )


def test_a_sibling_is_one_that_is_mixed_up_with_it() -> None:
    weakness = make_record(
        "CWE-2", "Shell Injection", "Shell text of a request is run as command.", parents=["CWE-1"]
    )
    near = make_record(
        "CWE-3", "Command Injection", "Text of a request is run as a command.", parents=["CWE-1"]
    )
    far = make_record("CWE-4", "Lost Key", "Somebody forgets where a door is.", parents=["CWE-1"])
    parent = make_record("CWE-1", "Neutralization", PARENT)
    (draft, *_) = draft_siblings(weakness, Corpus([parent, weakness, near, far]), 5_000)
    assert (draft.form, draft.used[0]) == ("compare", "CWE-3")
    assert [d.form for d in draft_siblings(weakness, Corpus([parent, weakness, far]), 5_000)] == ["parent"]


def test_of_a_broad_weakness_only_likely_children_are_named() -> None:
    broad = make_record("CWE-20", "Improper Input Validation", PARENT, mapping_usage="Discouraged")
    likely = make_record(
        "CWE-30", "Wrong Quantity Validation", "A quantity isn't checked.", parents=["CWE-20"]
    )
    other = make_record("CWE-31", "Struts: Duplicate Forms", "Two forms have one name.", parents=["CWE-20"])
    text = "The handler of others has no quantity validation, so input without a check means a crash for all."
    advisory = make_record("CVE-2025-1", "CVE-2025-1", text, kind="vulnerability", cwe=["CWE-20"])
    drafts = {d.form: d for d in draft_vulnerability(advisory, Corpus([broad, likely, other]), 5_000)}
    assert "CWE-30" in drafts["cve-weakness"].fields["usage"]
    assert "CWE-31" not in drafts["cve-weakness"].fields["usage"]
    drafts = {d.form: d for d in draft_vulnerability(advisory, Corpus([broad, other]), 5_000)}
    assert drafts["cve-weakness"].fields["usage"].endswith("look at its children.")


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("This publication is available free of charge from:", id="imprint"),
        pytest.param("Jo Doe, Acting NIST Director and Under Secretary", id="officials"),
        pytest.param("U.S. Department of Commerce", id="department"),
    ],
)
def test_a_title_page_is_no_subject(line: str) -> None:
    prose = (
        "Keys are rotated each year by the people who own them, and the old ones are kept for a month. " * 3
    )
    assert has_subject(make_record("k", "Keys", prose, kind="section", section=["Guide", "Keys"]))
    page = make_record("k", "Keys", f"{line}\n\n{prose}", kind="section", section=["Guide", "Keys"])
    assert not has_subject(page)


def test_a_vendor_of_the_products_name_is_named_once() -> None:
    text = (
        "Missing authorization in the gateway lets any person read the messages of all others in the system."
    )
    advisory = make_record(
        "CVE-2025-2", "CVE-2025-2", text, kind="vulnerability", packages=["Netbox/Netbox", "Acme/Door"]
    )
    drafts = [d for d in draft_vulnerability(advisory, Corpus([]), 5_000) if d.form.startswith("not-said")]
    assert [d.fields["products"] for d in drafts] == ["Netbox and Acme/Door"]


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        pytest.param(
            "Doors is a library for doors. A crafted key lets an attacker in.",
            "A crafted key lets an attacker in.",
            id="what the product is",
        ),
        pytest.param("Doors is a library for doors. It is widely used.", "", id="no flaw"),
        pytest.param(
            "Una falla permite abrir puertas ajenas. Hay más.",
            "Una falla permite abrir puertas ajenas.",
            id="es",
        ),
    ],
)
def test_the_quoted_sentence_is_about_the_flaw(text: str, quoted: str) -> None:
    assert find_subject(text) == quoted
