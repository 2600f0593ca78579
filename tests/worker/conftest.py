"""A queue in this process that holds the worker to `securetag.wire`, and small projects to scan.

It is a fake: no database, no leases that run out by themselves. `test_kill.py` has the real api.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import psycopg
import pytest
from pydantic import SecretStr

from securetag.db.engine import create_engine
from securetag.db.repositories.keys import create_key
from securetag.db.repositories.tenants import create_tenant
from securetag.scanning.process import SANDBOX_VARIABLE
from securetag.settings import LOCAL_PEPPER, Settings, WorkerSettings
from securetag.wire import (
    LEASE_HEADER,
    SHA256_HEADER,
    HeartbeatAnswer,
    HeartbeatRequest,
    Lease,
    NextRequest,
    ResultAnswer,
    ResultRequest,
    TriagedFinding,
    Upload,
)
from securetag.worker.client import QueueClient

KEY = "stk_test"
PROJECT = {
    "app.py": "import os\n\n\ndef run(request):\n    os.system(request.args['cmd'])\n",
    "README.md": "nothing",
}


def zipped(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return out.getvalue()


@dataclass
class FakeApi:
    """A WSGI application. `broken` answers in its stead while it isn't None: (status, body)."""

    archive: bytes = field(default_factory=lambda: zipped(PROJECT))
    queued: list[Lease] = field(default_factory=list)
    results: list[ResultRequest] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    stages: list[str] = field(default_factory=list)
    groups: list[int | None] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    #: Stage at whose first heartbeat something happens.
    cancel_at: str | None = None
    fence_at: str | None = None
    broken: Callable[[str], tuple[int, bytes] | None] = lambda _: None
    ended: bool = False

    zipped = staticmethod(zipped)

    def enqueue(self, **changes: Any) -> Lease:
        lease = Lease(
            **{
                "task_id": uuid4(), "kind": "codeaudit", "attempt": 1, "max_attempts": 3, "fence": 7,
                "lease_token": "token", "lease_s": 2, "time_limit_s": 60, "params": {},
                "upload": Upload(
                    sha256=hashlib.sha256(self.archive).hexdigest(), size=len(self.archive), filename="p.zip"
                ),
                **changes,
            }
        )  # fmt: skip
        self.queued.append(lease)
        return lease

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        self.calls.append(path)
        status, answer = self.broken(path) or self._answer(method, path, body, environ)
        start(f"{status} X", [("Content-Type", "application/octet-stream")])
        return [answer]

    def _answer(self, method: str, path: str, body: bytes, environ: dict[str, Any]) -> tuple[int, bytes]:
        if environ.get("HTTP_X_API_KEY") != KEY:
            return 401, problem("unknown key")
        if path == "/queue/next":
            NextRequest.model_validate_json(body)
            return (200, self.queued.pop(0).model_dump_json().encode()) if self.queued else (204, b"")
        if environ.get("HTTP_" + LEASE_HEADER.upper().replace("-", "_")) != "token" or self.ended:
            return 409, problem("the lease is lost")
        if path == "/queue/heartbeat":
            beat = HeartbeatRequest.model_validate_json(body)
            self.stages.append(beat.stage)
            self.groups.append(beat.process_group)
            if self.fence_at and beat.stage.startswith(self.fence_at):
                return 409, problem("the lease is lost")
            cancelled = bool(self.cancel_at and beat.stage.startswith(self.cancel_at))
            return 200, HeartbeatAnswer(
                lease_until=datetime.now(UTC), cancelled=cancelled
            ).model_dump_json().encode()
        if path.endswith("/upload"):
            return 200, self.archive
        if method == "PUT":
            if (
                environ.get("HTTP_" + SHA256_HEADER.upper().replace("-", "_"))
                != hashlib.sha256(body).hexdigest()
            ):
                return 422, problem("digest")
            self.artifacts[path.rsplit("/", 1)[-1]] = body
            return 200, b"{}"
        first, *lines = body.splitlines()
        result = ResultRequest.model_validate_json(first)
        findings = [TriagedFinding.model_validate_json(line) for line in lines]
        result = result.model_copy(update={"findings": [*result.findings, *findings]})
        self.results.append(result)
        self.ended = True
        answer = ResultAnswer(task_id=result.task_id, state=result.outcome, findings=len(result.findings))
        return 200, answer.model_dump_json().encode()


def problem(detail: str) -> bytes:
    return json.dumps({"detail": detail, "hint": "a hint"}).encode()


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path / "home",
        worker=WorkerSettings(api_url="http://queue", api_key=SecretStr(KEY), poll_s=0),
        semgrep={"jobs": 1, "timeout_s": 60},  # type: ignore[arg-type]
    )


@pytest.fixture
def client(api: FakeApi, settings: Settings) -> Iterator[QueueClient]:
    transport = httpx.WSGITransport(app=api)  # type: ignore[arg-type]
    found = QueueClient(settings.worker, "worker-1", transport=transport)
    yield found
    found.close()


@pytest.fixture
def threads_end() -> Iterator[None]:
    """No thread of the test's worker outlives it."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
    assert left == []


@dataclass
class Deployment:
    """The real api in a process of its own, over a real database; workers are started on demand."""

    home: Path
    url: str
    tenant: str
    superuser: str
    key: str
    environment: dict[str, str]

    def worker(self, *options: str) -> subprocess.Popen[bytes]:
        log = (self.home / "worker.log").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "securetag.worker", *options],
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"X-API-Key": self.key}, timeout=20, trust_env=False)

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """As superuser, past row-level security."""
        with psycopg.connect(self.superuser, autocommit=True) as connection:
            cursor = connection.execute(sql, values)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def wait(self, task: str, states: set[str], timeout_s: float = 60) -> str:
        """The task's state once it is one of `states`. Retries come due at once: waiting isn't tested."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.query("UPDATE securetag.task SET not_before = now() WHERE state = 'retrying'")
            ((state,),) = self.query("SELECT state FROM securetag.task WHERE id = %s", task)
            if state in states:
                return str(state)
            time.sleep(0.02)
        raise AssertionError(f"task {task} is {state}: {(self.home / 'worker.log').read_text()[-3000:]}")

    def tools(self) -> list[int]:
        """Live processes that were started for a worker of this home."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(SANDBOX_VARIABLE, "").startswith(str(self.home)):
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found


async def _keys(dsn: str) -> tuple[str, str, str]:
    engine = create_engine(dsn)
    tenant = await create_tenant(engine, "acme")
    key = await create_key(engine, tenant, "acme", ["read", "scan"], LOCAL_PEPPER)
    operator = await create_tenant(engine, "operator")
    worker = await create_key(engine, operator, "worker", ["worker"], LOCAL_PEPPER)
    await engine.dispose()
    return str(tenant), key, worker


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Callable[[str, str], Deployment]]:
    """(DSN of the api's role, DSN of the superuser) → a deployment with one tenant."""
    running: list[subprocess.Popen[bytes]] = []

    def start(dsn: str, superuser: str) -> Deployment:
        tenant, key, worker_key = asyncio.run(_keys(dsn))
        home = tmp_path / "deployment"
        home.mkdir()
        environment = {
            **os.environ, "SECURETAG_HOME": str(home), "SECURETAG_DATA": str(home / "data"),
            "DATABASE_URL": dsn,
            "SECURETAG_API__LEASE_S": "2", "SECURETAG_API__REAP_S": "0.2",
            "SECURETAG_WORKER__API_KEY": worker_key, "SECURETAG_SEMGREP__JOBS": "1",
        }  # fmt: skip
        with (home / "api.log").open("wb") as log:
            running.append(
                subprocess.Popen(
                    [sys.executable, "-m", "securetag.api", "--port", "0"],
                    env=environment,
                    stdout=log,
                    stderr=log,
                )
            )
        address, deadline = home / "run" / "api.json", time.monotonic() + 30
        while not address.exists():
            assert running[-1].poll() is None, (home / "api.log").read_text()
            assert time.monotonic() < deadline, "the api didn't start"
            time.sleep(0.05)
        url = json.loads(address.read_text())["url"]
        environment["SECURETAG_WORKER__API_URL"] = url
        return Deployment(home, url, tenant, superuser, key, environment)

    yield start
    for process in running:
        process.terminate()
        process.wait(20)
