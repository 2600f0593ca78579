"""Questions that need two Records: an earlier edition, a sibling, an attack pattern, an incident's step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from securetag.datasets.knowledge.corpus import Corpus
from securetag.datasets.knowledge.draft import Draft, define
from securetag.datasets.knowledge.forms.attack_patterns import draft_attacks, draft_pattern
from securetag.datasets.knowledge.forms.controls import draft_advice, draft_enhancement, draft_requirement
from securetag.datasets.knowledge.forms.passages import draft_claim
from securetag.datasets.knowledge.forms.techniques import draft_case_study, draft_technique
from securetag.datasets.knowledge.forms.vulnerabilities import draft_vulnerability
from securetag.datasets.knowledge.knowledge_rows import make_knowledge_rows
from securetag.datasets.knowledge.questions import make_judged_questions
from securetag.records import Example, Facts, Record, Status

LIMIT = 5_000
TECHNIQUE = "Adversaries may write a job into a timetable of the system, so that it runs their code again."
SIBLING = "Adversaries may write a job into a timetable of the user, so that it runs their code at a log-on."
PROCEDURE = "Grey Heron (G0999): Grey Heron wrote a line into a file that the clock of the host reads."
NOTICED = "File Creation: Watch for new files below the folder of timetables that no installer has written."


def make_record(key: str, title: str, text: str, *, kind: str, **options: Any) -> Record:
    names = ("publisher", "edition", "status", "source")
    fields = {name: options.pop(name) for name in names if name in options}
    base = {"publisher": "MITRE", "edition": "2", "status": Status.ACTIVE, "source": "s"}
    return Record.of(
        **{**base, **fields},
        key=key,
        title=title,
        text=text,
        lang="en",
        url=f"https://s.example/{key}",
        licence="MIT",
        file_sha256="0" * 64,
        locator=f"/{key}",
        facts=Facts(kind=kind, **options),
    )


def by_form(drafts: Sequence[Draft]) -> dict[str, Draft]:
    return {draft.form.split("/")[0]: draft for draft in drafts if draft.answer}


def make_technique(**options: Any) -> Record:
    title = options.pop("title", "Scheduled Job")
    return make_record("T1999", title, TECHNIQUE, kind="technique", **options)


def make_earlier(**options: Any) -> Record:
    return make_technique(
        observed=[PROCEDURE],
        detections=["All in prose.", NOTICED],
        edition="1",
        status=Status.SUPERSEDED,
        source="s-1",
        **options,
    )


def make_rows(records: Sequence[Record], withdrawn: Sequence[str] = ()) -> list[Example]:
    return make_knowledge_rows(
        records, profile="full", purpose="internal", langs=("en",), withdrawn=withdrawn
    ).rows


def list_texts(rows: Sequence[Example]) -> str:
    return "\n".join(message.content for row in rows for message in row.messages)


def test_a_technique_is_asked_about_the_procedures_of_an_earlier_edition_and_the_row_names_both() -> None:
    technique, earlier = make_technique(), make_earlier()
    rows = make_rows([technique, earlier])
    (quoting,) = [row for row in rows if "clock of the host" in list_texts([row])]
    assert {origin.record_id for origin in quoting.origins} == {technique.id, earlier.id}
    assert "Scheduled Job, edition 1" in quoting.attribution
    assert "no installer has written" in list_texts(rows)
    assert all(row.source == "s" for row in rows)


@pytest.mark.parametrize(
    ("records", "withdrawn"),
    [
        pytest.param([make_technique(), make_earlier(title="Task of a Clock")], [], id="renamed since"),
        pytest.param([make_technique(), make_earlier()], ["s-1"], id="withdrawn source"),
        pytest.param([make_earlier()], [], id="no newer edition"),
    ],
)
def test_nothing_is_quoted_of_an_earlier_edition_that(records: list[Record], withdrawn: list[str]) -> None:
    assert "clock of the host" not in list_texts(make_rows(records, withdrawn))


def test_the_second_procedure_is_asked_with_the_technique_for_which_it_could_be_taken() -> None:
    other = "Blue Crane (G0998): Blue Crane added an entry to the list which a daemon of the host works off."
    parent = make_record("T1990", "Jobs", "Adversaries may have work done later on.", kind="technique")
    technique = make_technique(observed=[PROCEDURE, other], parents=["T1990"])
    sibling = make_record("T1998", "Log-on Job", SIBLING, kind="technique", parents=["T1990"])
    drafts = by_form(list(draft_technique(technique, Corpus([parent, technique, sibling]), LIMIT)))
    choice = drafts["procedure-choice"]
    assert {choice.fields["first"], choice.fields["second"]} == {
        "Scheduled Job (T1999)",
        "Log-on Job (T1998)",
    }
    assert (choice.answer, choice.fields["other_gist"], choice.used) == (TECHNIQUE, SIBLING, ("T1998",))


def test_steps_of_an_incident_are_mapped_one_by_one_and_in_a_row() -> None:
    techniques = [
        make_record("AML.T1", "Find the Model", "Adversaries may look for a model.", kind="technique"),
        make_record("AML.T2", "Trick: Stickers", "Adversaries may put stickers on things.", kind="technique"),
    ]
    text = (
        "Somebody fooled a camera.\n\n## Procedure\n\n### Find the Model (Reconnaissance)\n\nThe group read "
        "papers until they had learned which network the camera runs.\n\n### Stickers (Impact)\n\nThey "
        "printed patterns, and the camera took the lorry for a bird the whole day."
    )
    study = make_record("AML.CS1", "Camera", text, kind="case-study", related=["AML.T1", "AML.T2"])
    drafts = [draft for draft in draft_case_study(study, Corpus([*techniques, study]), LIMIT) if draft.answer]
    steps = {draft.fields["step"] for draft in drafts if draft.form.startswith("step/")}
    assert steps == {"Find the Model (AML.T1)", "Trick: Stickers (AML.T2)"}
    in_a_row = by_form(drafts)["steps-in-a-row"].answer.split("\n")
    assert [line[:2] for line in in_a_row] == ["1.", "2."]
    assert "Trick: Stickers (AML.T2), for Impact: Adversaries may put" in in_a_row[1]
    # A heading that no related technique has: none of the steps is sure.
    assert by_form(list(draft_case_study(study, Corpus([techniques[0], study]), LIMIT))) == {}


def test_an_attack_pattern_is_traced_to_weaknesses_that_say_what_to_look_for() -> None:
    precise = make_record("CWE-1", "Open Door", "The product leaves a door open.", kind="weakness")
    broad = make_record(
        "CWE-2", "Bad Care", "The product takes no care.", kind="weakness", mapping_usage="Discouraged"
    )
    many = [
        make_record(f"CWE-{n}", f"Flaw {n}", f"The product has flaw {n}.", kind="weakness")
        for n in range(3, 9)
    ]
    corpus = Corpus([precise, broad, *many])

    def trace(*keys: str) -> dict[str, Draft]:
        pattern = make_record(
            "CAPEC-1", "Walk In", "An adversary walks in.", kind="attack-pattern", cwe=list(keys)
        )
        return by_form(list(draft_pattern(pattern, corpus, LIMIT)))

    assert trace("CWE-1", "CWE-2")["pattern-weaknesses"].used == ("CWE-1", "CWE-2")
    assert trace("CWE-2") == {}
    assert trace("CWE-1", "CWE-99") == {}, "a list without one would say that there is none"
    some = trace(*(f"CWE-{n}" for n in range(3, 9)))["pattern-weaknesses-some"]
    assert (some.fields["n"], some.fields["total"], len(some.used)) == ("4", "6", 4)


def test_a_weakness_is_asked_how_it_is_attacked() -> None:
    pattern = make_record("CAPEC-1", "Walk In", "An adversary walks in at night.", kind="attack-pattern")
    weakness = make_record(
        "CWE-1", "Open Door", "The product leaves a door open.", kind="weakness", related=["CAPEC-1", "CWE-9"]
    )
    drafts = by_form(list(draft_attacks(weakness, Corpus([pattern, weakness]), LIMIT)))
    assert drafts["weakness-attacks"].answer == "- Walk In (CAPEC-1): An adversary walks in at night."


SHELL = "The product builds a shell command of text from outside and doesn't neutralize special elements."
QUERY = "The product builds a database query of text from outside and doesn't neutralize special elements."


def make_advisory(text: str, **facts: Any) -> Record:
    return make_record("CVE-2025-1", "CVE-2025-1", text, kind="vulnerability", publisher="P", **facts)


def test_a_weakness_is_told_from_its_sibling_where_the_description_speaks_for_it() -> None:
    weaknesses = [
        make_record("CWE-1", "Neutralization", "The product handles text badly.", kind="weakness"),
        make_record("CWE-2", "Shell Injection", SHELL, kind="weakness", parents=["CWE-1"]),
        make_record("CWE-3", "Query Injection", QUERY, kind="weakness", parents=["CWE-1"]),
    ]

    def choose(text: str, *cwe: str) -> Draft | None:
        drafts = draft_vulnerability(make_advisory(text, cwe=list(cwe)), Corpus(weaknesses), LIMIT)
        return by_form(list(drafts)).get("cve-choice")

    text = "The name of a file is put into a shell command without neutralizing special elements of it."
    choice = choose(text, "CWE-2")
    assert choice is not None
    assert choice.used == ("CWE-2", "CWE-3")
    assert choice.fields["other_gist"] == QUERY
    assert choose(text, "CWE-3") is None, "the description speaks for the other one"
    assert choose(text, "CWE-2", "CWE-3") is None, "both apply"
    assert choose(f"{text} Shell Injection.", "CWE-2") is None, "the text says it"


@pytest.mark.parametrize(
    ("ranges", "text", "form", "version"),
    [
        pytest.param("`≥ 1.2, < 1.4`", "It leaks.", {"version-affected", "version-fixed"}, None, id="range"),
        pytest.param("`< 1.4`", "It leaks.", {"version-before", "version-fixed"}, "1.4", id="no lower end"),
        pytest.param("`≥ 0, < 1.4`", "It leaks.", {"version-before", "version-fixed"}, "1.4", id="zero"),
        pytest.param(
            "`< 1.4`", "Version 1.4 lets users read secrets.", {"version-before"}, "1.4", id="contradicts"
        ),
        pytest.param("`≥ 1.2, < 1.4`; `≥ 2.0, < 2.1`", "It leaks.", {"version-affected"}, None, id="several"),
        pytest.param("`1.4`", "It leaks.", set(), None, id="one version"),
    ],
)
def test_a_release_is_judged_by_the_range_that_names_it(
    ranges: str, text: str, form: set[str], version: str | None
) -> None:
    description = f"{text} A long description of what the package does wrong with its input."
    record = make_advisory(f"{description}\n\n## Affected versions\n\n- PyPI/parcels: {ranges}")
    drafts = by_form(list(draft_vulnerability(record, Corpus(), LIMIT)))
    versions = {name: draft for name, draft in drafts.items() if name.startswith("version-")}
    assert set(versions) <= form
    assert len(versions) == bool(form)
    for draft in versions.values():
        assert f"`{draft.answer.strip('`')}`" in ranges
        assert version in (None, draft.fields["version"])
        starts = f"≥ {draft.fields['version']}," in draft.answer
        assert starts == (draft.form == "version-affected")


def test_a_requirement_is_compared_with_those_that_it_came_from() -> None:
    record = make_record(
        "ASVS-5.0-1.1.1",
        "Doors",
        "Verify that every door is locked by a key of its own, and that lost keys are replaced at once.",
        kind="requirement",
        publisher="OWASP",
        related=["ASVS-4.0-9.9.9"],
        levels=["L2"],
    )

    def change(old_text: str) -> dict[str, Draft]:
        old = make_record(
            "ASVS-4.0-9.9.9",
            "Doors",
            old_text,
            kind="requirement",
            publisher="OWASP",
            status=Status.SUPERSEDED,
            edition="4.0.3",
        )
        return by_form(list(draft_requirement(record, Corpus([record], [old]), LIMIT)))

    draft = change("Verify that gates have bolts.")["requirement-change"]
    assert draft.answer == "- ASVS-4.0-9.9.9: Verify that gates have bolts."
    assert draft.fields["demand"].endswith("(L2)")
    assert change(record.text.replace("Verify that every", "Verify every")) == {}


def test_an_enhancement_is_told_beside_its_control_with_the_whole_demand() -> None:
    control = make_record(
        "AC-1",
        "Doors",
        "Keep doors shut:\n\n- a. at night; and\n\n- b. at noon.\n\n## Discussion\n\nDoors are old.",
        kind="control",
        publisher="NIST",
    )
    enhancement = make_record(
        "AC-1(1)", "Doors: Locks", "Lock them.", kind="enhancement", publisher="NIST", parents=["AC-1"]
    )
    assert define(control) == "Keep doors shut: a. at night; and b. at noon."
    corpus = Corpus([control, enhancement])
    drafts = by_form(list(draft_enhancement(enhancement, corpus, LIMIT)))
    assert drafts["enhancement"].answer == define(control)
    rows, _ = make_judged_questions(enhancement, "full", corpus)
    assert not [row for row in rows if "ticket" in list_texts([row])], "worded like a weakness"


def test_advice_that_another_entry_repeats_is_given_once() -> None:
    short = "Watch the gate at night for people who carry ladders."
    record = make_record(
        "T1", "Climb", TECHNIQUE, kind="technique", detections=[short, f"Gate Log: {short} Ask them."]
    )
    draft = by_form(list(draft_advice(record, Corpus([record]), LIMIT)))["detection"]
    assert draft.answer == f"Gate Log: {short} Ask them."


def test_a_claim_is_taken_from_a_later_sentence_where_nothing_follows_the_first() -> None:
    sentences = [f"Every door number {n} must be locked by the guard at night." for n in range(6)]
    claims = 0
    for n in range(40):
        text = " ".join(sentences) + f" Guard {n} has the keys."
        record = make_record(f"p{n}", f"Doors {n}", text, kind="section")
        claims += any(draft.form.startswith("claim") for draft in draft_claim(record, Corpus(), LIMIT))
    assert claims == 40
