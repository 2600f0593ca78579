"""Where Dagster keeps its history: `<home>/dagster`, made from our settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from securetag.settings import Settings
from securetag.system.files import PRIVATE, write_atomic

#: Module of the jobs, assets and sensors.
DEFINITIONS = "securetag.orchestration.definitions"


def prepare(settings: Settings) -> Path:
    """Write `dagster.yaml` and return DAGSTER_HOME.

    With DATABASE_URL Dagster's storage is in the same PostgreSQL (through psycopg2: its event log
    can't use psycopg 3), otherwise in SQLite below the home.
    """
    folder = settings.home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, object] = {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "run_monitoring": {"enabled": True},
        "freshness": {"enabled": True},
        # Of the runs that use a pool (`fetch`, `gpu`) one at a time; the UI sets another limit.
        "concurrency": {"pools": {"granularity": "run", "default_limit": 1}},
    }
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        _, _, rest = url.partition("://")
        config["storage"] = {"postgres": {"postgres_url": f"postgresql+psycopg2://{rest}"}}
    # As a whole: in a deployment several services share the folder, and each of them writes it.
    write_atomic(folder / "dagster.yaml", yaml.safe_dump(config, sort_keys=True), mode=PRIVATE)
    return folder


def workspace(settings: Settings, server: Mapping[str, str | int]) -> Path:
    """Write `workspace.yaml` and return it.

    The code location `securetag` is served at `server`: a `socket`, or a `host` and a `port`.
    """
    path = settings.home / "dagster" / "workspace.yaml"
    location = {**server, "location_name": "securetag"}
    return write_atomic(path, yaml.safe_dump({"load_from": [{"grpc_server": location}]}))
