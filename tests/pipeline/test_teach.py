"""Teaching: against a fake endpoint (it says that it is one) and against the real embedded model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fake_teacher
import httpx
import msgspec
import pytest
from fake_teacher import FakeTeacher, refused, run, settings_with
from typer.testing import CliRunner

from securetag.cli import app
from securetag.datasets.knowledge import teacher
from securetag.errors import ModelUnavailableError, SettingsError
from securetag.pipeline import teach as module
from securetag.records import Facts, Record
from securetag.settings import get_settings

FAKE = Path(fake_teacher.__file__)


def section(number: int, *, lang: str = "en", licence: str = "CC-BY-4.0") -> Record:
    text = (
        f"Gate {number} refuses every visitor whose badge number {number}00 has expired. "
        f"The guard of gate {number} writes the refusal into a ledger before the visitor leaves. "
        f"A ledger that is full is sealed and carried to the archive within {number} days. "
        f"Badges are renewed by the office that issued them, never by the guard."
    )
    return Record.of(
        source="test-gates",
        publisher="Tests",
        key=f"G-{number}",
        title=f"Gate {number}",
        text=text,
        lang=lang,
        url="https://tests.example",
        edition="1",
        licence=licence,
        file_sha256="0" * 64,
        locator=f"/{number}",
        facts=Facts(kind="section", section=["Gates", f"Gate {number}"]),
    )


@pytest.fixture(autouse=True)
def _extracted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve sections lie extracted; pauses between tries are short."""
    monkeypatch.setattr(module, "PAUSE_S", (0.01, 0.02))
    extracted([section(number) for number in range(1, 13)])


def extracted(records: list[Record]) -> None:
    folder = get_settings().records_dir
    folder.mkdir(parents=True, exist_ok=True)
    lines = [msgspec.json.encode(record) + b"\n" for record in records]
    (folder / "test-gates.jsonl").write_bytes(b"".join(lines))


def kept() -> list[Path]:
    return sorted(get_settings().teacher_dir.glob("*.json"))


def test_good_answers_become_lessons_and_rows() -> None:
    fake = FakeTeacher()
    report = run(fake, settings_with())
    assert (report.sections, report.answered, report.cached, report.failed) == (12, 12, 0, 0)
    assert (report.pairs, report.kept) == (48, 48), report.dropped
    assert (report.model_id, report.may_enter) == ("openai:fake-teacher", ["internal", "public"])
    assert (report.prompt_tokens, report.completion_tokens, report.cost) == (6000, 1200, 0)
    assert fake.headers[-1]["authorization"] == "Bearer a-key"
    asked = fake.requests[0]
    assert asked["response_format"]["json_schema"]["schema"] == teacher.SCHEMA
    rows, _ = teacher.read_responses(get_settings().teacher_dir).make_rows(section(1), "full", 6)
    assert {row.origin for row in rows} == {"teacher"}
    assert {row.licence for row in rows} == {"CC-BY-4.0 AND Apache-2.0"}


def test_what_was_answered_isnt_asked_again() -> None:
    run(FakeTeacher(), settings_with(), limit=5)
    before = {path: path.read_bytes() for path in kept()}
    again = FakeTeacher()
    report = run(again, settings_with())
    assert (report.cached, report.answered, len(again.requests)) == (5, 7, 7)
    assert {path: path.read_bytes() for path in before} == before


def test_an_endpoint_that_wants_no_schema_gets_none() -> None:
    fake = FakeTeacher()
    run(fake, settings_with(constrained=False), limit=1)
    assert "response_format" not in fake.requests[0]


def test_too_many_requests_are_waited_out() -> None:
    fake = FakeTeacher(faults=[refused(429)] * 6)
    report = run(fake, settings_with(concurrency=2))
    assert (report.answered, report.failed, report.failed_tries) == (12, 0, 6)


def test_an_endpoint_that_stays_away_ends_the_run_and_keeps_what_there_is() -> None:
    run(FakeTeacher(), settings_with(), limit=3)
    report = run(FakeTeacher(faults=[refused(503)] * 1000), settings_with(attempts=2, concurrency=1))
    assert report.stopped == "the last 5 sections got no answer"
    assert (report.cached, report.answered, report.failed, report.failed_tries) == (3, 0, 5, 10)
    assert len(kept()) == 3


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param("Here you are!", id="prose"),
        pytest.param('{"pairs": [{"question": 1}]}', id="wrong type"),
        pytest.param('{"pairs": [', id="truncated JSON"),
        pytest.param("[" * 9999, id="deep nesting"),
    ],
)
def test_nonsense_is_asked_about_once_more_then_kept_as_nonsense(nonsense: str) -> None:
    fake = FakeTeacher(lambda _: nonsense)
    report = run(fake, settings_with(), limit=2)
    assert (len(fake.requests), report.answered, report.kept) == (4, 2, 0)
    assert report.dropped == {"teacher_no_json": 2}
    assert report.completion_tokens == 400  # both tries are paid for
    assert run(FakeTeacher(), settings_with(), limit=2).cached == 2


def test_a_second_answer_that_makes_sense_counts() -> None:
    answers = iter(["nonsense"])
    report = run(
        FakeTeacher(lambda asked: next(answers, "") or fake_teacher.good(asked)), settings_with(), limit=1
    )
    assert report.kept == 4


def test_slow_answers_are_given_up() -> None:
    report = run(FakeTeacher(seconds=30), settings_with(timeout_s=0.2, attempts=1, concurrency=8))
    assert (report.answered, report.wall_s < 20) == (0, True)
    assert report.failed >= module.FAILURES_IN_A_ROW


def test_no_more_than_asked_for_are_under_way() -> None:
    fake = FakeTeacher(seconds=0.02)
    run(fake, settings_with(concurrency=3))
    assert 1 < fake.most_at_once <= 3


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param({"price_prompt": 1.0, "price_completion": 10.0, "budget": 0.02}, id="money"),
        pytest.param({"budget_tokens": 6_000}, id="tokens"),
    ],
)
def test_a_budget_is_never_passed_and_the_next_run_goes_on(limits: dict[str, Any]) -> None:
    report = run(FakeTeacher(), settings_with(**limits))
    assert report.stopped == "the budget is used up"
    assert 0 < report.answered < 12
    assert report.cost == pytest.approx(
        (report.prompt_tokens * 1.0 + report.completion_tokens * 10.0) / 1e6 if "budget" in limits else 0
    )
    assert report.cost <= limits.get("budget", 0)
    assert report.prompt_tokens + report.completion_tokens <= limits.get("budget_tokens", 10**9)
    assert run(FakeTeacher(), settings_with()).cached == report.answered


def test_a_run_that_is_killed_goes_on_where_it_was() -> None:
    environment = os.environ | {"PYTHONPATH": str(FAKE.parent)}
    process = subprocess.Popen([sys.executable, str(FAKE), "0.3"], env=environment)
    try:
        deadline = time.monotonic() + 60
        while len(kept()) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = len(kept())
    assert 3 <= done < 12
    for path in kept():
        teacher.read_response(path)  # whole
    report = run(FakeTeacher(), settings_with())
    assert (report.cached, report.answered) == (done, 12 - done)


def test_a_lesson_that_was_damaged_is_asked_anew() -> None:
    run(FakeTeacher(), settings_with())
    kept()[0].write_bytes(kept()[0].read_bytes()[:-20])
    report = run(FakeTeacher(), settings_with())
    assert (report.cached, report.answered) == (11, 1)


def test_terms_can_be_corrected_without_a_question() -> None:
    run(FakeTeacher(), settings_with())
    fake = FakeTeacher()
    report = run(fake, settings_with(licence="LicenseRef-Distilled-Acme"))
    assert (len(fake.requests), report.may_enter) == (0, [])
    assert {teacher.read_response(path).licence for path in kept()} == {"LicenseRef-Distilled-Acme"}


@pytest.mark.parametrize("licence", [None, "not a licence at all (", ""])
def test_terms_must_be_stated_before_money_is_spent(licence: str | None) -> None:
    fake = FakeTeacher()
    with pytest.raises(SettingsError):
        run(fake, settings_with(licence=licence))
    assert not fake.headers


def test_records_that_no_release_may_hold_arent_asked_about() -> None:
    extracted([section(1, licence="CC-BY-NC-4.0"), section(2), section(3, lang="fr")])
    assert run(FakeTeacher(), settings_with()).sections == 1


def test_a_model_that_isnt_there_is_said_at_once() -> None:
    fake = FakeTeacher()
    with pytest.raises(ModelUnavailableError, match="serves none of"):
        module.RuntimeClient(
            "https://teacher.test",
            run_dir=Path(),
            aliases=["other"],
            transport=httpx.MockTransport(fake._handle),
        ).resolve()


def test_the_command_says_what_is_missing_and_reports_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURETAG_TEACHER__LICENCE", "Apache-2.0")
    get_settings.cache_clear()
    said = CliRunner().invoke(app, ["dataset", "teach"])
    assert said.exit_code == 1
    assert "SECURETAG_TEACHER__MODEL" in said.output
    fake = FakeTeacher()
    monkeypatch.setattr(module, "_connect", fake.client)
    done = CliRunner().invoke(app, ["dataset", "teach", "--json", "--limit", "2"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["answered"] == 2


@pytest.mark.long
@pytest.mark.sockets
def test_the_embedded_model_is_held_to_its_sections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real 135M model under the real schema, cut short: most of what it writes isn't fit, and goes."""
    from securetag.serving import base
    from securetag.serving.client import RuntimeClient
    from securetag.serving.runtime import Runtime

    monkeypatch.setattr(teacher, "MAX_TOKENS", 150)
    monkeypatch.setattr(module, "ASKS", 1)
    with Runtime(log_dir=tmp_path) as runtime:
        url = runtime.serve(base.locate_base(), alias="small", model_id="ab" * 32, slots=1, ctx=4096)
        client = RuntimeClient(url, run_dir=tmp_path, aliases=["small"])
        try:
            report = module.teach(settings_with(concurrency=1, attempts=1), client=client, limit=2)
        finally:
            client.close()
    assert (report.answered, report.failed, report.model_id) == (2, 0, "ab" * 32)
    assert report.prompt_tokens > 400
    assert 0 < report.completion_tokens <= 300
    assert report.kept <= report.pairs / 2
    assert sum(report.dropped.values()) >= report.pairs - report.kept
