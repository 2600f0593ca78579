"""Whatever goes wrong leaves as a problem document, and soon."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psycopg
import pytest
from api_in_process import Api
from postgres import Database
from pydantic import SecretStr

from securetag.api.app import create_app
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.db.engine import OWNER
from securetag.db.upgrade import upgrade
from securetag.records import JsonObject
from securetag.settings import Settings
from securetag.settings.sections import ApiSettings

pytestmark = pytest.mark.anyio


def _problem(answer: httpx.Response, status: int, slug: str) -> JsonObject:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: JsonObject = answer.json()
    assert (body["status"], body["type"]) == (status, f"urn:securetag:problem:{slug}")
    assert {"title", "detail", "hint", "instance", "request_id"} <= body.keys()
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


async def test_framework_errors_are_problems(api: Api) -> None:
    tenant = await api.tenant()
    client = tenant.client
    _problem(await client.get("/nowhere"), 404, "not-found")
    wrong_method = await client.delete("/projects")
    _problem(wrong_method, 405, "method-not-allowed")
    assert "GET" in wrong_method.headers["allow"]
    json_type = {"Content-Type": "application/json"}
    for body in (b"{", b"\xff", b'"text"', b"[" * 20_000, b""):
        _problem(await client.post("/projects", content=body, headers=json_type), 422, "invalid-request")
    _problem(await client.post("/projects", content=b'{"name": "a"}'), 422, "invalid-request")
    _problem(await client.get("/scans/not-a-uuid"), 422, "invalid-request")
    _problem(await client.post("/projects", content=bytes(100_000)), 413, "too-large")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(10_000)

    _problem(await client.post("/projects", content=endless(), headers=json_type), 413, "too-large")
    _problem(await client.request("GET", "/projects", content=bytes(100_000)), 413, "too-large")


async def test_what_was_sent_is_not_echoed(api: Api) -> None:
    tenant = await api.tenant()
    answer = await tenant.client.post("/projects", json={"name": "ok", "token": "hunter2-hunter2"})
    assert "hunter2" not in answer.text


async def test_keys_are_asked_for_before_anything_else(api: Api) -> None:
    bare = api.client()
    for method, path in (("GET", "/findings"), ("POST", "/codeaudit/upload"), ("POST", "/queue/result")):
        answer = await bare.request(method, path)
        _problem(answer, 401, "unauthenticated")
        assert "X-API-Key" in answer.headers["www-authenticate"]
    for key in (
        "",
        "x",
        "stk_" + "a" * 12 + "_" + "b" * 43,
        "stk_" + "é" * 12 + "_" + "b" * 43,
        "a" * 10_000,
    ):
        answer = await bare.get("/findings", headers={"X-API-Key": key.encode()})
        _problem(answer, 401, "unauthenticated")


async def test_a_wrong_id_without_a_valid_key_is_401(api: Api) -> None:
    bare, unknown = api.client(), api.client("stk_" + "a" * 12 + "_" + "b" * 43)
    for path, operations in api.app.openapi()["paths"].items():
        for method, operation in operations.items():
            # An audit's path takes ids alone: with another word it is no path.
            if "{" in path and operation.get("security") and path != "/codeaudit/{task_id}":
                _problem(await bare.request(method, re.sub(r"{\w+}", "no-id", path)), 401, "unauthenticated")
    for path in ("/scans/no-id", "/findings?limit=many", "/queue/tasks/no-id/upload"):
        _problem(await unknown.get(path), 401, "unauthenticated")


async def test_health_and_the_document_need_no_key_and_metrics_an_operators(api: Api) -> None:
    bare = api.client()
    assert (await bare.get("/healthz")).json() == {"status": "ok"}
    assert (await bare.get("/healthz/db")).json() == {"status": "ok"}
    await bare.get("/findings")
    await bare.get("/scans/hunter2")
    assert (await bare.get("/metrics")).status_code == 401
    tenant = await api.tenant()
    assert (await tenant.client.get("/metrics")).status_code == 403
    text = (await (await api.operator()).get("/metrics")).text
    assert 'securetag_http_requests_total{method="GET",route="/findings",status="401"} 1.0' in text
    assert "hunter2" not in text
    document = (await bare.get("/openapi.json")).json()
    upload = document["paths"]["/codeaudit/upload"]["post"]
    assert upload["summary"] == "Upload a zip archive or a tar.gz to be scanned"
    assert upload["description"] == "The Location header says where the scan stands."
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"] not in operation["description"]
            if path not in {"/healthz", "/healthz/db"}:
                expected = {"401", "403", "404", "409", "413", "422", "429", "503"}
                assert expected <= operation["responses"].keys(), path


async def test_the_documentation_page_needs_nothing_from_elsewhere(api: Api) -> None:
    bare = api.client()
    page = (await bare.get("/docs")).text
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert any(name.endswith(".js") for name in wanted)
    for name in wanted:
        assert name.startswith("/docs/assets/"), name
        assert (await bare.get(name)).status_code == 200, name


async def test_an_unforeseen_error_is_a_problem_without_its_words(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("password=hunter2")

    tenant = await api.tenant()
    monkeypatch.setattr("securetag.api.projects.endpoints.list_rows", broken)
    answer = await tenant.client.get("/projects")
    _problem(answer, 500, "internal")
    assert "hunter2" not in answer.text


async def test_another_schema_revision_is_503(
    api: Api, clean_database: Database, pg_cluster: Cluster, tmp_path: Path
) -> None:
    superuser = pg_cluster.dsn(clean_database.name, SUPERUSER)
    settings = Settings(database_url=SecretStr(clean_database.dsn_api), home=tmp_path / "other")
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api")
        async with client:
            assert (await client.get("/healthz/db")).status_code == 200
            with psycopg.connect(superuser) as connection:
                connection.execute("UPDATE securetag.alembic_version SET version_num = 'another'")
            key = {"X-API-Key": "stk_" + "a" * 12 + "_" + "b" * 43}
            for path in ("/healthz/db", "/findings"):
                answer = await client.get(path, headers=key)
                problem = _problem(answer, 503, "database-unavailable")
                assert "upgrade" in problem["hint"]
                assert answer.headers["retry-after"] == "1"


async def test_a_database_that_is_away_is_503_and_the_first_call_after_works(tmp_path: Path) -> None:
    """On a cluster of its own, since it is stopped and killed here."""
    with Cluster(tmp_path / "pg", durable=False) as cluster:
        await asyncio.to_thread(upgrade, cluster.dsn(role=OWNER))
        settings = Settings(
            database_url=SecretStr(cluster.dsn()),
            home=tmp_path / "home",
            api=ApiSettings(reap_s=0.2, connect_timeout_s=60),
        )
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                assert (await client.get("/healthz/db")).status_code == 200
                await asyncio.to_thread(cluster.stop)
                key = {"X-API-Key": "stk_" + "a" * 12 + "_" + "b" * 43}
                for method, path in (
                    ("GET", "/healthz/db"),
                    ("GET", "/findings"),
                    ("POST", "/codeaudit/upload"),
                    ("POST", "/scans/web"),
                ):
                    began = time.perf_counter()
                    answer = await client.request(method, path, headers=key)
                    took = time.perf_counter() - began
                    problem = _problem(answer, 503, "database-unavailable")
                    assert "Idempotency-Key" in problem["hint"]
                    assert problem["hint"]
                    assert answer.headers["retry-after"] == "1"
                    # Refused at once: nobody waits for the time that a connection may take.
                    assert took < 30
                assert (await client.get("/healthz")).status_code == 200
                await asyncio.sleep(1.5)
                assert "securetag_database_up 0.0" in app.state.metrics.render().decode()
                await asyncio.to_thread(cluster.start)
                assert (await client.get("/healthz/db")).status_code == 200


async def test_a_database_that_hangs_is_503_too(tmp_path: Path) -> None:
    """Every process of it is frozen: connections stay open and nothing answers."""
    with Cluster(tmp_path / "pg", durable=False) as cluster:
        await asyncio.to_thread(upgrade, cluster.dsn(role=OWNER))
        settings = Settings(
            database_url=SecretStr(cluster.dsn()),
            home=tmp_path / "home",
            api=ApiSettings(reap_s=60, connect_timeout_s=1),
        )
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                key = {"X-API-Key": "stk_" + "a" * 12 + "_" + "b" * 43}
                assert (await client.get("/findings", headers=key)).status_code == 401
                family = [cluster.pid, *_children(cluster.pid)]
                for pid in family:
                    os.kill(pid, signal.SIGSTOP)
                try:
                    # Whoever watches is told within a second, also the second one. On a busy machine one of
                    # five answers in time says that the limit is kept.
                    waited = []
                    for _ in range(5):
                        began = time.perf_counter()
                        health = await client.get("/healthz/db")
                        waited.append(time.perf_counter() - began)
                        _problem(health, 503, "database-unavailable")
                    assert min(waited[1:]) <= 1.0
                    began = time.perf_counter()
                    answer = await client.get("/findings", headers=key)
                    took = time.perf_counter() - began
                finally:
                    for pid in family:
                        os.kill(pid, signal.SIGCONT)
                _problem(answer, 503, "database-unavailable")
                assert took < 20
                assert (await client.get("/findings", headers=key)).status_code == 401


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
