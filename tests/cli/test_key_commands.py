"""Tenants, keys and consent at the command line, against the real database and the real api."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import httpx
import pytest
from deployment import Deployment, deployed
from postgres import Database
from typer.testing import CliRunner

from securetag.cli import app
from securetag.cli.webhooks import Event
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.settings import get_settings
from securetag.wire.webhooks import WebhookEvent

runner = CliRunner()


@pytest.fixture
def installation(clean_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("DATABASE_URL", clean_database.dsn_api)
    get_settings.cache_clear()
    return clean_database


def run(*arguments: str, code: int = 0) -> str:
    done = runner.invoke(app, list(arguments))
    assert done.exit_code == code, done.output
    return done.output


def made(tenant: str) -> tuple[str, str]:
    """A new tenant's id, and the prefix of its key `ci`."""
    tenant_id = run("tenant", "create", tenant).strip()
    key = run("key", "create", "--tenant", tenant_id, "--name", "ci", "--scope", "read").strip()
    return tenant_id, key[4:16]


def states(tenant: str) -> dict[str, str]:
    keys = json.loads(run("key", "list", "--tenant", tenant, "--json"))
    assert not [key for key in keys if "digest" in key]
    return {key["prefix"]: key["state"] for key in keys}


def test_keys_are_listed_revoked_and_replaced(installation: Database) -> None:
    first_id, _ = made("Acme")
    made("Other")
    assert [row["name"] for row in json.loads(run("tenant", "list", "--json"))] == ["Acme", "Other"]
    assert "Acme" in run("tenant", "list")
    (prefix,) = states(first_id)
    assert states("Acme") == {prefix: "valid"}
    assert len(json.loads(run("key", "list", "--json"))) == 2
    assert "2 keys have the name" in run("key", "revoke", "ci", code=1)

    rotated = json.loads(run("key", "rotate", f"stk_{prefix}", "--overlap-hours", "24", "--json"))
    assert rotated["replaces"] == prefix
    assert set(states("Acme").values()) == {"valid"}
    (old,) = [key for key in json.loads(run("key", "list", "--json")) if key["prefix"] == prefix]
    assert old["expires_at"] is not None
    (new,) = set(states("Acme")) - {prefix}
    printed = run("key", "rotate", f"stk_{new}")
    assert printed.startswith("stk_")
    assert states("Acme")[new] == "revoked"
    assert "is revoked" in run("key", "rotate", f"stk_{new}", code=1)

    assert f"revoked stk_{prefix}" in run("key", "revoke", f"stk_{prefix}")
    assert json.loads(run("key", "revoke", f"stk_{prefix}", "--json"))["state"] == "revoked"
    assert "there is no key" in run("key", "revoke", "nothing", code=1)
    assert "there is no tenant" in run("key", "list", "--tenant", "nobody", code=1)


@pytest.mark.system
@pytest.mark.sockets
def test_consent_and_webhooks_are_shown_and_changed(
    installation: Database, pg_cluster: Cluster, tmp_path: Path
) -> None:
    superuser = pg_cluster.dsn(installation.name, SUPERUSER)
    with deployed(tmp_path, installation.dsn_api, superuser) as deployment:
        check_consent(deployment)
        check_webhooks(deployment)


def check_consent(deployment: Deployment) -> None:
    connection = ("--api", deployment.url, "--key")
    reader = run("key", "create", "--tenant", deployment.tenant, "--name", "r", "--scope", "read").strip()
    admin = run("key", "create", "--tenant", deployment.tenant, "--name", "a", "--scope", "admin").strip()
    assert "not granted" in run("consent", "show", *connection, reader)
    assert "no scope" in run("consent", "grant", *connection, reader, code=1)
    assert "granted by a on" in run("consent", "grant", *connection, admin)
    assert json.loads(run("consent", "show", *connection, reader, "--json"))["granted"] is True
    assert "withdrawn by a on" in run("consent", "withdraw", *connection, admin)
    run("key", "revoke", admin)
    assert httpx.get(f"{deployment.url}/consent", headers={"X-API-Key": admin}).status_code == 401


def check_webhooks(deployment: Deployment) -> None:
    admin = run("key", "create", "--tenant", deployment.tenant, "--name", "b", "--scope", "admin").strip()
    connection = ("--api", deployment.url, "--key", admin)
    assert {event.value for event in Event} == set(get_args(WebhookEvent))
    made = json.loads(run("webhooks", "add", "https://ci.example.org/", *connection, "--json"))
    webhook = made["id"]
    assert made["events"] == sorted(get_args(WebhookEvent))
    assert run("webhooks", "rotate", webhook, *connection).split()[-1].startswith("whsec_")
    assert "disabled" in run("webhooks", "disable", webhook, *connection)
    assert "disabled" in run("webhooks", "list", *connection)
    assert "active" in run("webhooks", "enable", webhook, *connection)
    assert json.loads(run("webhooks", "deliveries", webhook, *connection, "--json")) == []
    assert "no such delivery" in run("webhooks", "redeliver", webhook, webhook, *connection, code=1)
    run("webhooks", "remove", webhook, *connection)
    assert "no such webhook" in run("webhooks", "deliveries", webhook, *connection, code=1)
    assert "isn't https" in run("webhooks", "add", "http://ci.example.org/", *connection, code=1)
