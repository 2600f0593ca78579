"""The control room: what each source says of itself, what starts by itself, and what the form offers."""

from __future__ import annotations

import json
import os
from collections import Counter
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import get_args

import dagster as dg
import httpx
import pytest
from loopback_server import LoopbackServer

from securetag import triage
from securetag.assets.config import Language, Profile, Purpose
from securetag.assets.sources import CRON, OTHER_PUBLISHERS, name_group, records_key
from securetag.datasets.licences import Purpose as PurposeName
from securetag.extractors.catalog import list_default_sources, load
from securetag.orchestration.definitions import defs
from securetag.orchestration.sensors import changed_documents, report_failure
from securetag.records import Lang
from securetag.settings import Settings, get_settings

JOBS = {
    "refresh_sources",
    "build_release",
    "train_and_evaluate",
    "publish",
    "close_the_loop",
    "rollback",
    "erase",
}


def test_each_source_says_whose_it_is_and_how_fresh() -> None:
    graph = defs.resolve_asset_graph()
    usable = list_default_sources(get_settings())
    publishers = Counter(source.publisher for source in load().values())
    for source in load().values():
        node = graph.get(records_key(source.name))
        is_alone = publishers[source.publisher] == 1
        assert node.group_name == (OTHER_PUBLISHERS if is_alone else name_group(source.publisher))
        assert node.owners == ["team:data"]
        assert node.code_version
        assert source.url in (node.description or "")
        assert (node.freshness_policy is not None) == (source.cadence != "never")
        starts = source.name in usable and (source.records or source.cadence in CRON)
        assert (node.automation_condition is not None) == bool(starts)


def test_the_graph_of_groups_fits_a_screen() -> None:
    graph = defs.resolve_asset_graph()
    groups = {graph.get(key).group_name for key in graph.get_all_asset_keys()}
    assert groups >= {"mitre", "nist", "owasp", OTHER_PUBLISHERS, "dataset", "model"}
    assert len(groups) <= 8


def test_jobs_say_what_they_are_for() -> None:
    jobs = {
        job.name: job for job in defs.get_repository_def().get_all_jobs() if not job.name.startswith("__")
    }
    assert jobs.keys() == JOBS
    assert all(job.description for job in jobs.values())


@pytest.mark.parametrize(
    ("offered", "allowed"), [(Profile, triage.Profile), (Language, Lang), (Purpose, PurposeName)]
)
def test_the_form_offers_what_a_release_takes(offered: type[Profile], allowed: object) -> None:
    assert {str(member.value) for member in offered} == set(get_args(allowed))
    assert all(member.name == member.value for member in offered), "Dagster's run configuration has names"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of documents, as a row of a catalog."""
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "guide.md").write_text("# Passwords\n\nRotate every password of a service once a year.\n")
    catalog = tmp_path / "catalog.yaml"
    row = {
        "name": "our-guides",
        "tier": "core",
        "publisher": "Us",
        "dataset": "our-guides",
        "title": "Our guides",
        "edition": "1",
        "url": "https://example.org/guides",
        "licence": "LicenseRef-Internal",
        "reader": "folder",
        "folder": {"path": str(documents)},
    }
    catalog.write_text(json.dumps([row]))
    monkeypatch.setenv("SECURETAG_CATALOG", str(catalog))
    get_settings.cache_clear()
    return documents


def test_changed_documents_are_extracted_again(folder: Path) -> None:
    def look(cursor: str | None) -> dg.SensorResult | dg.SkipReason:
        result = changed_documents(dg.build_sensor_context(cursor=cursor))
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        return result

    first = look(None)
    assert isinstance(first, dg.SensorResult)
    assert first.run_requests is not None
    assert first.run_requests[0].asset_selection == [records_key("our-guides")]
    assert isinstance(look(first.cursor), dg.SkipReason)
    (folder / "guide.md").write_text("# Passwords\n\nNever rotate without a reason.\n")
    os.utime(folder / "guide.md", ns=(1, 1))
    second = look(first.cursor)
    assert isinstance(second, dg.SensorResult)
    assert second.run_requests is not None
    assert second.run_requests[0].run_key != first.run_requests[0].run_key


@pytest.mark.sockets
def test_a_failed_run_is_told_to_the_webhook() -> None:
    bodies: list[dict[str, str]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(503 if "twice" in bodies[-1]["error"] and len(bodies) < 3 else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    silent = report_failure(Settings(), job="publish", run_id="r1", error="gate")
    assert isinstance(silent, dg.SkipReason)
    assert "SECURETAG_ALERT_WEBHOOK" in (silent.skip_message or "")
    with LoopbackServer(Webhook) as server:
        settings = Settings(alert_webhook=server.url)
        assert report_failure(settings, job="publish", run_id="r1", error="x" * 5_000) is None
        assert bodies[0]["text"].startswith("Securetag: job publish failed (run r1). xxx")
        assert len(bodies[0]["error"]) == 1_000
        with pytest.raises(httpx.HTTPStatusError):
            report_failure(settings, job="publish", run_id="r1", error="twice")
        assert report_failure(settings, job="publish", run_id="r1", error="twice") is None


def test_rollback_without_a_model_before_fails_and_says_so() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("rollback").execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    (failure,) = [event for event in result.all_node_events if event.is_step_failure]
    error = failure.step_failure_data.error
    assert error is not None
    assert "securetag-v1" in str((error.cause or error).message)
