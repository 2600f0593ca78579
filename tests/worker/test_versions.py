"""A worker and an api of different versions: real processes, and a refusal that says which to update."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from api_process import running
from postgres import Database

from securetag.db.engine import create_engine
from securetag.db.repositories.keys import create_key
from securetag.db.repositories.tenants import create_tenant
from securetag.settings import LOCAL_PEPPER

#: Python that makes a process one of a later version.
LATER = "import securetag.wire.queue as q; q.MIN_PROTOCOL = q.PROTOCOL = q.PROTOCOL + 1"


def worker_key(dsn: str) -> str:
    async def make() -> str:
        engine = create_engine(dsn)
        try:
            tenant = await create_tenant(engine, "operator")
            return await create_key(engine, tenant, "worker", ["worker"], LOCAL_PEPPER)
        finally:
            await engine.dispose()

    return asyncio.run(make())


@pytest.mark.system
@pytest.mark.sockets
@pytest.mark.parametrize(
    ("api", "worker", "to_update"),
    [
        pytest.param(LATER, "pass", "worker", id="an older worker"),
        pytest.param("pass", LATER, "api", id="an older api"),
    ],
)
def test_the_worker_ends_and_says_which_side_to_update(
    api: str, worker: str, to_update: str, clean_database: Database, tmp_path: Path
) -> None:
    key = worker_key(clean_database.dsn_api)
    with running(tmp_path / "api", clean_database.dsn_api, before=api) as (_, url):
        code = f"{worker}; import runpy; runpy.run_module('securetag.worker', run_name='__main__')"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"SECURETAG_WORKER__API_URL": url, "SECURETAG_WORKER__API_KEY": key},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 1, done.stderr
    happened, advice = done.stderr.splitlines()[-2:]
    assert "version" in happened
    assert f"Update the {to_update}" in advice
    assert "Traceback" not in done.stderr
