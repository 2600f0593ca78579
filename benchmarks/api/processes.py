"""An api of its own to measure, and readers that ask it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


def run_load(url: str, key: str, readers: int, pid: int, path: str, seconds: float) -> dict[str, float]:
    """Status → answers, where 0 is a connection that was refused or cut; and `cpu_s`."""
    command = [sys.executable, "-m", "benchmarks.api.load", url, key, str(readers), str(seconds), str(pid)]
    command.append(path)
    load: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return load


def make_key(scope: str = "read") -> str:
    """Return a key with one scope, of a tenant for the load alone."""
    from securetag.db.engine import create_engine
    from securetag.db.repositories.keys import create_key
    from securetag.db.repositories.tenants import ensure_tenant
    from securetag.settings import get_settings

    async def make() -> str:
        settings = get_settings()
        engine = create_engine(settings)
        tenant_id = await ensure_tenant(engine, "load")
        key = await create_key(engine, tenant_id, "load", [scope], settings.require_pepper())
        await engine.dispose()
        return key

    return asyncio.run(make())


@contextmanager
def run_api() -> Iterator[tuple[psutil.Process, str]]:
    """Start an api over a PostgreSQL of its own; yield its process and URL."""
    from securetag.cli.services.platform import Platform
    from securetag.cli.services.supervise import Services
    from securetag.db.embedded import Cluster
    from securetag.settings import get_settings

    with tempfile.TemporaryDirectory() as folder:
        os.environ["SECURETAG_HOME"] = folder
        os.environ.pop("DATABASE_URL", None)
        get_settings.cache_clear()
        settings = get_settings()
        with Services(Path(folder), {"SECURETAG_HOME": folder}) as services:
            platform = Platform(settings, services)
            platform.postgres()
            platform.migrate()
            platform.api(0)
            process = next(s.process for s in services.running() if s.name == "api")
            yield psutil.Process(process.pid), platform.api_url
        Cluster(settings.home).destroy()
