"""Knowledge rows: what isn't worth a row is dropped by a rule, and each form says what its Record says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from securetag.datasets import filters
from securetag.datasets.drops import DropReason
from securetag.datasets.knowledge.answer_rules import find_flaw
from securetag.datasets.knowledge.corpus import EMPTY_CORPUS, MAX_REPEATS, Corpus
from securetag.datasets.knowledge.draft import fit, list_whole, name_record
from securetag.datasets.knowledge.forms.fixes import compare_lines
from securetag.datasets.knowledge.forms.passages import has_subject, oppose
from securetag.datasets.knowledge.forms.weaknesses import split_example
from securetag.datasets.knowledge.questions import (
    MAX_ANSWER_CHARS,
    MAX_PER_RECORD,
    make_judged_questions,
    make_questions,
    read_forms,
)
from securetag.records import Example, Facts, Message, Origin, Record

MakeRecord = Callable[..., Record]

CWE_89 = (
    "The product builds all or part of an SQL command from input of an upstream component, but it doesn't "
    "neutralize special elements that could modify the intended command."
)
CWE_564 = (
    "Using Hibernate to execute a dynamic statement built with user "
    "input lets an attacker change its meaning."
)
EXAMPLE = (
    "A shop looks up an order by its number.\n\nBad code (Python):\n\n```python\ncur.execute('select "
    "' + number)\n```\n\n"
    "The number is a string of the request, so that whoever sends it decides how the statement goes on.\n\n"
    "Good code (Python):\n\n```python\ncur.execute('select ?', (number,))\n```"
)


def weakness(key: str, title: str, text: str, **facts: object) -> Record:
    return item(key, title, text, Facts(kind="weakness", cwe=[key], **facts), publisher="MITRE")  # type: ignore[arg-type]


def item(
    key: str, title: str, text: str, facts: Facts, *, publisher: str = "Tests", lang: str = "en"
) -> Record:
    return Record.of(
        source=f"{publisher.lower()}-source",
        publisher=publisher,
        key=key,
        title=title,
        text=text,
        lang=lang,
        url=f"https://e.org/{key}",
        edition="1",
        licence="CC-BY-4.0" if publisher == "MITRE" else "CC0-1.0",
        file_sha256="0" * 64,
        locator="/",
        facts=facts,
    )


WEAKNESSES = [
    weakness(
        "CWE-943",
        "Improper Neutralization in Data Query Logic",
        "The product builds a query for a data store without neutralizing special elements of it.",
    ),
    weakness("CWE-89", "SQL Injection", CWE_89, parents=["CWE-943"], examples=[EXAMPLE]),
    weakness("CWE-564", "SQL Injection: Hibernate", CWE_564, parents=["CWE-943"]),
]


def turns(example: Example) -> str:
    return "\n".join(message.content for message in example.messages)


def flaw(question: str, answer: str, lang: str = "en", corpus: Corpus = EMPTY_CORPUS) -> DropReason | None:
    return find_flaw([Message("user", question), Message("assistant", answer)], lang, corpus)


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        pytest.param(
            "Which tactic does it serve?", "defense-evasion", DropReason.ANSWER_LOOKUP, id="category"
        ),
        pytest.param(
            "What is its status?",
            "Draft, allowed, stable, in use in 3 views",
            DropReason.ANSWER_LOOKUP,
            id="status",
        ),
        pytest.param("Map it to CWE.", "CWE-79, CWE-80", DropReason.ANSWER_LOOKUP, id="enum look-up"),
        pytest.param(
            "How is CVE-1 fixed?",
            ("Apply updates per vendor instructions, and restart the product: it is unsupported."),
            DropReason.ANSWER_BOILERPLATE,
            id="boilerplate",
        ),
        pytest.param(
            "What is a large data table with an excessive number of indices?",
            "The product uses a large data table with an excessive number of indices.",
            DropReason.ANSWER_IN_QUESTION,
            id="answer in the question",
        ),
        pytest.param(
            (
                "Summarize this text in one sentence of yours, which is about "
                "what locks and alarms are there for in a house of this street, "
                "so that a reader who is short of time knows what he needs, and "
                "leave out the rest of it.\n\nLocks keep strangers out of the "
                "house, and alarms wake the owner at night."
            ),
            "Locks keep strangers out of the house, and alarms wake the owner at night.",
            DropReason.ANSWER_VERBATIM,
            id="summary answered verbatim",
        ),
        pytest.param(
            "How does it work?",
            ("An attacker sends two requests in one body. The following steps are needed for that to work:"),
            DropReason.ANSWER_CUT,
            id="cut before its list",
        ),
        pytest.param(
            "Is it safe to trust the header of a proxy?",
            (
                "It can be forged by whoever reaches the server directly, so that "
                "only the address of the connection counts."
            ),
            None,
            id="kept",
        ),
    ],
)
def test_a_rule_drops_what_teaches_nothing(question: str, answer: str, reason: DropReason | None) -> None:
    assert flaw(question, answer) is reason


def test_a_spanish_question_has_no_english_answer() -> None:
    english = (
        "The attacker sends a request that the server doesn't expect, "
        "and it answers with the data of another user."
    )
    assert flaw("¿Qué consecuencias tiene para los usuarios de la aplicación?", english, "es") is (
        DropReason.ANSWER_LANGUAGE
    )


def test_what_many_records_say_is_boilerplate() -> None:
    advice = "Assume all input is malicious and use an accept known good strategy for it."
    same = [
        weakness(
            f"CWE-{n}", f"Thing {n}", CWE_89, mitigations=[advice, f"Do the thing number {n} in the code."]
        )
        for n in range(1, MAX_REPEATS + 2)
    ]
    assert not any(
        advice in turns(row) for record in same for row in make_questions(record, "full", Corpus(same))
    )
    few = same[:MAX_REPEATS]
    assert any(advice in turns(row) for record in few for row in make_questions(record, "full", Corpus(few)))


def test_consequences_that_are_values_of_an_enum_are_no_answer() -> None:
    bare = weakness("CWE-1", "Thing", CWE_89, consequences=["Integrity: Modify Application Data"] * 2)
    assert not any("Modify Application Data" in turns(row) for row in make_questions(bare, "full"))


def test_a_list_is_whole_or_says_that_it_is_not() -> None:
    entries = [f"Measure {n}: {'do this with care and check it twice ' * 20}" for n in range(20)]
    record = weakness("CWE-1", "Thing", CWE_89, mitigations=entries)
    (answer,) = [
        row.messages[-1].content for row in make_questions(record, "full") if "Measure 0" in turns(row)
    ]
    listed = answer.count("- Measure")
    assert 0 < listed < 20
    assert answer.endswith(f"These are {listed} of the 20 that MITRE lists.")
    assert list_whole(["a" * 60] * 3, 100) == ""
    text = f"Intro.\n\nDo this:\n\n- {'a' * 50}\n- {'b' * 50}"
    assert fit(text, 80) == "Intro."  # neither half of a list nor what announces it


def test_controls_are_not_named_after_techniques() -> None:
    mapping = Facts(kind="mapping", related=["T1557"])
    records = [
        item("AC-2", "Account Management: ATT&CK 16.1", "Mapped.", mapping, publisher="MITRE"),
        item("T1557", "Adversary in the Middle: NIST 800-53 rev5", "Mapped.", mapping, publisher="NIST"),
        item(
            "AC-2",
            "Account Management",
            "Manage the accounts of the system.",
            Facts(kind="control"),
            publisher="NIST",
        ),
        item("AC-2", "Accounts of Tests", "Something else with this key.", Facts(kind="control")),
    ]
    corpus = Corpus(records)
    assert (
        corpus.name("AC-2", "en", "MITRE")
        == corpus.name("AC-2", "en", "Tests")
        == "Account Management (AC-2)"
    )
    assert corpus.name("T1557", "en", "NIST") == "T1557"


def test_an_advisory_is_mapped_with_the_sentence_that_shows_it() -> None:
    text = (
        "The admin page shows a list. The id parameter is put into an "
        "SQL command without neutralizing special "
        "elements, so a remote user modifies the intended command."
    )
    record = item("CVE-2024-1", "CVE-2024-1", text, Facts(kind="vulnerability", cwe=["CWE-89"]))
    rows = make_questions(record, "full", Corpus([*WEAKNESSES, record]))
    named = [row for row in rows if "SQL Injection (CWE-89)" in turns(row)]
    # Beside it there may be the same question with a sibling to choose from.
    (row,) = [row for row in named if "CWE-564" not in turns(row)]
    answer = row.messages[-1].content
    assert "The id parameter is put into an SQL command" in answer
    assert CWE_89 in answer
    assert (row.publisher, row.url) == ("Tests, MITRE", "https://e.org/CVE-2024-1")
    assert row.licence == "CC0-1.0 AND CC-BY-4.0"
    assert "MITRE: SQL Injection (CWE-89), https://e.org/CWE-89 (CC-BY-4.0), adapted" in row.attribution
    unrelated = item(
        "CVE-2024-2",
        "CVE-2024-2",
        "Reading a book aloud wakes the neighbors of the whole street at night.",
        Facts(kind="vulnerability", cwe=["CWE-89"]),
    )
    assert not any("CWE-89" in turns(row) for row in make_questions(unrelated, "full", Corpus(WEAKNESSES)))


SCORED = Facts(
    kind="vulnerability",
    severity="high",
    cvss=7.5,
    cvss_vector="CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H",
    cvss_metrics=["AV:N: over a network", "AC:L: nothing has to be right", "A:H: availability is lost"],
)


def test_a_score_is_explained_metric_by_metric_and_recomputed() -> None:
    text = (
        "A parser of a small language reads past the end of its input "
        "when a remote user doesn't close a string."
    )
    rows = make_questions(item("CVE-1", "CVE-1", text, SCORED), "full")
    (score,) = [row for row in rows if "AC:L: nothing has to be right" in turns(row)]
    assert text in score.messages[0].content
    assert "- AV:N: over a network (“remote”)" in score.messages[-1].content
    (change,) = [
        row
        for row in rows
        if "Nothing else" in turns(row)
        or "/PR:L/" in turns(row)
        or "/UI:R/" in turns(row)
        or "/AV:L/" in turns(row)
        or "/AC:H/" in turns(row)
    ]
    # By the calculator of FIRST: 6.5 with PR:L and UI:R, 6.2 with AV:L, 5.9 with AC:H.
    assert any(f in change.messages[-1].content for f in ("6.5", "6.2", "5.9"))


def test_what_an_advisory_does_not_say_is_not_made_up() -> None:
    text = (
        "A widget of the dashboard shows the names of other tenants to "
        "whoever opens the page at the wrong time."
    )
    facts = Facts(kind="vulnerability", packages=["Acme/Widget"])
    (row,) = make_questions(item("CVE-9", "CVE-9", text, facts), "full")
    assert text in row.messages[0].content
    assert "Acme/Widget" in row.messages[-1].content or text in row.messages[-1].content
    scored = make_questions(
        item("CVE-9", "CVE-9", f"{text} CVSS 5.0. No workaround. Exploited before 1.2.", facts), "full"
    )
    assert scored == []


def test_an_upgrade_names_the_first_fixed_version() -> None:
    text = (
        "Text from a request reaches a template, which then runs it.\n\n## "
        "Affected versions\n\n- PyPI/shop: `≥ 1.0, < 1.4.2`; `< 0.9`"
    )
    rows = make_questions(
        item("CVE-3", "CVE-3", text, Facts(kind="vulnerability", packages=["PyPI/shop"])), "full"
    )
    assert any("shop 1.4.2 or 0.9" in turns(row) for row in rows)
    endless = text.replace("`< 0.9`", "`≥ 2.0`")
    rows = make_questions(item("CVE-3", "CVE-3", endless, Facts(kind="vulnerability")), "full")
    assert not any("pgrade to" in turns(row) for row in rows)


def test_a_weakness_is_shown_in_code_and_compared() -> None:
    record = WEAKNESSES[1]
    rows = make_questions(record, "full", Corpus(WEAKNESSES))
    assert any("cur.execute('select ' + number)" in turns(row) and "Fixed:" in turns(row) for row in rows)
    assert any(CWE_564 in turns(row) and CWE_89 in turns(row) for row in rows)
    pieces = split_example(EXAMPLE)
    assert [piece.label for piece in pieces] == ["", "bad", "", "good"]


def test_a_sentence_of_a_report_is_mapped_to_its_technique() -> None:
    facts = Facts(
        kind="technique",
        tactics=["collection"],
        observed=[
            (
                "Gadget (S0001): Gadget copies whatever the user puts on the clipboard "
                "and sends it home every hour."
            )
        ],
    )
    definition = "Adversaries may gather what users copy between applications, such as passwords."
    record = item("T1414", "Clipboard Data", definition, facts, publisher="MITRE")
    named = msgspec.structs.replace(
        facts, observed=["Gadget (S0001): Gadget reads Clipboard Data of the user in the background all day."]
    )
    rows = make_questions(record, "full", Corpus([record]))
    (row,) = [row for row in rows if "sends it home" in row.messages[0].content]
    assert "T1414" in row.messages[-1].content
    assert definition in row.messages[-1].content
    given_away = item("T1414", "Clipboard Data", definition, named, publisher="MITRE")
    assert not any("all day" in turns(row) for row in make_questions(given_away, "full"))


def test_a_control_is_implemented_and_assessed() -> None:
    facts = Facts(
        kind="control",
        assessments=["the doors are locked at night", "Examine: Door policy; key list", "Test: The locks"],
    )
    text = (
        "Lock the doors of every building at night.\n\n## Discussion\n\nKeys "
        "are given to few people, and each key is listed with its holder. "
        "Who leaves gives all of them back before the last day of work, and locks are changed."
    )
    rows = make_questions(item("PE-3", "Physical Access", text, facts, publisher="NIST"), "full")
    texts = "\n".join(map(turns, rows))
    assert "each key is listed with its holder" in texts
    assert "- Examine: Door policy; key list\n- Test: The locks" in texts
    assert "the doors are locked at night" in texts


def passage(text: str, *section: str, lang: str = "en") -> Record:
    return item("#".join(section), section[-1], text, Facts(kind="section", section=list(section)), lang=lang)


PROSE = (
    "Sessions must end after a time. "
    + "They are kept on the server, where a person who logs out ends all of them at once. " * 3
)


def test_passages_without_a_subject_are_left_out() -> None:
    assert has_subject(passage(PROSE, "Guide", "Sessions"))
    assert not has_subject(passage(PROSE, "Guide", "References"))
    assert not has_subject(passage(PROSE, "Introduction"))
    assert not has_subject(
        passage("- https://e.org/a\n- https://e.org/b\n" * 20, "Guide", "More to read on it")
    )
    assert (
        name_record(passage(PROSE, "Testing Storage", "How to Test", "2.1 Cookies"))
        == "Testing Storage › Cookies"
    )


def test_a_claim_is_checked_against_its_text() -> None:
    assert oppose("Keys must not be shared between tenants of a service.", "en") == (
        "Keys must be shared between tenants of a service."
    )
    assert oppose("Las claves deben cambiarse.", "es") == "Las claves no deben cambiarse."
    assert oppose("It should be done, and it must be logged.", "en") == ""
    claims = Counter(
        row.messages[-1].content.startswith(("No", "False", "That reverses", "It isn't"))
        for n in range(60)
        for row in make_questions(
            passage(
                (
                    f"{PROSE} Log number {n} is written. The log should be read by "
                    "two people on every working day. Others wait for it."
                ),
                "Guide",
                f"Sessions {n}",
            ),
            "full",
        )
        if "claim" in row.messages[0].content or "Right?" in row.messages[0].content
    )
    assert min(claims.values()) > 3


def test_a_fix_shows_what_changed() -> None:
    before, after = "def f(q):\n    x = 1\n    run(q)\n", "def f(q):\n    x = 1\n    run(clean(q))\n"
    assert compare_lines(before, after) == (["    run(q)"], ["    run(clean(q))"])
    facts = Facts(kind="fix", cwe=["CWE-89"], vulnerable=before, fixed=after, language="python")
    rows = make_questions(item("fix", "cwe-089 in f", "x", facts), "full", Corpus(WEAKNESSES))
    assert {row.task.value for row in rows} == {"remediation", "mapping"}
    assert all(CWE_89 in row.messages[-1].content for row in rows)


def test_a_record_gives_at_most_six_questions(record: MakeRecord) -> None:
    lead = "".join(
        f"## Part {n} of it\n\nThis part number {n} says how the wall {n} is painted and washed.\n\n"
        for n in range(12)
    )
    questions = make_questions(
        record(
            text=f"A thing of many parts is described below in full.\n\n{lead}",
            facts=Facts(kind="countermeasure"),
        ),
        "full",
    )
    assert 1 <= len(questions) <= MAX_PER_RECORD
    assert all(
        example.origins == [Origin(record_id=questions[0].origins[0].record_id)] for example in questions
    )
    assert {example.group for example in questions} == {"record/test-weaknesses/T-1"}


def test_some_records_ask_a_follow_up() -> None:
    lengths = Counter(
        len(row.messages)
        for n in range(80)
        for row in make_questions(
            weakness(
                f"CWE-{n}",
                f"Thing {n}",
                CWE_89,
                mitigations=[f"Check the number {n} of what is sent before it is used."],
            ),
            "full",
        )
    )
    assert set(lengths) == {2, 4}
    assert 0.1 < lengths[4] / sum(lengths.values()) < 0.4


def test_every_form_is_worded_and_only_by_what_it_has() -> None:
    forms = read_forms()
    assert set(forms["es"]) <= set(forms["en"])
    for lang, named in forms.items():
        for name, form in named.items():
            assert form.questions, f"{lang}/{name}"
            assert not any("ummari" in question or "Resume" in question for question in form.questions)


def test_a_spanish_record_gives_spanish_questions(record: MakeRecord) -> None:
    spanish = record(
        3, lang="es", text="Una cosa débil deja entrar a quien no debe, y se descubre con solo mirar."
    )
    rows = make_questions(spanish, "compact")
    assert {row.lang for row in rows} == {"es"}
    assert make_questions(record(4, lang="de"), "compact") == []


def test_no_answer_is_a_look_up_and_drops_are_counted(record: MakeRecord) -> None:
    rows, dropped = make_judged_questions(
        record(text="A weak thing.", facts=Facts(kind="countermeasure")), "full"
    )
    assert rows == []
    assert dropped[DropReason.ANSWER_LOOKUP] == 1


def test_phrasings_are_evenly_used(record: MakeRecord) -> None:
    phrasings = Counter(
        make_questions(record(n, facts=Facts(kind="countermeasure")), "compact")[0]
        .messages[0]
        .content.split("Weak")[0]
        for n in range(300)
    )
    assert len(phrasings) >= 8
    assert max(phrasings.values()) < 0.2 * 300


def test_answers_are_within_the_limit_of_their_profile(record: MakeRecord) -> None:
    long = record(text="One sentence that says a thing. " * 400)
    for profile, limit in MAX_ANSWER_CHARS.items():
        assert all(len(e.messages[-1].content) <= limit for e in make_questions(long, profile))
        assert all(filters.check_example(e, profile) is None for e in make_questions(long, profile))
