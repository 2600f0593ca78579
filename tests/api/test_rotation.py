"""Peppers and lease keys are replaced while clients and workers go on, over the real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from postgres import Database
from pydantic import SecretStr, ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from securetag.api.app import create_app
from securetag.cli import app as command_line
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.db.repositories.keys import create_key, hash_key
from securetag.db.repositories.peppers import pepper_version
from securetag.db.repositories.tenants import create_tenant
from securetag.settings import Settings, get_settings
from securetag.settings.sections import ApiSettings
from securetag.wire.queue import LEASE_HEADER

pytestmark = pytest.mark.anyio

OLD, NEW = "the pepper of last year", "the pepper of this year"
LATER = datetime.now(UTC) + timedelta(days=30)
EARLIER = datetime.now(UTC) - timedelta(seconds=1)


@dataclass
class Installation:
    """A database with one tenant that has a key under the old pepper."""

    engine: AsyncEngine
    database: Database
    superuser: str
    home: Path
    name: str
    key: str

    @asynccontextmanager
    async def api(self, **settings: Any):  # type: ignore[no-untyped-def]
        """A client of an api process with these settings."""
        secrets = {
            name: SecretStr(value) if isinstance(value, str) else value for name, value in settings.items()
        }
        app = create_app(
            Settings(
                database_url=SecretStr(self.database.dsn_api),
                home=self.home,
                data=self.home,
                # 40 calls at once share eight connections, on a machine that may be busy.
                api=ApiSettings(connect_timeout_s=60, statement_timeout_s=60),
                **secrets,
            )
        )
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://api") as client,
        ):
            yield client

    def row(self) -> tuple[bytes, str | None]:
        """Digest and pepper version of the key."""
        with psycopg.connect(self.superuser) as connection:
            row = connection.execute(
                "SELECT digest, pepper_version FROM securetag.api_key WHERE prefix = %s", [self.key[4:16]]
            ).fetchone()
        assert row is not None
        return bytes(row[0]), row[1]

    def execute(self, sql: str) -> None:
        with psycopg.connect(self.superuser, autocommit=True) as connection:
            connection.execute(sql.encode())


@pytest.fixture
async def installation(
    db: AsyncEngine, pg_database: Database, pg_cluster: Cluster, tmp_path: Path
) -> Installation:
    name = f"tenant {uuid4()}"
    tenant_id = await create_tenant(db, name)
    key = await create_key(db, tenant_id, "ci", ["read", "scan", "admin", "worker"], OLD)
    return Installation(
        db, pg_database, pg_cluster.dsn(pg_database.name, SUPERUSER), tmp_path / "home", name, key
    )


async def call(client: httpx.AsyncClient, key: str) -> httpx.Response:
    return await client.get("/projects", headers={"X-API-Key": key})


async def test_an_old_key_opens_and_moves_to_the_new_pepper(installation: Installation) -> None:
    key = installation.key
    assert installation.row() == (hash_key(key, OLD), pepper_version(OLD))
    async with installation.api(pepper=NEW, pepper_previous=OLD, pepper_previous_until=LATER) as client:
        assert (await call(client, key)).status_code == 200
        assert installation.row() == (hash_key(key, NEW), pepper_version(NEW))
    async with installation.api(pepper=NEW) as client:
        assert (await call(client, key)).status_code == 200


async def test_a_key_from_before_versions_gets_its_version(installation: Installation) -> None:
    installation.execute("UPDATE securetag.api_key SET pepper_version = NULL")
    async with installation.api(pepper=OLD) as client:
        assert (await call(client, installation.key)).status_code == 200
    assert installation.row() == (hash_key(installation.key, OLD), pepper_version(OLD))
    installation.execute("UPDATE securetag.api_key SET pepper_version = NULL")
    async with installation.api(pepper=NEW, pepper_previous=OLD, pepper_previous_until=LATER) as client:
        assert (await call(client, installation.key)).status_code == 200
    assert installation.row() == (hash_key(installation.key, NEW), pepper_version(NEW))


@pytest.mark.parametrize("version", ["recorded", "not recorded"])
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(
            {"pepper": NEW, "pepper_previous": OLD, "pepper_previous_until": EARLIER}, id="after the end"
        ),
        pytest.param({"pepper": NEW}, id="the old pepper is gone"),
    ],
)
async def test_a_key_that_nobody_used_in_time_is_refused_with_the_reason(
    installation: Installation, settings: dict[str, Any], version: str
) -> None:
    if version == "not recorded":
        installation.execute("UPDATE securetag.api_key SET pepper_version = NULL")
    before = installation.row()
    async with installation.api(**settings) as client:
        answer = await call(client, installation.key)
    assert answer.status_code == 401
    is_checkable = "pepper_previous" in settings or version == "recorded"
    assert ("ended with the pepper" in answer.json()["detail"]) == is_checkable
    assert installation.key not in answer.text
    assert installation.row() == before


async def test_a_wrong_key_is_refused_whatever_the_pepper(installation: Installation) -> None:
    wrong = installation.key[:17] + "A" * 43
    async with installation.api(pepper=NEW, pepper_previous=OLD, pepper_previous_until=LATER) as client:
        answer = await call(client, wrong)
    assert (answer.status_code, answer.json()["detail"]) == (401, "this API key isn't known")


async def test_many_first_uses_at_once_move_a_key_once(installation: Installation) -> None:
    installation.execute("DROP TABLE IF EXISTS public.moves; CREATE TABLE public.moves (digest bytea)")
    installation.execute(
        "CREATE OR REPLACE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " 'BEGIN INSERT INTO public.moves VALUES (NEW.digest); RETURN NEW; END'"
    )
    installation.execute(
        "CREATE OR REPLACE TRIGGER note BEFORE UPDATE OF digest ON securetag.api_key"
        " FOR EACH ROW EXECUTE FUNCTION public.note()"
    )
    async with (
        installation.api(pepper=NEW, pepper_previous=OLD, pepper_previous_until=LATER) as one_replica,
        installation.api(pepper=NEW, pepper_previous=OLD, pepper_previous_until=LATER) as other_replica,
    ):
        calls = [call(client, installation.key) for _ in range(20) for client in (one_replica, other_replica)]
        assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}
    with psycopg.connect(installation.superuser) as connection:
        moves = connection.execute("SELECT digest FROM public.moves").fetchall()
    installation.execute("DROP TRIGGER note ON securetag.api_key")
    assert [bytes(digest) for (digest,) in moves] == [hash_key(installation.key, NEW)]


async def test_replicas_that_know_both_peppers_serve_while_they_are_swapped(
    installation: Installation,
) -> None:
    """The runbook's two steps: first all replicas learn the new pepper, then it becomes the current one."""
    async with (
        installation.api(pepper=OLD, pepper_previous=NEW, pepper_previous_until=LATER) as before,
        installation.api(pepper=NEW, pepper_previous=OLD, pepper_previous_until=LATER) as after,
    ):
        for client in (before, after, before, after):
            assert (await call(client, installation.key)).status_code == 200
    assert installation.row() == (hash_key(installation.key, NEW), pepper_version(NEW))


def test_a_previous_pepper_needs_an_end() -> None:
    with pytest.raises(ValidationError, match="SECURETAG_PEPPER_PREVIOUS_UNTIL"):
        Settings(pepper=SecretStr(NEW), pepper_previous=SecretStr(OLD))


Rotation = Callable[[httpx.AsyncClient], Awaitable[None]]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            {"pepper": OLD},
            {"pepper": NEW, "pepper_previous": OLD, "pepper_previous_until": LATER},
            id="the pepper signs, and is replaced",
        ),
        pytest.param(
            {"pepper": OLD},
            {"pepper": OLD, "lease_key": "a key", "lease_key_previous": OLD},
            id="from the pepper to a lease key",
        ),
        pytest.param(
            {"pepper": OLD, "lease_key": "a key"},
            {"pepper": OLD, "lease_key": "another", "lease_key_previous": "a key"},
            id="the lease key is replaced",
        ),
    ],
)
async def test_a_running_task_survives_the_rotation(
    installation: Installation, before: dict[str, Any], after: dict[str, Any], archive: bytes
) -> None:
    key = {"X-API-Key": installation.key}
    async with installation.api(**before) as client:
        files = {"file": ("shop.zip", archive, "application/zip")}
        uploaded = await client.post("/codeaudit/upload", files=files, data={"project": "shop"}, headers=key)
        assert uploaded.status_code == 202
        claimed = await client.post("/queue/next", json={"worker_id": "w"}, headers=key)
        lease = claimed.json()
    beat = {"task_id": lease["task_id"], "stage": "semgrep"}
    token = {LEASE_HEADER: lease["lease_token"]}
    async with installation.api(**after) as client:
        assert (await client.post("/queue/heartbeat", json=beat, headers=key | token)).status_code == 200
        result = {"task_id": lease["task_id"], "outcome": "completed"}
        ended = await client.post("/queue/result", json=result, headers=key | token)
        assert (ended.status_code, ended.json()["state"]) == (200, "completed")
    unrelated = {
        "pepper": NEW,
        "pepper_previous": OLD,
        "pepper_previous_until": LATER,
        "lease_key": "unrelated",
    }
    async with installation.api(**unrelated) as client:
        assert (await client.post("/queue/heartbeat", json=beat, headers=key | token)).status_code == 403


async def test_the_command_lists_what_is_left_to_move(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in {
        "DATABASE_URL": installation.database.dsn_api,
        "SECURETAG_PEPPER": NEW,
        "SECURETAG_PEPPER_PREVIOUS": OLD,
        "SECURETAG_PEPPER_PREVIOUS_UNTIL": "2040-01-01T00:00:00Z",
    }.items():
        monkeypatch.setenv(variable, value)
    get_settings.cache_clear()

    def run(*options: str) -> str:
        result = CliRunner().invoke(command_line, ["key", "peppers", *options])
        assert result.exit_code == 0, result.output
        return result.output

    report = json.loads(await asyncio.to_thread(run, "--json"))
    assert report["previous"] == {"version": pepper_version(OLD), "until": "2040-01-01T00:00:00Z"}
    pending = {key["prefix"]: key for key in report["pending"]}
    assert pending[installation.key[4:16]] == {
        "tenant": installation.name,
        "name": "ci",
        "prefix": installation.key[4:16],
        "version": pepper_version(OLD),
        "last_used_at": None,
    }
    text = await asyncio.to_thread(run)
    assert installation.key[4:16] in text
    assert OLD not in text
    async with installation.api(pepper=NEW, pepper_previous=OLD, pepper_previous_until=LATER) as client:
        await call(client, installation.key)
    after = json.loads(await asyncio.to_thread(run, "--json"))
    assert installation.key[4:16] not in {key["prefix"] for key in after["pending"]}
    assert after["current"]["keys"] == report["current"]["keys"] + 1
