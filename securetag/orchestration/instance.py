"""Where Dagster keeps its history: `<home>/dagster`, made from our settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from securetag.errors import SettingsError
from securetag.settings import Settings
from securetag.system.files import PRIVATE, write_atomic

#: Module of the jobs, assets and sensors.
DEFINITIONS = "securetag.orchestration.definitions"


def prepare(settings: Settings) -> Path:
    """Write `dagster.yaml` and return DAGSTER_HOME.

    With DATABASE_URL Dagster's storage is in the same PostgreSQL (through psycopg2: its event log
    can't use psycopg 3), otherwise in SQLite below the home. The keys of the file in the setting
    `dagster_config` replace ours. Raises SettingsError where that is no YAML mapping, and for steps in
    Kubernetes, which share no SQLite file, without either.
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
    if settings.dagster_config is not None:
        config |= _read_mapping(settings.dagster_config)
    if settings.dagster_executor == "kubernetes" and "storage" not in config:
        raise SettingsError(
            "pods of Kubernetes can't share Dagster's history in SQLite",
            hint="Set DATABASE_URL, or `storage` in the file that SECURETAG_DAGSTER_CONFIG names.",
        )
    # As a whole: in a deployment several services share the folder, and each of them writes it.
    write_atomic(folder / "dagster.yaml", yaml.safe_dump(config, sort_keys=True), mode=PRIVATE)
    return folder


def _read_mapping(path: Path) -> dict[str, object]:
    """Return the mapping in a YAML file. Raises SettingsError."""
    try:
        mapping = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(
            f"{path} can't be read as YAML: {error}", hint="SECURETAG_DAGSTER_CONFIG names it."
        ) from error
    if not isinstance(mapping, dict):
        raise SettingsError(
            f"{path} holds no mapping", hint="It has the keys of dagster.yaml (docs/scaling.md)."
        )
    return mapping


def workspace(settings: Settings, server: Mapping[str, str | int]) -> Path:
    """Write `workspace.yaml` and return it.

    The code location `securetag` is served at `server`: a `socket`, or a `host` and a `port`.
    """
    path = settings.home / "dagster" / "workspace.yaml"
    location = {**server, "location_name": "securetag"}
    return write_atomic(path, yaml.safe_dump({"load_from": [{"grpc_server": location}]}))
