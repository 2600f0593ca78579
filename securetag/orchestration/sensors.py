"""Sensors: what happens in the scanning service, in a user's folders and in Dagster itself starts a job.

All are off until somebody turns them on in the UI.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

import dagster as dg
import httpx

from securetag.assets.sources import records_key
from securetag.db.harvest import WatchedTable
from securetag.errors import DatabaseUnavailableError, SettingsError, UnavailableError
from securetag.extractors import catalog
from securetag.records import content_id
from securetag.settings import Settings, get_settings

#: Seconds between two looks, and between two looks at what needs reading of many files.
OFTEN_S, SELDOM_S = 60, 300
#: Seconds that the webhook may take.
WEBHOOK_S = 10.0
#: Characters of an error that a webhook is sent.
MAX_ERROR = 1_000


def _watch_rows(name: str, table: WatchedTable, description: str) -> dg.SensorDefinition:
    """Return a sensor that builds a release after new rows of consenting tenants in a table."""

    @dg.sensor(name=name, job_name="build_release", minimum_interval_seconds=OFTEN_S, description=description)
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from securetag.db.harvest import list_new_rows

        try:
            number, last = list_new_rows(
                get_settings(), table, UUID(context.cursor) if context.cursor else None
            )
        except (DatabaseUnavailableError, SettingsError) as error:
            return dg.SkipReason(f"{error}. {error.hint}")
        if not number:
            return dg.SkipReason(f"no new row of a consenting tenant in {table}")
        request = dg.RunRequest(run_key=f"{table}/{last}", tags={table: str(number)})
        return dg.SensorResult(run_requests=[request], cursor=str(last))

    return watch


new_tool_executions = _watch_rows(
    "new_tool_executions",
    "tool_execution",
    "Harvests, and builds a release, when scans of consenting tenants have run since the last time.",
)
new_feedback = _watch_rows(
    "new_feedback",
    "feedback",
    "Harvests, and builds a release, when people of consenting tenants have given new verdicts.",
)


@dg.sensor(job_name="erase", minimum_interval_seconds=OFTEN_S)
def erasure_requests() -> dg.RunRequest | dg.SkipReason:
    """Works off erasure requests of tenants when there are open ones."""
    from securetag.pipeline.erasure import list_open_requests

    try:
        pending = asyncio.run(list_open_requests(get_settings()))
    except (DatabaseUnavailableError, SettingsError) as error:
        return dg.SkipReason(f"{error}. {error.hint}")
    if not pending:
        return dg.SkipReason("no open erasure request")
    return dg.RunRequest(run_key=content_id([str(request) for request in pending]))


@dg.sensor(job_name="refresh_sources", minimum_interval_seconds=SELDOM_S)
def changed_documents(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Extracts a user's folders of documents again, those of them in which a file has changed."""
    settings = get_settings()
    usable = frozenset(catalog.list_default_sources(settings))
    folders = {
        source.name: Path(source.folder.path)
        for source in catalog.load(settings.catalog).values()
        if source.folder is not None and source.name in usable
    }
    if not folders:
        return dg.SkipReason("the catalog has no row with a folder (docs/own-documents.md)")
    before = dict(line.split(" ", 1) for line in (context.cursor or "").splitlines())
    now = {name: _digest_folder(path) for name, path in folders.items()}
    changed = sorted(name for name in now if now[name] != before.get(name))
    if not changed:
        return dg.SkipReason("no file of a user's folder has changed")
    request = dg.RunRequest(
        run_key=content_id([now[name] for name in changed]),
        asset_selection=[records_key(name) for name in changed],
    )
    cursor = "\n".join(f"{name} {digest}" for name, digest in now.items())
    return dg.SensorResult(run_requests=[request], cursor=cursor)


def _digest_folder(folder: Path) -> str:
    """Return a digest of the names, sizes and times of a folder's files."""
    paths: Iterable[Path] = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    stats = ((path, path.stat()) for path in paths if path.is_file())
    return content_id([[str(path), stat.st_size, str(stat.st_mtime_ns)] for path, stat in stats])


@dg.sensor(minimum_interval_seconds=OFTEN_S, target=None)
def runpod_reaper() -> dg.SkipReason:
    """Deletes RunPod's training pods whose deadline has passed, whoever started them."""
    from securetag.training.launchers.runpod.reaper import connect, reap

    try:
        with connect(get_settings()) as api:
            pods = reap(api, time.time())
    except (SettingsError, UnavailableError) as error:
        return dg.SkipReason(f"{error}. {error.hint}")
    return dg.SkipReason(f"deleted {', '.join(pod.id for pod in pods)}" if pods else "no pod is overdue")


@dg.run_failure_sensor(minimum_interval_seconds=OFTEN_S, monitor_all_code_locations=False)
def failed_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Tells the address in the setting `alert_webhook` of each failed run, as chat services take it."""
    return report_failure(
        get_settings(),
        job=context.dagster_run.job_name,
        run_id=context.dagster_run.run_id,
        error=context.failure_event.message or "",
    )


def report_failure(settings: Settings, *, job: str, run_id: str, error: str) -> dg.SkipReason | None:
    """Send a failed run to the webhook. Raises httpx.HTTPError where it isn't taken: it is sent again."""
    if settings.alert_webhook is None:
        return dg.SkipReason("the setting alert_webhook (SECURETAG_ALERT_WEBHOOK) names no address")
    text = f"Securetag: job {job} failed (run {run_id}). {error[:MAX_ERROR]}"
    body = {"text": text, "job": job, "run_id": run_id, "error": error[:MAX_ERROR]}
    httpx.post(settings.alert_webhook.get_secret_value(), json=body, timeout=WEBHOOK_S).raise_for_status()
    return None


SENSORS = [
    new_tool_executions,
    new_feedback,
    erasure_requests,
    changed_documents,
    runpod_reaper,
    failed_runs,
]
