"""The loop over the queue, with the real Semgrep and our rules, against a queue that holds to the wire."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_queue import FakeApi
from pydantic import SecretStr

from securetag.client.queue import QueueClient
from securetag.db.branch_states import Reach
from securetag.errors import AuthenticationError, SettingsError
from securetag.scanning import targets
from securetag.settings import Settings
from securetag.settings.sections import ExternalScannerSettings, WorkerSettings
from securetag.system.logs import read_request_id
from securetag.wire.queue import ResultRequest, SkipReason
from securetag.worker import runner as runner_module
from securetag.worker import sending
from securetag.worker.attempt import Attempt
from securetag.worker.runner import Runner
from securetag.worker.sandbox import Workspace
from securetag.worker.tasks.codeaudit import Audit

pytestmark = pytest.mark.usefixtures("threads_end")


@pytest.fixture
def work(client: QueueClient, settings: Settings) -> Callable[..., bool]:
    """Run one task; `task` stands in for the code audit."""

    def once(task: Callable[[Attempt], ResultRequest] | None = None, **changes: Any) -> bool:
        changed = settings.model_copy(update=changes)
        with Workspace(settings.run_dir) as workspace:
            tasks: dict[Any, Any] = {"codeaudit": task} if task else dict(runner_module.TASKS)
            has_worked = Runner(client, changed, workspace, stop=threading.Event(), tasks=tasks).run(
                once=True
            )
            assert list(workspace.folder.iterdir()) == [workspace.folder / "lock"]
        return has_worked

    return once


def only(api: FakeApi) -> ResultRequest:
    assert len(api.results) == 1
    request: ResultRequest = api.results[0]
    return request


def test_the_calls_and_lines_of_an_attempt_have_one_id(api: FakeApi, work: Callable[..., bool]) -> None:
    ids = []

    def task(attempt: Attempt) -> ResultRequest:
        ids.append(read_request_id())
        attempt.stage("looking")
        while "/queue/heartbeat" not in api.calls:
            time.sleep(0.01)
        return ResultRequest(task_id=attempt.lease.task_id, outcome="completed")

    for _ in range(2):
        api.enqueue()
        api.calls.clear()
        assert work(task)
    first, second = ids
    assert first != second
    assert {*api.request_ids} == {"", first, second}
    assert read_request_id() == ""
    assert [path for path in api.calls if path != "/queue/heartbeat"] == ["/queue/next", "/queue/result"]


def test_a_project_is_scanned_and_reported(api: FakeApi, work: Callable[..., bool]) -> None:
    api.enqueue(params={"lang": "es"})
    assert work()
    result = only(api)
    assert result.outcome == "completed"
    (triaged,) = result.findings
    assert (triaged.finding.path, triaged.finding.cwe, triaged.finding.scope) == ("app.py", "CWE-78", "run")
    assert triaged.finding.start_line == 5
    assert triaged.verdict is not None
    assert triaged.verdict.decision == "needs_review"
    assert "no model runtime is running" in triaged.verdict.reason
    assert triaged.verdict.lang == "es"
    unpacked, semgrep, secrets, triage = result.tool_executions
    assert (secrets.tool, secrets.exit_code) == ("secrets", 0)
    assert (unpacked.tool, unpacked.exit_code, unpacked.metrics.tool) == ("unpack", 0, "unpack")
    assert (semgrep.tool, semgrep.exit_code, semgrep.timed_out) == ("semgrep", 0, False)
    assert semgrep.version.startswith("1.")
    assert "--disable-nosem" in semgrep.arguments
    assert json.loads(api.artifacts[semgrep.stdout])["results"]
    assert semgrep.stderr in api.artifacts
    assert (triage.tool, triage.metrics.needs_review) == ("triage", 1)  # type: ignore[union-attr]
    assert {"downloading", "unpacking", "semgrep"} & {stage.split(" ")[0] for stage in api.stages}


def test_nothing_to_do(work: Callable[..., bool]) -> None:
    assert not work()


def test_a_bad_archive_is_the_users_to_correct(api: FakeApi, work: Callable[..., bool]) -> None:
    api.archive = b"no zip at all"
    api.enqueue()
    work()
    result = only(api)
    assert (result.outcome, result.findings) == ("failed", [])
    assert "not a zip archive" in result.error
    assert [(run.tool, run.exit_code) for run in result.tool_executions] == [("unpack", 1)]


def test_semgreps_time_limit(api: FakeApi, work: Callable[..., bool], settings: Settings) -> None:
    api.enqueue()
    work(semgrep=settings.semgrep.model_copy(update={"timeout_s": 0.01}))
    result = only(api)
    assert result.outcome == "timeout"
    assert [run.timed_out for run in result.tool_executions] == [False, True]
    assert result.tool_executions[1].stderr in api.artifacts


def many_files(count: int) -> dict[str, str]:
    """Files of growing size, each with one command injection."""
    code = "import os\n\n\ndef run{n}(request):\n    os.system(request.args['cmd'])\n"
    return {f"m{n:02}.py": "#\n" * n + code.format(n=n) for n in range(count)}


def test_semgreps_cpu_limit_keeps_what_was_found(
    api: FakeApi, work: Callable[..., bool], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "BATCH_FILES", 1)
    api.archive = api.zipped(many_files(30))
    api.enqueue()
    work(semgrep=settings.semgrep.model_copy(update={"cpu_s": 4.0}))
    result = only(api)
    assert result.outcome == "completed"
    paths = [triaged.finding.path for triaged in result.findings]
    assert 0 < len(paths) < 30
    semgrep = result.tool_executions[1]
    coverage = semgrep.metrics.coverage  # type: ignore[union-attr]
    assert coverage is not None
    assert semgrep.timed_out
    assert coverage.files == {"python": len(paths)}
    assert coverage.skipped_by_reason == {SkipReason.LIMIT: 30 - len(paths)}
    assert {file.path for file in coverage.skipped} | set(paths) == many_files(30).keys()
    assert {match["path"] for match in json.loads(api.artifacts[semgrep.stdout])["results"]} == set(paths)


@pytest.mark.parametrize("stage", ["semgrep", "triage"])
def test_the_tasks_time_limit_keeps_what_was_found(
    api: FakeApi, work: Callable[..., bool], monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """The clock jumps past the limit once the first findings are there."""
    monkeypatch.setattr(targets, "BATCH_FILES", 2)
    api.archive = api.zipped(many_files(4))
    api.enqueue(time_limit_s=600)
    clock, jumped = time.monotonic, threading.Event()
    shown = Attempt.stage

    def jump(attempt: Attempt, text: str) -> None:
        shown(attempt, text)
        if text.startswith(f"{stage} 2/") and not jumped.is_set():
            jumped.set()
            monkeypatch.setattr(time, "monotonic", lambda: clock() + 10_000)

    monkeypatch.setattr(Attempt, "stage", jump)
    work()
    result = only(api)
    assert jumped.is_set()
    assert (result.outcome, result.error) == ("completed", "")
    scanned = 2 if stage == "semgrep" else 4
    assert [triaged.finding.path for triaged in result.findings] == [f"m{n:02}.py" for n in range(scanned)]
    coverage = result.tool_executions[1].metrics.coverage  # type: ignore[union-attr]
    assert coverage is not None
    assert [file.path for file in coverage.skipped] == [f"m{n:02}.py" for n in range(scanned, 4)]
    reasons = [triaged.verdict.reason for triaged in result.findings if triaged.verdict]
    assert len(reasons) == scanned
    assert "time" in reasons[-1]


def test_version_control_is_counted_as_left_out(api: FakeApi, work: Callable[..., bool]) -> None:
    api.archive = api.zipped({"app.py": "x = 1\n", ".git/config": "x", ".git/hooks/a.py": "x", "m.go": "x"})
    api.enqueue()
    work()
    unpacked, scanned, *_ = only(api).tool_executions
    left_out, coverage = unpacked.metrics.coverage, scanned.metrics.coverage  # type: ignore[union-attr]
    assert left_out is not None
    assert left_out.skipped_by_reason == {SkipReason.VERSION_CONTROL: 2}
    assert coverage is not None
    assert (coverage.files, coverage.unsupported) == ({"python": 1}, {"go": 1})


def test_the_tasks_time_limit(api: FakeApi, work: Callable[..., bool]) -> None:
    api.enqueue(time_limit_s=0)
    work()
    assert only(api).outcome == "timeout"
    assert "0 s" in only(api).error


def test_a_scanner_that_fails_is_tried_again(
    api: FakeApi, work: Callable[..., bool], settings: Settings
) -> None:
    api.enqueue()
    work(semgrep=settings.semgrep.model_copy(update={"memory_mb": 200}))
    result = only(api)
    assert result.outcome == "retry"
    assert "exit code" in result.error
    assert [run.tool for run in result.tool_executions] == ["unpack", "semgrep"]


def test_other_bytes_than_promised(
    api: FakeApi, work: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "BACKOFF_S", (0.01, 0.02))
    api.enqueue()
    api.archive += b"x"
    work()
    assert (only(api).outcome, only(api).error) == ("retry", "the upload arrived damaged")


@pytest.mark.parametrize("how", ["cancel_at", "fence_at"])
def test_a_lost_or_cancelled_task_sends_nothing_more(
    api: FakeApi, work: Callable[..., bool], how: str
) -> None:
    setattr(api, how, "semgrep")
    api.enqueue()

    def waits(attempt: Attempt) -> ResultRequest:
        attempt.stage("semgrep")
        assert attempt.stop.wait(10)
        attempt.check()
        raise AssertionError("check() must raise")

    began = time.monotonic()
    assert work(waits)
    assert time.monotonic() - began < 5
    assert api.results == []
    assert api.artifacts == {}


def test_heartbeats_go_on_beside_the_work(api: FakeApi, work: Callable[..., bool]) -> None:
    api.enqueue(lease_s=1)

    def slow(attempt: Attempt) -> ResultRequest:
        attempt.stage("semgrep")
        attempt.tool_started(4711)
        time.sleep(1.6)
        return ResultRequest(task_id=attempt.lease.task_id, outcome="completed")

    work(slow)
    assert api.groups.count(4711) >= 3
    assert only(api).outcome == "completed"


def test_an_unforeseen_error_gives_the_task_back(api: FakeApi, work: Callable[..., bool]) -> None:
    api.enqueue()

    def broken(attempt: Attempt) -> ResultRequest:
        (attempt.folder / "left").write_text("x")
        raise OSError(28, "No space left on device")

    work(broken)
    assert only(api).outcome == "retry"
    assert "No space left" in only(api).error


def test_a_told_stop_gives_the_task_back(api: FakeApi, client: QueueClient, settings: Settings) -> None:
    api.enqueue()
    started = threading.Event()

    def waits(attempt: Attempt) -> ResultRequest:
        started.set()
        attempt.stop.wait(10)
        attempt.check()
        raise AssertionError("check() must raise")

    stop = threading.Event()
    with Workspace(settings.run_dir) as workspace:
        runner = Runner(client, settings, workspace, stop=stop, tasks={"codeaudit": waits})
        thread = threading.Thread(target=runner.run)
        thread.start()
        assert started.wait(5)
        stop.set()
        runner.release()
        thread.join(5)
        assert not thread.is_alive()
    assert only(api).outcome == "retry"


def test_the_api_is_away_for_a_while(
    api: FakeApi, client: QueueClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (runner_module, sending):
        monkeypatch.setattr(module, "BACKOFF_S", (0.01, 0.05))
    answers = iter([(503, b"{}"), (502, b"<html>"), (200, b"not json")])
    api.broken = lambda path: next(answers, None)
    api.enqueue()
    done: list[ResultRequest] = []

    def counts(attempt: Attempt) -> ResultRequest:
        api.broken = lambda path: (503, b"{}") if path == "/queue/result" and len(api.calls) % 3 else None
        done.append(ResultRequest(task_id=attempt.lease.task_id, outcome="completed"))
        return done[0]

    with Workspace(settings.run_dir) as workspace:
        runner = Runner(client, settings, workspace, stop=threading.Event(), tasks={"codeaudit": counts})
        assert runner.run(once=True)
    assert api.results == done


def test_downloads_and_artifacts_outlast_an_outage(
    api: FakeApi, work: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "BACKOFF_S", (0.01, 0.05))
    failures = {"/upload": [(503, b"{}"), (200, b"half of the by")], "/artifacts/log": [(502, b"<html>")] * 2}

    def break_some(path: str) -> tuple[int, bytes] | None:
        left = next((answers for end, answers in failures.items() if path.endswith(end)), [])
        return left.pop() if left else None

    def task(attempt: Attempt) -> ResultRequest:
        audit = Audit(attempt)
        archive = audit.download("upload.zip")
        assert archive.read_bytes() == api.archive
        audit._store("log", archive)
        return ResultRequest(task_id=attempt.lease.task_id, outcome="completed")

    api.broken = break_some
    api.enqueue()
    work(task)
    assert only(api).outcome == "completed"
    assert api.artifacts["log"] == api.archive
    assert not any(failures.values())


def test_a_result_that_is_refused_ends_the_task_with_the_reason(
    api: FakeApi, work: Callable[..., bool]
) -> None:
    api.enqueue()
    refusals = iter([(413, json.dumps({"detail": "more than 10 bytes"}).encode())])
    api.broken = lambda path: next(refusals, None) if path == "/queue/result" else None
    work(lambda attempt: ResultRequest(task_id=attempt.lease.task_id, outcome="completed"))
    assert (only(api).outcome, only(api).error) == (
        "failed",
        "the result can't be stored: the api refused (413): more than 10 bytes",
    )


@pytest.mark.parametrize(
    ("path_of_findings", "location"),
    [
        pytest.param("/queue/findings", "local", id="before triage"),
        pytest.param("/queue/result", "third_party", id="no model may be asked"),
    ],
)
def test_what_is_too_large_is_sent_with_less_code(
    api: FakeApi,
    work: Callable[..., bool],
    settings: Settings,
    path_of_findings: str,
    location: str,
) -> None:
    filler = "".join(f"    x{n} = {n}\n" for n in range(30))
    api.archive = api.zipped(
        {"a.py": f"import os\ndef f(request):\n{filler}    os.system(request.args['c'])\n"}
    )
    api.enqueue()
    refusals = iter([(413, b"{}")])
    api.broken = lambda path: next(refusals, None) if path == path_of_findings else None
    work(triage=settings.triage.model_copy(update={"location": location}))
    result = only(api)
    assert result.outcome == "completed"
    assert len(api.sent) == (path_of_findings == "/queue/findings")
    finding = result.findings[0].finding
    assert (finding.start_line, finding.snippet_line) == (33, 31)
    assert finding.snippet.split("\n") == ["    x28 = 28", "    x29 = 29", "    os.system(request.args['c'])"]


def test_findings_are_sent_before_the_model_is_asked(api: FakeApi, work: Callable[..., bool]) -> None:
    api.enqueue()
    assert work()
    (sent,) = api.sent
    assert [(item.verdict, item.awaits_verdict) for item in sent.findings] == [(None, True)]
    assert [run.tool for run in sent.tool_executions] == ["unpack", "semgrep", "secrets"]
    assert sent.inventory
    order = [path for path in api.calls if path in {"/queue/findings", "/queue/result"}]
    assert order == ["/queue/findings", "/queue/result"]
    result = only(api)
    # The fake has put both together: each run once.
    assert [run.tool for run in result.tool_executions] == ["unpack", "semgrep", "secrets", "triage"]
    assert [item.verdict is not None for item in result.findings] == [True]


def test_findings_wait_for_an_api_that_is_away(
    api: FakeApi, work: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "BACKOFF_S", (0.01, 0.05))
    refusals = iter([(503, b"{}"), (503, b"{}")])
    api.broken = lambda path: next(refusals, None) if path == "/queue/findings" else None
    api.enqueue()
    assert work()
    assert (len(api.sent), only(api).outcome) == (1, "completed")


def test_a_task_that_was_fenced_before_its_findings_sends_no_more(
    api: FakeApi, work: Callable[..., bool]
) -> None:
    api.broken = lambda path: (409, b"{}") if path == "/queue/findings" else None
    api.enqueue()
    work()
    assert (api.sent, api.results) == ([], [])


def test_a_refused_key_ends_the_worker(api: FakeApi, settings: Settings) -> None:
    wrong = WorkerSettings(api_url="http://queue", api_key=SecretStr("stk_other"), poll_s=0)
    client = QueueClient(wrong, "w", transport=httpx.WSGITransport(app=api))
    with Workspace(settings.run_dir) as workspace, pytest.raises(AuthenticationError):
        Runner(client, settings, workspace, stop=threading.Event()).run()
    client.close()
    with pytest.raises(SettingsError):
        QueueClient(WorkerSettings(), "w")


def test_a_large_output_is_cut_and_says_so(api: FakeApi, client: QueueClient, tmp_path: Path) -> None:
    lease = api.enqueue()
    path = tmp_path / "out"
    path.write_bytes(b"x" * 10_000)
    client.put_artifact(lease, "a.txt", path, limit=1_000)
    assert len(api.artifacts["a.txt"]) == 1_000
    assert api.artifacts["a.txt"].endswith(b"cut: the whole output had 10,000 bytes\n")
    client.put_artifact(lease, "b.txt", path, limit=10_000)
    assert api.artifacts["b.txt"] == path.read_bytes()


def test_what_the_client_left_out_is_named_in_the_coverage(api: FakeApi, work: Callable[..., bool]) -> None:
    left_out = [{"path": "large.py", "reason": "too_large", "bytes": 20_000_001}]
    api.enqueue(params={"not_uploaded": {"too_large": 1}, "not_uploaded_files": left_out})
    work()
    (unpacked,) = [run for run in only(api).tool_executions if run.tool == "unpack"]
    coverage = unpacked.metrics.coverage  # type: ignore[union-attr]
    assert coverage is not None
    assert [item.model_dump(mode="json") for item in coverage.skipped] == left_out
    assert coverage.skipped_by_reason == {SkipReason.TOO_LARGE: 1}
    reach = Reach.of(only(api).tool_executions, "codeaudit")
    assert (reach.covers(["semgrep"], "app.py"), reach.covers(["semgrep"], "large.py")) == (True, False)


def tool(*words: str) -> dict[str, Any]:
    return {"command": [sys.executable, "-c", *words]}


BROKEN = "import sys; print('no [red]license', file=sys.stderr); sys.exit(3)"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        pytest.param(tool(BROKEN), "ended with exit code 3: no [red]license", id="exit code"),
        pytest.param(tool("print('{}')"), "can't be read", id="no SARIF"),
        pytest.param({**tool("while True: pass"), "cpu_s": 1}, "CPU time", id="limit"),
        pytest.param({"command": ["no-such-program"]}, "neither in", id="not installed"),
    ],
)
def test_an_external_scanner_that_fails_takes_no_finding_of_others_along(
    api: FakeApi, work: Callable[..., bool], entry: dict[str, Any], reason: str
) -> None:
    api.enqueue()
    work(scanners={"other": ExternalScannerSettings(**entry)})
    result = only(api)
    assert (result.outcome, len(result.findings)) == ("completed", 1)
    (failed,) = [run for run in result.tool_executions if run.tool == "other"]
    assert reason in failed.metrics.failure  # type: ignore[union-attr]
    reach = Reach.of(result.tool_executions, "codeaudit")
    assert (reach.covers(["semgrep"], "app.py"), reach.covers(["semgrep", "other"], "app.py")) == (
        True,
        False,
    )


def test_an_external_scanner_that_ends_well_has_read_the_project(
    api: FakeApi, work: Callable[..., bool]
) -> None:
    api.enqueue()
    empty = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "T"}}, "results": []}]}
    work(scanners={"other": ExternalScannerSettings(**tool(f"print({json.dumps(empty)!r})"))})
    assert Reach.of(only(api).tool_executions, "codeaudit").covers(["other"], "app.py")
