"""What the command line costs to start, and what api and worker hold at rest."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.figure import Figure

#: Seconds after which a service counts as at rest.
SETTLE_S = 5.0
HELP_RUNS = 5


def measure() -> Iterator[Figure]:
    """CPU-seconds of `securetag --help` (median of five), MiB resident of api and worker."""
    help_s = sorted(_help() for _ in range(HELP_RUNS))[HELP_RUNS // 2]
    yield Figure(
        figure="securetag --help",
        value=round(help_s, 3),
        unit="CPU-s",
        peer=f"python -c pass: {_bare():.3f}",
        bar="< 0.3",
        ok=help_s < 0.3,
    )
    yield from _services()


def _cpu(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _help() -> float:
    return _cpu([str(Path(sys.executable).with_name("securetag")), "--help"])


def _bare() -> float:
    return _cpu([sys.executable, "-c", "pass"])


def _services() -> Iterator[Figure]:
    from securetag.cli.services.platform import WORKER_SCOPES, Platform, make_tenant
    from securetag.cli.services.supervise import Services
    from securetag.db.embedded import Cluster
    from securetag.settings import get_settings

    with tempfile.TemporaryDirectory() as folder:
        os.environ["SECURETAG_HOME"] = folder
        os.environ.pop("DATABASE_URL", None)
        get_settings.cache_clear()
        settings = get_settings()
        with Services(settings.home, {"SECURETAG_HOME": folder}) as services:
            platform = Platform(settings, services)
            platform.postgres()
            platform.migrate()
            platform.api(0)
            platform.worker(make_tenant(settings, "operator", WORKER_SCOPES).key)
            time.sleep(SETTLE_S)
            for service in services.running():
                if service.name in {"api", "worker"}:
                    resident = _resident(service.process.pid)
                    yield Figure(
                        figure=f"{service.name} at rest",
                        value=round(resident, 1),
                        unit="MiB",
                        bar="< 200",
                        ok=resident < 200,
                    )
        Cluster(settings.home).destroy()


def _resident(pid: int) -> float:
    """MiB of a process and its descendants."""
    root = psutil.Process(pid)
    return sum(p.memory_info().rss for p in [root, *root.children(recursive=True)]) / 2**20
