"""Rows from teacher responses: their checks, licenses and place in a release."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from securetag.datasets.build import BuildParams, ReleaseSummary
from securetag.datasets.drops import DropReason
from securetag.datasets.knowledge import teacher
from securetag.datasets.knowledge.teacher import TeacherResponse, TeacherResponses
from securetag.datasets.releases.release import read_release
from securetag.errors import InputError, LicenceError
from securetag.records import Facts, Record, Task, Teacher, content_id
from tests.plugins.small_build import build_small

TEXT = (
    "A gate refuses every visitor whose badge has expired. The guard writes each refusal into a ledger, with "
    "the time in UTC. A full ledger is sealed and carried to the archive within 3 days, where it stays for 2 "
    "years. Badges are renewed by the office that issued them."
)
GOOD = ("Where does the guard write each refusal?", "The guard writes each refusal into a ledger.")


@pytest.fixture
def gate(record: Callable[..., Record]) -> Record:
    return record(1, text=TEXT, facts=Facts(kind="section", section=["Gates", "Refusals"]))


def response(
    record: Record, *pairs: tuple[str, str], model: str = "m", licence: str = "Apache-2.0"
) -> TeacherResponse:
    text = json.dumps({"pairs": [{"question": question, "answer": answer} for question, answer in pairs]})
    return TeacherResponse(
        key=teacher.response_key(model, record),
        model_id=model,
        prompt_version=teacher.PROMPT_VERSION,
        record_id=record.id,
        licence=licence,
        text=text,
        prompt_tokens=1,
        completion_tokens=1,
    )


def released(folder: Path, record: Record, responses: TeacherResponses) -> ReleaseSummary:
    return build_small(folder, [record], BuildParams(synthetic=0), responses=responses)


def test_a_row_names_its_teacher_and_both_licences(gate: Record) -> None:
    rows, left = TeacherResponses([response(gate, GOOD)]).make_rows(gate, "compact", 6)
    assert not left
    assert [(row.origin, row.task, row.label, row.licence) for row in rows] == [
        ("teacher", Task.QA, None, "CC-BY-SA-4.0 AND Apache-2.0")
    ]
    assert rows[0].teacher == Teacher(model_id="m", prompt_version=teacher.PROMPT_VERSION)
    assert rows[0].origins[0].record_id == gate.id


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        pytest.param(
            ("What does this section say of a refusal in the ledger?", GOOD[1]),
            DropReason.TEACHER_REFERS,
            id="question refers to the section",
        ),
        pytest.param(
            (GOOD[0], "According to the text, the guard writes each refusal into a ledger."),
            DropReason.TEACHER_REFERS,
            id="answer refers to the text",
        ),
        pytest.param(
            (GOOD[0], "The ledger's colour is not mentioned."),
            DropReason.TEACHER_NO_ANSWER,
            id="answer says not mentioned",
        ),
        pytest.param(
            (GOOD[0], "The guard does write each refusal."),
            DropReason.TEACHER_NO_ANSWER,
            id="answer without content",
        ),
        pytest.param(
            ("What should he do?", GOOD[1]), DropReason.TEACHER_VAGUE, id="question without subject"
        ),
        pytest.param(
            ("How does ISO 27001 treat the ledger of refusals?", GOOD[1]),
            DropReason.TEACHER_VAGUE,
            id="question names another standard",
        ),
        pytest.param(
            (GOOD[0], "El guardia anota cada rechazo en un libro."),
            DropReason.TEACHER_LANGUAGE,
            id="answer in Spanish",
        ),
        pytest.param((GOOD[0], GOOD[1] * 20), DropReason.TEACHER_TOO_LONG, id="answer too long"),
        pytest.param(
            (
                "How long does a sealed ledger stay in the archive?",
                "A ledger stays in the archive for 5 years.",
            ),
            DropReason.INVENTED_NUMBER,
            id="number not in the section",
        ),
    ],
)
def test_an_unusable_pair_is_dropped_with_its_reason(
    gate: Record, pair: tuple[str, str], reason: DropReason
) -> None:
    rows, left = TeacherResponses([response(gate, pair)]).make_rows(gate, "compact", 6)
    assert (rows, dict(left)) == ([], {reason: 1})


def test_rows_are_limited_and_repeated_questions_are_dropped(gate: Record) -> None:
    responses = TeacherResponses([response(gate, GOOD, GOOD), response(gate, GOOD, model="n")])
    rows, left = responses.make_rows(gate, "compact", 1)
    assert (len(rows), left[DropReason.TEACHER_REPEATED]) == (1, 2)
    assert not responses.make_rows(gate, "compact", 0)[0]


def test_a_response_key_depends_on_model_and_record(gate: Record, record: Callable[..., Record]) -> None:
    assert (
        len(
            {
                teacher.response_key("m", gate),
                teacher.response_key("n", gate),
                teacher.response_key("m", record(2)),
            }
        )
        == 3
    )


def test_a_changed_prompt_needs_another_version(gate: Record) -> None:
    spanish = msgspec.structs.replace(gate, lang="es")
    prompt_id = content_id([teacher.make_prompt(gate), teacher.make_prompt(spanish), teacher.SCHEMA])
    assert (teacher.PROMPT_VERSION, prompt_id[:16]) == ("teacher-1", "fb19a3411cb8bc82")


def test_a_release_has_the_rows_and_another_digest(tmp_path: Path, gate: Record) -> None:
    without = released(tmp_path, gate, TeacherResponses())
    summary = released(tmp_path, gate, TeacherResponses([response(gate, GOOD)]))
    again = released(tmp_path / "elsewhere", gate, TeacherResponses([response(gate, GOOD)]))
    assert without.digest != summary.digest == again.digest
    release = read_release(Path(summary.path))
    rows = [*release.train, *release.validation, *release.test]
    assert [row.teacher for row in rows if row.origin == "teacher"] == [
        Teacher(model_id="m", prompt_version=teacher.PROMPT_VERSION)
    ]
    assert len({row.split for row in rows}) == 1  # rows of one Record are in one split


def test_a_response_without_its_record_changes_nothing(
    tmp_path: Path, gate: Record, record: Callable[..., Record]
) -> None:
    other = TeacherResponses([response(record(2), GOOD)])
    assert released(tmp_path, gate, TeacherResponses()).digest == released(tmp_path, gate, other).digest


def test_a_vendors_terms_stop_the_release(tmp_path: Path, gate: Record) -> None:
    with pytest.raises(LicenceError, match="Acme"):
        released(
            tmp_path, gate, TeacherResponses([response(gate, GOOD, licence="LicenseRef-Distilled-Acme")])
        )


def test_broken_responses_are_refused(tmp_path: Path, gate: Record) -> None:
    current = response(gate, GOOD)
    (tmp_path / f"{current.key}.json").write_bytes(msgspec.json.encode(current))
    assert len(teacher.read_responses(tmp_path)) == 1
    old = msgspec.structs.replace(current, key="a" * 64, prompt_version="teacher-0")
    (tmp_path / f"{old.key}.json").write_bytes(msgspec.json.encode(old))
    assert len(teacher.read_responses(tmp_path)) == 1
    (tmp_path / f"{'b' * 64}.json").write_bytes(msgspec.json.encode(current))
    with pytest.raises(InputError):
        teacher.read_responses(tmp_path)
