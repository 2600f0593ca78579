"""What the Dagster UI gets: jobs that can run here, and a sensor that says why it waits."""

from __future__ import annotations

import logging
from pathlib import Path

import dagster as dg
import pytest
import yaml

from securetag.assets.sources import records_key
from securetag.extractors.catalog import list_default_sources, load
from securetag.orchestration.console import Sentence, Wanted
from securetag.orchestration.definitions import defs
from securetag.orchestration.instance import prepare
from securetag.orchestration.sensors import new_tool_executions
from securetag.settings import get_settings

STAGES = {"harvest", "release", "adapter", "evaluation", "published_model"}


def selected(job: str) -> set[str]:
    layer = defs.resolve_job_def(job).asset_layer
    return {key.to_user_string() for key in layer.executable_asset_keys}


def test_every_source_of_the_catalog_is_an_asset() -> None:
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    assert keys == STAGES | {"releases"} | {records_key(name).to_user_string() for name in load()}


def test_the_loop_takes_only_sources_in_reach() -> None:
    sources = selected("close_the_loop") - STAGES
    assert selected("close_the_loop") >= STAGES
    within = {records_key(name).to_user_string() for name in list_default_sources(get_settings())}
    assert sources == within
    assert len(within) >= 2, "the packages carry CWE and ATT&CK"


def test_without_a_database_the_sensor_says_what_to_start() -> None:
    found = new_tool_executions(dg.build_sensor_context())
    assert isinstance(found, dg.SkipReason)
    assert "securetag up" in (found.skip_message or "")


def test_dagsters_history_lies_below_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepare(get_settings())
    config = yaml.safe_load((folder / "dagster.yaml").read_text())
    assert folder.is_relative_to(tmp_path)
    assert config["telemetry"] == {"enabled": False}
    assert "storage" not in config

    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://u:p@h/d")
    get_settings.cache_clear()
    stored = yaml.safe_load((prepare(get_settings()) / "dagster.yaml").read_text())["storage"]
    assert stored["postgres"]["postgres_url"] == "postgresql+psycopg2://u:p@h/d"
    assert (folder / "dagster.yaml").stat().st_mode & 0o077 == 0


def test_the_terminal_prints_sentences_and_no_events() -> None:
    record = logging.LogRecord("dagster", logging.INFO, "", 0, "loop - 1 - release - 3 rows", None, None)
    record.dagster_meta = {"orig_message": "3 rows", "dagster_event": None}
    assert (Wanted().filter(record), Sentence().format(record).strip()) == (True, "3 rows")
    record.dagster_meta = {"orig_message": "Execution failed", "dagster_event": object()}
    assert not Wanted().filter(record)
