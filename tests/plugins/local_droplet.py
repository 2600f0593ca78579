"""What a droplet would run, as processes of this machine: the real api and the real worker.

A droplet's user data is read as cloud-init would read it. compose can't run here, so of its services the
api, the registration of the key and the worker are started, the worker with what the override gives it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from securetag.db.engine import create_engine
from securetag.db.repositories.keys import create_key
from securetag.db.repositories.tenants import create_tenant, find_tenant
from securetag.errors import ConflictError
from securetag.settings import LOCAL_PEPPER

CLI = "from securetag.cli import app; app()"


def read_user_data(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The override of compose.yaml, and the files that cloud-init writes, by path."""
    first, _, document = text.partition("\n")
    assert first == "#cloud-config"
    files = {file["path"]: file["content"] for file in yaml.safe_load(document)["write_files"]}
    override = next(content for path, content in files.items() if path.endswith("compose.cloud.yaml"))
    return yaml.safe_load(override), files


def worker_environment(override: dict[str, Any], files: dict[str, str]) -> dict[str, str]:
    """The worker's variables; those that name a file of a secret hold its content instead."""
    environment = {}
    for name, value in override["services"]["worker"]["environment"].items():
        if name.endswith("_FILE"):
            secret = override["secrets"][value.rsplit("/", 1)[1]]
            environment[name.removesuffix("_FILE")] = files[secret["file"]]
        else:
            environment[name] = value
    return environment


class LocalDroplet:
    """Starts the services of one droplet at a fixed port."""

    def __init__(self, folder: Path, dsn: str, port: int) -> None:
        self.folder, self.dsn, self.port = folder, dsn, port

    def boot(self, droplet: dict[str, Any]) -> Callable[[], None]:
        override, files = read_user_data(droplet["_user_data"])
        home = self.folder / str(droplet["id"])
        home.mkdir(parents=True)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("SECURETAG_", "OLLAMA"))
        }
        environment |= {"SECURETAG_HOME": str(home), "DATABASE_URL": self.dsn}
        command = override["services"]["verification-key"]["command"]
        key_file = home / "verification_key"
        key_file.write_text(files[override["secrets"]["verification_key"]["file"]])
        arguments = [str(key_file) if part.startswith("/run/secrets/") else part for part in command[1:]]
        worker = (
            environment
            | worker_environment(override, files)
            | {
                "SECURETAG_WORKER__API_URL": f"http://127.0.0.1:{self.port}",
                "SECURETAG_WORKER__API_KEY": asyncio.run(self._worker_key()),
                "SECURETAG_SEMGREP__JOBS": "1",
            }
        )
        worker.pop("DATABASE_URL")
        registry = override["secrets"][Path(worker["SECURETAG_TRIAGE__REGISTRY"]).name]["file"]
        (home / "registry.json").write_text(files[registry])
        worker["SECURETAG_TRIAGE__REGISTRY"] = str(home / "registry.json")
        with (home / "droplet.log").open("ab") as log:

            def start(*argv: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
                return subprocess.Popen([sys.executable, *argv], env=env, stdout=log, stderr=log)

            services = [start("-m", "securetag.api", "--port", str(self.port), env=environment)]
            registration = environment | override["services"]["verification-key"].get("environment", {})
            assert start("-c", CLI, *arguments, env=registration).wait(60) == 0
            services.append(start("-m", "securetag.worker", env=worker))

        def end() -> None:
            for service in reversed(services):
                service.terminate()
            for service in services:
                try:
                    service.wait(20)
                except subprocess.TimeoutExpired:
                    service.kill()
                    service.wait()
            time.sleep(0.05)

        return end

    async def _worker_key(self) -> str:
        engine = create_engine(self.dsn)
        try:
            tenant = await create_tenant(engine, "operator")
        except ConflictError:
            from securetag.db.engine import cross_tenant_transaction

            async with cross_tenant_transaction(engine) as session:
                tenant = await find_tenant(session, "operator")
        key = await create_key(engine, tenant, "worker", ["worker"], LOCAL_PEPPER)
        await engine.dispose()
        return key
