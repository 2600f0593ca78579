"""Defects that people found in samples of knowledge rows, each with the rule that keeps it out."""

from __future__ import annotations

from typing import Any

import pytest

from securetag.datasets.knowledge.corpus import Corpus
from securetag.datasets.knowledge.forms.controls import draft_enhancement, draft_parts
from securetag.datasets.knowledge.forms.fixes import compare_lines
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
    ("title", "is_subject"),
    [
        ("Reports on Computer Systems", False),
        ("Revision 2 (2007)", False),
        ("Appendix E: Contributors", False),
        ("References and Future Reading", False),
        ("Insecure Direct Object References", True),
    ],
)
def test_what_stands_around_a_text_is_no_subject(title: str, is_subject: bool) -> None:
    prose = "Keys are rotated each year by those who own them, and old ones are kept for a month. " * 3
    assert has_subject(make_record("k", title, prose, kind="section", section=["Guide", title])) == is_subject


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


def test_a_fix_of_blanks_alone_repairs_nothing() -> None:
    assert compare_lines(".then(()=>rm(folder));", ".then(() => rm( folder ));") == ([], [])
    assert compare_lines("rm(folder)", "rm(check(folder))") == (["rm(folder)"], ["rm(check(folder))"])


@pytest.mark.parametrize("heading", ["Suggested Reading", "Reports on Information Security Technology"])
def test_front_and_end_matter_is_no_subject(heading: str) -> None:
    prose = "The laboratory promotes the use of standards by those who run systems of any kind. " * 3
    assert not has_subject(make_record("k", "Keys", prose, kind="section", section=["Guide", heading]))


def test_a_discussion_of_one_example_is_left_out() -> None:
    example = "Products for that include managers of events and of the information on them."
    whole = f"{example} Where reviews are spread over teams, what happens across systems is seen by nobody."
    for text, forms in ((example, []), (whole, ["discussion"])):
        record = make_record(
            "AU-6(4)", "Central Review", f"## Discussion\n\n{text}", "NIST", kind="enhancement"
        )
        assert [draft.form for draft in draft_parts(record, Corpus([]), 5_000) if draft.answer] == forms


@pytest.mark.parametrize(
    ("demand", "is_compared"),
    [
        pytest.param("Implement the principle of repeatable records in all systems.", False, id="its name"),
        pytest.param("Implement the principle of repeatable records and review each.", True, id="more"),
    ],
)
def test_two_enhancements_that_say_their_names_are_not_compared(demand: str, is_compared: bool) -> None:
    control = make_record("SA-8", "Principles", "Apply principles in the design.", "NIST", kind="control")
    sufficient = make_record(
        "SA-8(32)",
        "Principles: Sufficient Records",
        "Implement the principle of sufficient records in all systems.",
        "NIST",
        kind="enhancement",
        parents=["SA-8"],
    )
    other = make_record(
        "SA-8(29)", "Principles: Repeatable Records", demand, "NIST", kind="enhancement", parents=["SA-8"]
    )
    drafts = draft_enhancement(sufficient, Corpus([control, sufficient, other]), 5_000)
    assert ("compare-enhancements" in [draft.form for draft in drafts]) is is_compared


def test_a_score_shows_the_metrics_that_are_explained() -> None:
    text = "A crafted certificate lets an attacker over the network make the server use all of its memory."
    advisory = make_record(
        "CVE-2025-3",
        "CVE-2025-3",
        text,
        kind="vulnerability",
        cvss=7.5,
        severity="high",
        cvss_vector="CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H/E:P/RL:O/RC:C",
        cvss_metrics=["AV:N: over a network"],
    )
    scores = [draft for draft in draft_vulnerability(advisory, Corpus([]), 5_000) if draft.form == "score"]
    assert [draft.fields["vector"] for draft in scores] == ["CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"]
