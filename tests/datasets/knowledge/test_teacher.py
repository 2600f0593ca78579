"""Lessons → rows: what may teach, on which terms, and how it enters a release."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from securetag.datasets.build import BuildParams, ReleaseSummary, build
from securetag.datasets.knowledge import teacher
from securetag.datasets.knowledge.teacher import Lesson, Lessons
from securetag.datasets.releases.release import read as read_release
from securetag.errors import InputError, LicenceError
from securetag.records import Facts, Record, Task, Teacher, content_id
from securetag.settings import SemgrepSettings

TEXT = (
    "A gate refuses every visitor whose badge has expired. The guard writes each refusal into a ledger, with "
    "the time in UTC. A full ledger is sealed and carried to the archive within 3 days, where it stays for 2 "
    "years. Badges are renewed by the office that issued them."
)
GOOD = ("Where does the guard write each refusal?", "The guard writes each refusal into a ledger.")


@pytest.fixture
def gate(record: Callable[..., Record]) -> Record:
    return record(1, text=TEXT, facts=Facts(kind="section", section=["Gates", "Refusals"]))


def lesson(record: Record, *pairs: tuple[str, str], model: str = "m", licence: str = "Apache-2.0") -> Lesson:
    text = json.dumps({"pairs": [{"question": question, "answer": answer} for question, answer in pairs]})
    return Lesson(
        key=teacher.key_of(model, record),
        model_id=model,
        prompt_version=teacher.PROMPT_VERSION,
        record_id=record.id,
        licence=licence,
        text=text,
        prompt_tokens=1,
        completion_tokens=1,
    )


def released(folder: Path, record: Record, lessons: Lessons) -> ReleaseSummary:
    return build(
        [record],
        [],
        BuildParams(composed=0),
        releases_dir=folder / "releases",
        work=folder,
        semgrep=SemgrepSettings(),
        lessons=lessons,
    )


def test_a_row_names_its_teacher_and_both_licences(gate: Record) -> None:
    rows, left = Lessons([lesson(gate, GOOD)]).rows(gate, "compact", 6)
    assert not left
    assert [(row.origin, row.task, row.label, row.licence) for row in rows] == [
        ("teacher", Task.QA, None, "CC-BY-SA-4.0 AND Apache-2.0")
    ]
    assert rows[0].teacher == Teacher(model_id="m", prompt_version=teacher.PROMPT_VERSION)
    assert rows[0].origins[0].record_id == gate.id


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (("What does this section say of a refusal in the ledger?", GOOD[1]), teacher.REFERS),
        ((GOOD[0], "According to the text, the guard writes each refusal into a ledger."), teacher.REFERS),
        ((GOOD[0], "The ledger's colour is not mentioned."), teacher.NO_ANSWER),
        ((GOOD[0], "The guard does write each refusal."), teacher.NO_ANSWER),
        (("What should he do?", GOOD[1]), teacher.VAGUE),
        (("How does ISO 27001 treat the ledger of refusals?", GOOD[1]), teacher.VAGUE),
        ((GOOD[0], "El guardia anota cada rechazo en un libro."), teacher.OTHER_LANGUAGE),
        ((GOOD[0], GOOD[1] * 20), teacher.TOO_LONG),
        (
            (
                "How long does a sealed ledger stay in the archive?",
                "A ledger stays in the archive for 5 years.",
            ),
            "a number or identifier that the section doesn't hold",
        ),
    ],
)
def test_why_a_pair_doesnt_teach(gate: Record, pair: tuple[str, str], reason: str) -> None:
    rows, left = Lessons([lesson(gate, pair)]).rows(gate, "compact", 6)
    assert (rows, dict(left)) == ([], {f"teacher: {reason}": 1})


def test_room_is_kept_and_nothing_is_asked_twice(gate: Record) -> None:
    lessons = Lessons([lesson(gate, GOOD, GOOD), lesson(gate, GOOD, model="n")])
    rows, left = lessons.rows(gate, "compact", 1)
    assert (len(rows), left[f"teacher: {teacher.TWICE}"]) == (1, 2)
    assert not lessons.rows(gate, "compact", 0)[0]


def test_what_an_answer_depends_on_is_its_key(gate: Record, record: Callable[..., Record]) -> None:
    assert len({teacher.key_of("m", gate), teacher.key_of("n", gate), teacher.key_of("m", record(2))}) == 3


def test_the_prompts_bytes_are_those_of_its_version(gate: Record) -> None:
    spanish = msgspec.structs.replace(gate, lang="es")
    found = content_id([teacher.prompt(gate), teacher.prompt(spanish), teacher.SCHEMA])
    assert (teacher.PROMPT_VERSION, found[:16]) == ("teacher-1", "fb19a3411cb8bc82")


def test_a_release_holds_them_and_its_digest_knows(tmp_path: Path, gate: Record) -> None:
    without = released(tmp_path, gate, Lessons())
    found = released(tmp_path, gate, Lessons([lesson(gate, GOOD)]))
    again = released(tmp_path / "elsewhere", gate, Lessons([lesson(gate, GOOD)]))
    assert without.digest != found.digest == again.digest
    release = read_release(Path(found.path))
    rows = [*release.train, *release.validation, *release.test]
    assert [row.teacher for row in rows if row.origin == "teacher"] == [
        Teacher(model_id="m", prompt_version=teacher.PROMPT_VERSION)
    ]
    assert len({row.split for row in rows}) == 1  # of one Record, on one side


def test_a_lesson_of_a_record_that_isnt_there_changes_nothing(
    tmp_path: Path, gate: Record, record: Callable[..., Record]
) -> None:
    other = Lessons([lesson(record(2), GOOD)])
    assert released(tmp_path, gate, Lessons()).digest == released(tmp_path, gate, other).digest


def test_a_vendors_terms_stop_the_release(tmp_path: Path, gate: Record) -> None:
    with pytest.raises(LicenceError, match="Acme"):
        released(tmp_path, gate, Lessons([lesson(gate, GOOD, licence="LicenseRef-Distilled-Acme")]))


def test_lessons_are_read_whole_or_refused(tmp_path: Path, gate: Record) -> None:
    one = lesson(gate, GOOD)
    (tmp_path / f"{one.key}.json").write_bytes(msgspec.json.encode(one))
    assert len(teacher.read(tmp_path)) == 1
    old = msgspec.structs.replace(one, key="a" * 64, prompt_version="teacher-0")
    (tmp_path / f"{old.key}.json").write_bytes(msgspec.json.encode(old))
    assert len(teacher.read(tmp_path)) == 1
    (tmp_path / f"{'b' * 64}.json").write_bytes(msgspec.json.encode(one))
    with pytest.raises(InputError):
        teacher.read(tmp_path)
