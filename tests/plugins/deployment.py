"""The real api and real workers in processes of their own, over a real database.

`deployed` starts an api and gives a `Deployment`, which starts workers on demand; `deploy` is the fixture.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from securetag.db.engine import create_engine
from securetag.db.repositories.keys import create_key
from securetag.db.repositories.tenants import create_tenant
from securetag.scanning.process import SANDBOX_VARIABLE
from securetag.settings import LOCAL_PEPPER


@dataclass
class Deployment:
    """The real api in a process of its own, over a real database; workers are started on demand."""

    home: Path
    url: str
    tenant: str
    superuser: str
    key: str
    environment: dict[str, str]
    api: subprocess.Popen[bytes] = field(init=False)

    def worker(self, *options: str) -> subprocess.Popen[bytes]:
        log = (self.home / "worker.log").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "securetag.worker", *options],
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def start_api(self, port: int = 0) -> None:
        """Start the api, and wait until it answers."""
        address, deadline = self.home / "run" / "api.json", time.monotonic() + 60
        # A killed one has left it.
        address.unlink(missing_ok=True)
        with (self.home / "api.log").open("ab") as log:
            self.api = subprocess.Popen(
                [sys.executable, "-m", "securetag.api", "--port", str(port)],
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        while not address.exists():
            assert self.api.poll() is None, (self.home / "api.log").read_text()[-3000:]
            assert time.monotonic() < deadline, "the api didn't start"
            time.sleep(0.05)
        self.url = json.loads(address.read_text())["url"]
        self.environment["SECURETAG_WORKER__API_URL"] = self.url

    def kill_api(self) -> None:
        """Kill the api and start it at the same address."""
        self.api.kill()
        self.api.wait()
        self.start_api(int(self.url.rpartition(":")[2]))

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"X-API-Key": self.key}, timeout=20, trust_env=False)

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
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
    key = await create_key(engine, tenant, "acme", ["read", "scan", "feedback"], LOCAL_PEPPER)
    operator = await create_tenant(engine, "operator")
    worker = await create_key(engine, operator, "worker", ["worker"], LOCAL_PEPPER)
    await engine.dispose()
    return str(tenant), key, worker


@contextmanager
def deployed(folder: Path, dsn: str, superuser: str) -> Iterator[Deployment]:
    """A deployment with one tenant below `folder`, stopped at the end.

    `dsn` is that of the api's role, `superuser` one that sees every tenant's rows.
    """
    tenant, key, worker_key = asyncio.run(_keys(dsn))
    home = folder / "deployment"
    home.mkdir()
    environment = os.environ | {
        "SECURETAG_HOME": str(home),
        "SECURETAG_DATA": str(home / "data"),
        "DATABASE_URL": dsn,
        "SECURETAG_API__LEASE_S": "2",
        "SECURETAG_API__REAP_S": "0.2",
        "SECURETAG_WORKER__API_KEY": worker_key,
        "SECURETAG_SEMGREP__JOBS": "1",
    }
    deployment = Deployment(home, "", tenant, superuser, key, environment)
    try:
        deployment.start_api()
        yield deployment
    finally:
        deployment.api.terminate()
        deployment.api.wait(20)


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Callable[[str, str], Deployment]]:
    """(DSN of the api's role, DSN of the superuser) → a deployment with one tenant."""
    with ExitStack() as stack:
        yield lambda dsn, superuser: stack.enter_context(deployed(tmp_path, dsn, superuser))
