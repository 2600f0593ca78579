"""The control room through the GraphQL API of a webserver: the loop, a gate that rejects, one source again.

PostgreSQL, Dagster's code server, webserver and daemon are processes of their own, and every run is launched
as the page launches it. The sizes are the smallest with which each stage has something to do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from securetag.assets.sources import records_key
from securetag.cli.services.platform import Platform, register_base_model
from securetag.cli.services.supervise import Services
from securetag.datasets.releases.checks import BLOCKING
from securetag.db.embedded import Cluster
from securetag.extractors.catalog import list_default_sources
from securetag.orchestration.instance import DEFINITIONS
from securetag.serving.registry import Registry
from securetag.settings import Settings, get_settings

pytestmark = [pytest.mark.system, pytest.mark.sockets, pytest.mark.slow, pytest.mark.timeout(2400)]

RUN_S = 1800.0
#: What the form sends for the smallest loop; everything else keeps its default.
SMALL = {
    "ops": {
        "release": {"config": {"synthetic": 60, "knowledge": 40}},
        "adapter": {
            "config": {"overrides": {"max_rows": 8, "tasks": {"triage": 1.0}}, "timeout_s": RUN_S},
        },
        "evaluation": {"config": {"per_axis": 2, "attacks": 8}},
    }
}
JOBS = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
VALID = """query Valid($pipeline: PipelineSelector!, $config: RunConfigData!) {
  isPipelineConfigValid(pipeline: $pipeline, runConfigData: $config, mode: "default") {
    __typename ... on RunConfigValidationInvalid { errors { message } } } }"""
LAUNCH = """mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUN = """query Run($id: ID!) {
  runOrError(runId: $id) { ... on Run { status assetMaterializations { assetKey { path } }
    stepStats { stepKey status } } } }"""
CHECKS = """query Checks($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { assetChecksOrError { ... on AssetChecks { checks {
    name blocking executionForLatestMaterialization { status runId evaluation { description metadataEntries {
      __typename label ... on FloatMetadataEntry { floatValue } ... on IntMetadataEntry { intValue } } } }
  } } } } } }"""
PARTITIONS = """query Partitions($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { partitionKeys
    assetMaterializations(limit: 10) { partition runId }
  } } }"""
BACKFILL = """mutation Backfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
BACKFILL_STATE = """query State($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status runs { id status } } } }"""


class ControlRoom:
    """A client of the webserver's GraphQL API."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Return the data of an answer without errors."""
        response = httpx.post(
            f"{self._url}/graphql", json={"query": query, "variables": variables}, timeout=120
        )
        body = response.raise_for_status().json()
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    def run(self, job: str, config: dict[str, Any]) -> dict[str, Any]:
        """Launch a job and return its run when that has ended well."""
        selector = {"repositoryLocationName": "securetag", "repositoryName": "__repository__", "jobName": job}
        params = {"selector": selector, "runConfigData": json.dumps(config)}
        launched = self.ask(LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["run"]["runId"]
        deadline = time.monotonic() + RUN_S
        while time.monotonic() < deadline:
            run: dict[str, Any] = self.ask(RUN, id=run_id)["runOrError"]
            if run["status"] in {"SUCCESS", "FAILURE", "CANCELED"}:
                assert run["status"] == "SUCCESS", run
                return run | {"id": run_id}
            time.sleep(1)
        pytest.fail(f"{job} did not end in {RUN_S:.0f} s")

    def checks(self, *path: str) -> dict[str, dict[str, Any]]:
        """Return the newest execution of each check of an asset."""
        node = self.ask(CHECKS, key={"path": path})["assetNodeOrError"]
        return {
            check["name"]: check["executionForLatestMaterialization"]
            for check in node["assetChecksOrError"]["checks"]
        }

    def materializations(self, *path: str) -> dict[str, Any]:
        """Return the partitions of an asset and its newest materializations."""
        node: dict[str, Any] = self.ask(PARTITIONS, key={"path": path})["assetNodeOrError"]
        return node


def made(run: dict[str, Any]) -> set[str]:
    return {"/".join(event["assetKey"]["path"]) for event in run["assetMaterializations"]}


def skipped(run: dict[str, Any]) -> set[str]:
    return {step["stepKey"] for step in run["stepStats"] if step["status"] == "SKIPPED"}


@pytest.fixture
def settings() -> Settings:
    return get_settings()


@pytest.fixture
def control_room(settings: Settings) -> Iterator[ControlRoom]:
    environment = {
        "SECURETAG_HOME": str(settings.home),
        "SECURETAG_DATA": str(settings.data),
        "OMP_NUM_THREADS": "1",
    }
    try:
        with Services(settings.home, environment) as services:
            platform = Platform(settings, services)
            platform.postgres()
            platform.migrate()
            register_base_model(settings)
            yield ControlRoom(platform.dagster(platform.dagster_code(), 0))
    finally:
        Cluster(settings.home).destroy()


def test_the_loop_its_gate_and_one_source_again(control_room: ControlRoom, settings: Settings) -> None:
    (repository,) = control_room.ask(JOBS)["repositoriesOrError"]["nodes"]
    assert repository["location"]["name"] == "securetag", DEFINITIONS
    selector = {
        "repositoryLocationName": "securetag",
        "repositoryName": repository["name"],
        "pipelineName": "close_the_loop",
    }
    for config in ({}, SMALL):
        valid = control_room.ask(VALID, pipeline=selector, config=json.dumps(config))
        assert valid["isPipelineConfigValid"]["__typename"] == "PipelineConfigValidationValid", valid

    loop = control_room.run("close_the_loop", SMALL)

    sources = {records_key(name).to_user_string() for name in list_default_sources(settings)}
    assert made(loop) == sources | {"harvest", "release", "releases", "adapter", "evaluation"}
    releases = control_room.materializations("releases")
    (name,) = releases["partitionKeys"]
    assert (settings.releases_dir / name / "manifest.json").is_file()
    assert releases["assetMaterializations"][0]["partition"] == name
    blocking = {check: control_room.checks("release")[check]["status"] for check in BLOCKING}
    assert set(blocking.values()) == {"SUCCEEDED"}

    # A few held-out rows decide nothing: the gate rejects, and publication is skipped in the same run.
    gate = control_room.checks("evaluation")["gate"]
    assert gate["status"] == "FAILED"
    assert gate["runId"] == loop["id"]
    figures = {entry["label"] for entry in gate["evaluation"]["metadataEntries"] if is_number(entry)}
    assert {"requirements met", "requirements not met", "held-out examples"} < figures
    assert any(label.endswith(": candidate") for label in figures)
    assert skipped(loop) == {"published_model.publish_model"}
    # The same alone.
    alone = control_room.run("publish", {})
    assert made(alone) == set()
    assert skipped(alone) == {"published_model.publish_model"}
    assert set(Registry(settings.models_dir).aliases()) == {"securetag-base"}

    source = sorted(sources)[0].split("/")
    before = {path: len(runs_of(control_room, path)) for path in sources}
    params = {"assetSelection": [{"path": source}], "allPartitions": True}
    launched = control_room.ask(BACKFILL, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    wait_for_backfill(control_room, launched["backfillId"])
    after = {path: len(runs_of(control_room, path)) for path in sources}
    assert {path for path in sources if after[path] != before[path]} == {"/".join(source)}


def is_number(entry: dict[str, Any]) -> bool:
    return entry["__typename"] in {"FloatMetadataEntry", "IntMetadataEntry"}


def runs_of(control_room: ControlRoom, path: str) -> list[str]:
    events = control_room.materializations(*path.split("/"))["assetMaterializations"]
    return [event["runId"] for event in events]


def wait_for_backfill(control_room: ControlRoom, backfill_id: str) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        state = control_room.ask(BACKFILL_STATE, id=backfill_id)["partitionBackfillOrError"]
        if state["status"] == "COMPLETED_SUCCESS":
            assert [run["status"] for run in state["runs"]] == ["SUCCESS"]
            return
        assert state["status"] in {"REQUESTED", "COMPLETED"}, state
        time.sleep(1)
    pytest.fail("the backfill did not end in 300 s")
