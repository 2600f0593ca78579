"""docs/howto/add-an-api-noun.md, followed step by step, with a real api."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from deployment import Deployment
from howto_page import read_page
from postgres import Database
from rows import Place, make_task, result
from temp_package import install_package

from securetag.api.projects import repository as projects
from securetag.db import queue
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.db.engine import create_engine, tenant_transaction

PAGE = read_page("add-an-api-noun")


@pytest.fixture
def deployment(
    project: Path,
    deploy: Callable[[str, str], Deployment],
    clean_database: Database,
    pg_cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> Deployment:
    """An api beside which the page's package is installed."""
    files = dict(PAGE.files)
    install_package(project, files.pop("pyproject.toml"), {**files, "language_noun/__init__.py": ""})
    monkeypatch.setenv("PYTHONPATH", str(project))
    return deploy(clean_database.dsn_api, pg_cluster.dsn(clean_database.name, SUPERUSER))


async def scan(dsn: str, tenant: UUID) -> None:
    """Store a scan of this tenant with two findings in Python."""
    engine = create_engine(dsn)
    async with tenant_transaction(engine, tenant) as session:
        project_id = await projects.ensure_project(session, tenant, "shop")
    task_id = await make_task(engine, Place(tenant, project_id))
    claim = await queue.claim(engine, "w", ["codeaudit"])
    assert claim is not None
    await queue.record_result(engine, claim.lease, result(task_id, "a", "b"))
    await engine.dispose()


@pytest.mark.system
@pytest.mark.sockets
def test_a_noun_of_another_package_answers(deployment: Deployment, clean_database: Database) -> None:
    asyncio.run(scan(clean_database.dsn_api, UUID(deployment.tenant)))
    with deployment.http() as client:
        answer = client.get("/languages")
        assert (answer.status_code, answer.json()) == (200, {"findings": {"python": 2}})
        document = client.get("/openapi.json").json()
        refusal = httpx.get(f"{deployment.url}/languages", headers={"X-API-Key": "stk_none"})
    summary = document["paths"]["/languages"]["get"]["summary"]
    assert summary == "How many findings there are in each language"
    assert (refusal.status_code, refusal.json()["type"]) == (401, "urn:securetag:problem:unauthenticated")
