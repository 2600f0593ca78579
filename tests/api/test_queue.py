"""The queue over HTTP: lease, bytes, artifacts, result; fenced, idempotent, tenant-blind."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from datetime import UTC, datetime

import httpx
import pytest
from api_in_process import Api
from rows import make_finding

from securetag.records import Decision, Verdict
from securetag.wire.queue import (
    LEASE_HEADER,
    SHA256_HEADER,
    Coverage,
    FindingsRequest,
    HeartbeatAnswer,
    Lease,
    OccurrenceVerdict,
    ResultRequest,
    RuleTimeout,
    SkippedFile,
    SkipReason,
    ToolExecution,
    ToolMetrics,
    TriagedFinding,
)

pytestmark = pytest.mark.anyio


async def _next(worker: httpx.AsyncClient, name: str = "w1", wait_s: float = 0) -> Lease | None:
    answer = await worker.post("/queue/next", json={"worker_id": name, "wait_s": wait_s})
    assert answer.status_code in {200, 204}, answer.text
    return Lease.model_validate_json(answer.content) if answer.status_code == 200 else None


async def _claimed(worker: httpx.AsyncClient, task_id: str) -> Lease:
    """The lease of this very task; what other tests of the module left is ended on the way."""
    while (lease := await _next(worker)) is not None:
        if str(lease.task_id) == task_id:
            return lease
        await worker.post(
            "/queue/result", json={"task_id": str(lease.task_id), "outcome": "failed"}, headers=_token(lease)
        )
    raise AssertionError(f"{task_id} wasn't handed out")


def _token(lease: Lease) -> dict[str, str]:
    return {LEASE_HEADER: lease.lease_token}


COVERAGE = Coverage(
    lines={"python": 3},
    files={"python": 2},
    skipped_by_reason={SkipReason.TOO_LARGE: 1},
    skipped=[SkippedFile(path="dump/ñ.py", reason=SkipReason.TOO_LARGE, bytes=2_000_000)],
    timeouts=[RuleTimeout(rule="r", path="a.py")],
    timeouts_total=1,
    unsupported={"go": 3},
)


def _result(lease: Lease) -> ResultRequest:
    finding = make_finding(cwe="CWE-78", path="app.py", snippet="os.system(input())")
    run = ToolExecution(
        tool="semgrep",
        version="1.182.0",
        arguments=["scan"],
        exit_code=0,
        duration_s=0.5,
        started_at=datetime.now(UTC),
        stdout="semgrep.out",
        metrics=ToolMetrics(files=2, findings=1, coverage=COVERAGE),
    )
    verdict = Verdict(
        decision=Decision.TRUE_POSITIVE, alias="securetag-base", model_id="f" * 64, evidence=[(2, 2)]
    )
    return ResultRequest(
        task_id=lease.task_id,
        outcome="completed",
        tool_executions=[run],
        findings=[TriagedFinding(finding=finding, verdict=verdict)],
    )


async def _put(
    worker: httpx.AsyncClient, lease: Lease, name: str, body: bytes, **headers: str
) -> httpx.Response:
    given = {SHA256_HEADER: hashlib.sha256(body).hexdigest(), **_token(lease), **headers}
    return await worker.put(f"/queue/tasks/{lease.task_id}/artifacts/{name}", content=body, headers=given)


async def _send(worker: httpx.AsyncClient, lease: Lease, body: ResultRequest) -> httpx.Response:
    return await worker.post(
        "/queue/result", content=body.model_dump_json(by_alias=True), headers=_token(lease)
    )


async def test_a_task_walks_from_upload_to_result(api: Api, archive: bytes) -> None:
    tenant, worker = await api.tenant(), await api.worker()
    task_id = (await tenant.upload(archive, params='{"lang": "es"}')).json()["task_id"]

    lease = await _claimed(worker, task_id)
    assert (lease.attempt, lease.params, lease.lease_s) == (1, {"lang": "es", "model_policy": "local"}, 30)
    assert lease.upload is not None

    bytes_ = await worker.get(f"/queue/tasks/{task_id}/upload", headers=_token(lease))
    assert bytes_.content == archive
    assert bytes_.headers[SHA256_HEADER] == lease.upload.sha256 == hashlib.sha256(archive).hexdigest()

    beat = await worker.post(
        "/queue/heartbeat", json={"task_id": task_id, "stage": "semgrep"}, headers=_token(lease)
    )
    assert not HeartbeatAnswer.model_validate_json(beat.content).cancelled
    running = (await tenant.client.get(f"/scans/{task_id}")).json()
    assert (running["stage"], running["coverage"]) == ("semgrep", None)

    stored = await _put(worker, lease, "semgrep.out", b"{}")
    assert (stored.status_code, stored.json()["size"]) == (200, 2)

    # What an attempt left that died between bytes and row goes with the task's end.
    artifacts = api.settings.home / "artifacts" / "artifacts" / str(tenant.id) / task_id
    orphan = artifacts / "0" / "semgrep.out"
    orphan.parent.mkdir()
    orphan.write_bytes(b"orphan")

    done = await _send(worker, lease, _result(lease))
    assert [path.read_bytes() for path in artifacts.rglob("*") if path.is_file()] == [b"{}"]
    assert done.json() == {"task_id": task_id, "state": "completed", "findings": 1}

    scan = (await tenant.client.get(f"/scans/{task_id}")).json()
    assert (scan["state"], scan["findings"]) == ("completed", 1)
    assert (scan["by_severity"], scan["by_verdict"]) == ({"high": 1}, {"true_positive": 1})
    assert scan["coverage"] == COVERAGE.model_dump(mode="json")
    assert [run["metrics_json"]["files"] for run in scan["tool_executions"]] == [2]
    assert [event["to_state"] for event in scan["history"]] == ["queued", "running", "completed"]
    (item,) = (await tenant.client.get(f"/scans/{task_id}/findings")).json()["items"]
    assert (item["cwe"], item["occurrence"]["path"]) == ("CWE-78", "app.py")
    assert item["verdict"]["decision"] == "true_positive"
    assert item["verdict"]["evidence"] == [[2, 2]]

    again = await _send(worker, lease, _result(lease))
    assert (again.status_code, again.json()["type"]) == (409, "urn:securetag:problem:fenced")
    for call in (
        _put(worker, lease, "late.out", b"x"),
        worker.get(f"/queue/tasks/{task_id}/upload", headers=_token(lease)),
        worker.post("/queue/heartbeat", json={"task_id": task_id}, headers=_token(lease)),
    ):
        assert (await call).status_code == 409
    status = (await tenant.client.get("/tools/status")).json()
    assert [(tool["tool"], tool["runs"], tool["failed"]) for tool in status["tools"]] == [("semgrep", 1, 0)]
    assert status["tasks"] == {"completed": 1}
    assert status["workers"] >= 1


async def test_an_artifact_is_stored_once_and_checked(api: Api, archive: bytes) -> None:
    tenant, worker = await api.tenant(), await api.worker()
    lease = await _claimed(worker, (await tenant.upload(archive)).json()["task_id"])

    answers = [await _put(worker, lease, "out", b"one") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    wrong = await _put(worker, lease, "out", b"two", **{SHA256_HEADER: "0" * 64})
    assert wrong.status_code == 422
    folder = api.settings.home / "artifacts" / "artifacts" / str(tenant.id) / str(lease.task_id)
    assert [path.read_bytes() for path in folder.rglob("*") if path.is_file()] == [b"one"]
    assert api.query("SELECT size FROM securetag.artifact WHERE task_id = %s", lease.task_id) == [(3,)]

    for name in ("..", ".hidden", "a%2Fb", "a b", "x" * 101):
        assert (await _put(worker, lease, name, b"x")).status_code in {404, 422}
    no_digest = await worker.put(
        f"/queue/tasks/{lease.task_id}/artifacts/out", content=b"x", headers=_token(lease)
    )
    assert no_digest.status_code == 422


async def test_a_later_attempt_replaces_artifacts(api: Api, archive: bytes) -> None:
    tenant, worker = await api.tenant(), await api.worker()
    task_id = (await tenant.upload(archive)).json()["task_id"]
    first = await _claimed(worker, task_id)
    await _put(worker, first, "out", b"first")
    await worker.post("/queue/result", json={"task_id": task_id, "outcome": "retry"}, headers=_token(first))
    api.query("UPDATE securetag.task SET not_before = now() WHERE id = %s RETURNING 1", task_id)

    second = await _claimed(worker, task_id)
    assert (second.attempt, second.fence > first.fence) == (2, True)
    assert (await _put(worker, first, "out", b"stale")).status_code == 409
    assert (await _put(worker, second, "out", b"second")).status_code == 200

    folder = api.settings.home / "artifacts" / "artifacts" / str(tenant.id) / task_id
    assert [path.read_bytes() for path in folder.rglob("*") if path.is_file()] == [b"second"]
    assert api.query("SELECT attempt FROM securetag.artifact WHERE task_id = %s", task_id) == [(2,)]


@pytest.mark.parametrize("api_settings", [pytest.param({"max_artifact": 1_000, "reap_s": 3600.0}, id="1 kB")])
async def test_an_artifact_over_the_cap_is_refused(api: Api, archive: bytes) -> None:
    tenant, worker = await api.tenant(), await api.worker()
    lease = await _claimed(worker, (await tenant.upload(archive)).json()["task_id"])
    assert (await _put(worker, lease, "out", bytes(100_000))).status_code == 413


async def test_tokens_are_checked(api: Api, archive: bytes) -> None:
    tenant, worker = await api.tenant(), await api.worker()
    lease = await _claimed(worker, (await tenant.upload(archive)).json()["task_id"])
    other = await _claimed(worker, (await tenant.upload(archive)).json()["task_id"])
    path = f"/queue/tasks/{lease.task_id}/upload"
    for token in (None, "", "x", lease.lease_token[:-2], other.lease_token, "é" * 10):
        headers = {LEASE_HEADER: token.encode()} if token is not None else {}
        answer = await worker.get(path, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:securetag:problem:forbidden")
    # The token alone, without a worker's key, opens nothing.
    assert (await tenant.client.get(path, headers=_token(lease))).status_code == 403
    assert (await api.client().get(path, headers=_token(lease))).status_code == 401


async def test_cancelling_reaches_the_worker(api: Api, archive: bytes) -> None:
    tenant, worker = await api.tenant(), await api.worker()
    task_id = (await tenant.upload(archive)).json()["task_id"]
    lease = await _claimed(worker, task_id)

    first = await tenant.client.post(f"/scans/{task_id}/cancel", headers={"Idempotency-Key": "c"})
    again = await tenant.client.post(f"/scans/{task_id}/cancel", headers={"Idempotency-Key": "c"})
    assert (first.status_code, first.json()["state"]) == (200, "cancelled")
    assert again.json() == first.json()
    assert (await tenant.client.post(f"/scans/{task_id}/cancel")).status_code == 409

    beat = await worker.post("/queue/heartbeat", json={"task_id": task_id}, headers=_token(lease))
    assert beat.json()["cancelled"]
    assert (await _send(worker, lease, _result(lease))).status_code == 409


async def test_a_waiting_worker_hears_of_a_task_at_once(
    api: Api, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the polling that backs it up, only the notification can wake the worker in time.
    monkeypatch.setattr("securetag.api.queue.service.POLL_S", 60.0)
    tenant, worker = await api.tenant(), await api.worker()
    while await _next(worker) is not None:
        pass
    began = time.perf_counter()
    assert await _next(worker, wait_s=0.3) is None
    assert time.perf_counter() - began >= 0.3
    waiting = asyncio.create_task(_next(worker, wait_s=20))
    await asyncio.sleep(0.2)
    began = time.perf_counter()
    task_id = (await tenant.upload(archive)).json()["task_id"]
    lease = await waiting
    assert lease is not None
    assert str(lease.task_id) == task_id
    assert time.perf_counter() - began < 10


async def test_hostile_results_are_problems(api: Api, archive: bytes) -> None:
    tenant, worker = await api.tenant(), await api.worker()
    lease = await _claimed(worker, (await tenant.upload(archive)).json()["task_id"])
    good = _result(lease).model_dump_json(by_alias=True)
    for body in (b"", b"{", b"[]", b"\xff\xfe", good.replace('"high"', '"huge"').encode(), b'{"a":' * 5_000):
        answer = await worker.post("/queue/result", content=body, headers=_token(lease))
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    huge = {"task_id": str(lease.task_id), "process_group": 2**70}
    assert (await worker.post("/queue/heartbeat", json=huge, headers=_token(lease))).status_code == 422
    nul = good.replace("os.system(input())", "a\\u0000b").encode()
    assert (await worker.post("/queue/result", content=nul, headers=_token(lease))).status_code == 200


async def test_findings_are_shown_while_a_model_is_asked(api: Api, archive: bytes) -> None:
    tenant, worker = await api.tenant(), await api.worker()
    task_id = (await tenant.upload(archive)).json()["task_id"]
    lease = await _claimed(worker, task_id)
    whole = _result(lease)
    (run,), (triaged,) = whole.tool_executions, whole.findings
    awaiting = triaged.model_copy(update={"verdict": None, "awaits_verdict": True})
    other = TriagedFinding(finding=make_finding("other", path="b.py", severity="low"))
    first_line = FindingsRequest(task_id=lease.task_id, tool_executions=[run])
    body = "\n".join(item.model_dump_json(by_alias=True) for item in (first_line, awaiting, other))

    async def send() -> httpx.Response:
        return await worker.post("/queue/findings", content=body, headers=_token(lease))

    sent = await send()
    assert sent.status_code == 200, sent.text
    assert (await send()).json() == sent.json()

    scan = (await tenant.client.get(f"/scans/{task_id}")).json()
    assert (scan["state"], scan["findings"], scan["being_triaged"]) == ("running", 2, 1)
    assert (scan["by_severity"], scan["by_verdict"]) == ({"high": 1, "low": 1}, {})
    assert scan["coverage"] == COVERAGE.model_dump(mode="json")
    listed = (await tenant.client.get(f"/scans/{task_id}/findings")).json()["items"]
    assert {item["occurrence"]["path"]: item["being_triaged"] for item in listed} == {
        "app.py": True,
        "b.py": False,
    }
    assert {item["verdict"] for item in listed} == {None}
    # Nothing is in the code for certain before the scan has ended.
    assert (await tenant.client.get("/findings")).json()["items"] == []
    assert (await tenant.client.get(f"/scans/{task_id}/sarif")).status_code == 409

    # A person needn't wait for the model.
    finding = next(item for item in listed if item["being_triaged"])
    answer = await tenant.client.post(
        f"/findings/{finding['id']}/feedback",
        json={"occurrence_id": finding["occurrence"]["id"], "verdict": "true_positive", "saw_model": False},
    )
    assert answer.status_code == 201, answer.text

    verdict = OccurrenceVerdict(occurrence_id=sent.json()["occurrence_ids"][0], verdict=triaged.verdict)
    end = ResultRequest(task_id=lease.task_id, outcome="completed", findings_sent=True)
    lines = "\n".join(item.model_dump_json(by_alias=True) for item in (end, verdict))
    done = await worker.post("/queue/result", content=lines, headers=_token(lease))
    assert done.json() == {"task_id": task_id, "state": "completed", "findings": 2}
    assert (await send()).status_code == 409

    scan = (await tenant.client.get(f"/scans/{task_id}")).json()
    assert (scan["findings"], scan["being_triaged"]) == (2, 0)
    assert scan["by_verdict"] == {"true_positive": 1, "none": 1}
    assert len(scan["tool_executions"]) == 1
    listed = (await tenant.client.get(f"/scans/{task_id}/findings")).json()["items"]
    assert not any(item["being_triaged"] for item in listed)
    assert len((await tenant.client.get("/findings")).json()["items"]) == 2


async def test_a_scans_parameters_dont_list_what_its_coverage_names(api: Api, archive: bytes) -> None:
    tenant, worker = await api.tenant(), await api.worker()
    left_out = [{"path": "a.py", "reason": "too_large", "bytes": 1}]
    given = json.dumps({"not_uploaded_files": left_out})
    task_id = (await tenant.upload(archive, params=given)).json()["task_id"]
    assert (await tenant.client.get(f"/scans/{task_id}")).json()["params"] == {}
    assert (await _claimed(worker, task_id)).params["not_uploaded_files"] == left_out
    for wrong in ({"path": "a\0"}, {"path": ""}, {"bytes": -1}, {"reason": "other"}):
        params = json.dumps({"not_uploaded_files": [{**left_out[0], **wrong}]})
        assert (await tenant.upload(archive, params=params)).status_code == 422


async def test_a_scan_that_ends_during_triage_says_so(api: Api, archive: bytes) -> None:
    tenant, worker = await api.tenant(), await api.worker()
    task_id = (await tenant.upload(archive)).json()["task_id"]
    lease = await _claimed(worker, task_id)
    awaiting = _result(lease).findings[0].model_copy(update={"verdict": None, "awaits_verdict": True})
    body = FindingsRequest(task_id=lease.task_id, findings=[awaiting]).model_dump_json(by_alias=True)
    assert (await worker.post("/queue/findings", content=body, headers=_token(lease))).status_code == 200
    await tenant.client.post(f"/scans/{task_id}/cancel")
    scan = (await tenant.client.get(f"/scans/{task_id}")).json()
    assert (scan["findings"], scan["being_triaged"]) == (1, 0)
    assert scan["not_triaged"].startswith("no model has judged 1 of the findings")
    (item,) = (await tenant.client.get(f"/scans/{task_id}/findings")).json()["items"]
    assert not item["being_triaged"]


async def test_a_result_has_its_findings_or_verdicts_on_earlier_ones(api: Api, archive: bytes) -> None:
    tenant, worker = await api.tenant(), await api.worker()
    lease = await _claimed(worker, (await tenant.upload(archive)).json()["task_id"])
    both = json.loads(_result(lease).model_dump_json(by_alias=True)) | {"findings_sent": True}
    answer = await worker.post("/queue/result", content=json.dumps(both), headers=_token(lease))
    assert (answer.status_code, "verdicts" in answer.text) == (422, True)
