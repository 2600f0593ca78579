"""An api with a tenant of many findings, for as long as something looks at its page.

    python -m benchmarks.page.running --findings 2000

prints the address and a key, and serves until Ctrl-C: what the pictures in the documents are taken of.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from benchmarks.page.seed import seed
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.db.engine import OWNER, create_engine
from securetag.db.repositories.keys import create_key
from securetag.db.repositories.tenants import create_tenant
from securetag.db.upgrade import upgrade
from securetag.settings import LOCAL_PEPPER

START_S = 60.0


@dataclass(frozen=True)
class SeededApi:
    """Where it listens, and a key of the tenant."""

    url: str
    key: str
    #: Of the api's process.
    pid: int


@contextmanager
def serve_findings(findings: int, *, reviewed: float = 0.0, fixed: float = 0.0) -> Iterator[SeededApi]:
    """Serve a tenant with so many findings from a PostgreSQL of its own."""
    with (
        tempfile.TemporaryDirectory() as temporary,
        Cluster(Path(temporary) / "pg", durable=False) as cluster,
    ):
        home = Path(temporary) / "home"
        upgrade(cluster.dsn(role=OWNER))
        key, tenant_id = asyncio.run(_make_tenant(cluster.dsn()))
        seed(cluster.dsn(role=SUPERUSER), tenant_id, findings=findings, reviewed=reviewed, fixed=fixed)
        environment = os.environ | {
            "SECURETAG_HOME": str(home),
            "SECURETAG_DATA": str(home / "data"),
            "DATABASE_URL": cluster.dsn(),
        }
        process = subprocess.Popen([sys.executable, "-m", "securetag.api", "--port", "0"], env=environment)
        try:
            yield SeededApi(_address(home), key, process.pid)
        finally:
            process.terminate()
            process.wait(30)


async def _make_tenant(dsn: str) -> tuple[str, UUID]:
    engine = create_engine(dsn)
    try:
        tenant_id = await create_tenant(engine, "Example")
        scopes = ("read", "scan", "feedback")
        return await create_key(engine, tenant_id, "ana", scopes, LOCAL_PEPPER), tenant_id
    finally:
        await engine.dispose()


def _address(home: Path) -> str:
    published = home / "run" / "api.json"
    deadline = time.monotonic() + START_S
    while not published.exists():
        if time.monotonic() > deadline:
            raise TimeoutError("the api did not start")
        time.sleep(0.1)
    return str(json.loads(published.read_text())["url"])


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--findings", type=int, default=2_000)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with serve_findings(given.findings, reviewed=0.2, fixed=0.3) as api:
        print(f"{api.url}\n{api.key}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
