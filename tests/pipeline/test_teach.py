"""Teacher responses from a fake endpoint and from the real embedded model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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
    """Extract twelve sections and shorten the pauses between tries."""
    monkeypatch.setattr(module, "PAUSE_S", (0.01, 0.02))
    write_records([section(number) for number in range(1, 13)])


def write_records(records: list[Record]) -> None:
    folder = get_settings().records_dir
    folder.mkdir(parents=True, exist_ok=True)
    lines = [msgspec.json.encode(record) + b"\n" for record in records]
    (folder / "test-gates.jsonl").write_bytes(b"".join(lines))


def response_files() -> list[Path]:
    return sorted(get_settings().teacher_dir.glob("*.json"))


def test_valid_answers_become_responses_and_rows() -> None:
    fake = FakeTeacher()
    report = run(fake, settings_with())
    assert (report.sections, report.answered, report.cached, report.failed) == (12, 12, 0, 0)
    assert (report.pairs, report.kept) == (48, 48), report.dropped
    assert (report.model_id, report.may_enter) == ("openai:fake-teacher", ["internal", "public"])
    assert (report.prompt_tokens, report.completion_tokens, report.cost) == (6000, 1200, 0)
    assert fake.headers[-1]["authorization"] == "Bearer a-key"
    request = fake.requests[0]
    assert request["response_format"]["json_schema"]["schema"] == teacher.SCHEMA
    rows, _ = teacher.read_responses(get_settings().teacher_dir).make_rows(section(1), "full", 6)
    assert {row.origin for row in rows} == {"teacher"}
    assert {row.licence for row in rows} == {"CC-BY-4.0 AND Apache-2.0"}


def test_answered_sections_are_not_requested_again() -> None:
    run(FakeTeacher(), settings_with(), limit=5)
    before = {path: path.read_bytes() for path in response_files()}
    again = FakeTeacher()
    report = run(again, settings_with())
    assert (report.cached, report.answered, len(again.requests)) == (5, 7, 7)
    assert {path: path.read_bytes() for path in before} == before


def test_an_endpoint_without_constrained_output_gets_no_schema() -> None:
    fake = FakeTeacher()
    run(fake, settings_with(constrained=False), limit=1)
    assert "response_format" not in fake.requests[0]


def test_status_429_is_retried() -> None:
    fake = FakeTeacher(faults=[refused(429)] * 6)
    report = run(fake, settings_with(concurrency=2))
    assert (report.answered, report.failed, report.failed_tries) == (12, 0, 6)


def test_an_unavailable_endpoint_stops_the_run_and_keeps_earlier_responses() -> None:
    run(FakeTeacher(), settings_with(), limit=3)
    report = run(FakeTeacher(faults=[refused(503)] * 1000), settings_with(attempts=2, concurrency=1))
    assert report.stopped == "the last 5 sections got no answer"
    assert (report.cached, report.answered, report.failed, report.failed_tries) == (3, 0, 5, 10)
    assert len(response_files()) == 3


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("Here you are!", id="prose"),
        pytest.param('{"pairs": [{"question": 1}]}', id="wrong type"),
        pytest.param('{"pairs": [', id="truncated JSON"),
        pytest.param("[" * 9999, id="deep nesting"),
    ],
)
def test_an_invalid_answer_is_retried_once_then_stored_and_dropped(answer: str) -> None:
    fake = FakeTeacher(lambda _: answer)
    report = run(fake, settings_with(), limit=2)
    assert (len(fake.requests), report.answered, report.kept) == (4, 2, 0)
    assert report.dropped == {"teacher_no_json": 2}
    assert report.completion_tokens == 400  # both tries are paid for
    assert run(FakeTeacher(), settings_with(), limit=2).cached == 2


def test_a_valid_second_answer_is_kept() -> None:
    answers = iter(["nonsense"])
    report = run(
        FakeTeacher(lambda prompt: next(answers, "") or fake_teacher.good(prompt)), settings_with(), limit=1
    )
    assert report.kept == 4


def test_slow_answers_time_out() -> None:
    report = run(FakeTeacher(seconds=30), settings_with(timeout_s=0.2, attempts=1, concurrency=8))
    assert (report.answered, report.wall_s < 20) == (0, True)
    assert report.failed >= module.FAILURES_IN_A_ROW


def test_concurrent_requests_are_limited() -> None:
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
def test_a_budget_is_never_exceeded_and_the_next_run_resumes(limits: dict[str, float]) -> None:
    report = run(FakeTeacher(), settings_with(**limits))
    assert report.stopped == "the budget is used up"
    assert 0 < report.answered < 12
    assert report.cost == pytest.approx(
        (report.prompt_tokens * 1.0 + report.completion_tokens * 10.0) / 1e6 if "budget" in limits else 0
    )
    assert report.cost <= limits.get("budget", 0)
    assert report.prompt_tokens + report.completion_tokens <= limits.get("budget_tokens", 10**9)
    assert run(FakeTeacher(), settings_with()).cached == report.answered


def test_a_killed_run_resumes() -> None:
    environment = os.environ | {"PYTHONPATH": str(FAKE.parent)}
    process = subprocess.Popen([sys.executable, str(FAKE), "0.3"], env=environment)
    try:
        deadline = time.monotonic() + 60
        while len(response_files()) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = len(response_files())
    assert 3 <= done < 12
    for path in response_files():
        teacher.read_response(path)  # whole
    report = run(FakeTeacher(), settings_with())
    assert (report.cached, report.answered) == (done, 12 - done)


def test_a_damaged_response_is_requested_again() -> None:
    run(FakeTeacher(), settings_with())
    response_files()[0].write_bytes(response_files()[0].read_bytes()[:-20])
    report = run(FakeTeacher(), settings_with())
    assert (report.cached, report.answered) == (11, 1)


def test_a_licence_can_be_corrected_without_a_request() -> None:
    run(FakeTeacher(), settings_with())
    fake = FakeTeacher()
    report = run(fake, settings_with(licence="LicenseRef-Distilled-Acme"))
    assert (len(fake.requests), report.may_enter) == (0, [])
    assert {teacher.read_response(path).licence for path in response_files()} == {"LicenseRef-Distilled-Acme"}


@pytest.mark.parametrize("licence", [None, "not a licence at all (", ""])
def test_a_licence_is_required_before_the_first_request(licence: str | None) -> None:
    fake = FakeTeacher()
    with pytest.raises(SettingsError):
        run(fake, settings_with(licence=licence))
    assert not fake.headers


def test_records_that_no_release_allows_are_not_requested() -> None:
    write_records([section(1, licence="CC-BY-NC-4.0"), section(2), section(3, lang="fr")])
    assert run(FakeTeacher(), settings_with()).sections == 1


def test_a_missing_model_is_reported_before_the_first_request() -> None:
    fake = FakeTeacher()
    with pytest.raises(ModelUnavailableError, match="serves none of"):
        module.RuntimeClient(
            "https://teacher.test",
            run_dir=Path(),
            aliases=["other"],
            transport=httpx.MockTransport(fake._handle),
        ).resolve()


def test_the_command_reports_missing_settings_and_writes_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURETAG_TEACHER__LICENCE", "Apache-2.0")
    get_settings.cache_clear()
    result = CliRunner().invoke(app, ["dataset", "teach"])
    assert result.exit_code == 1
    assert "SECURETAG_TEACHER__MODEL" in result.output
    fake = FakeTeacher()
    monkeypatch.setattr(module, "_connect", fake.client)
    done = CliRunner().invoke(app, ["dataset", "teach", "--json", "--limit", "2"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["answered"] == 2


@pytest.mark.long
@pytest.mark.sockets
def test_answers_of_the_embedded_model_are_checked_against_their_sections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real 135M model under the real schema, with few tokens: most of its answers are dropped."""
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
