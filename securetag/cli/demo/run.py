"""Run the demo: services, first scan, feedback, the loop as one Dagster job, second scan.

No stage is implemented here. Scans go through the api as a user's would, and the offline half is the
Dagster job that the UI shows.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

import msgspec

from securetag.cli.client import connect
from securetag.cli.demo import home, loop
from securetag.cli.demo.meter import Meter
from securetag.cli.demo.outcome import ScanOutcome, compare_scan
from securetag.cli.demo.progress import say
from securetag.cli.demo.report import Recorder, Report
from securetag.cli.demo.result import DemoResult
from securetag.cli.demo.shop import SHOP, TRUTH, list_held_out_files
from securetag.cli.demo.sizes import SIZES
from securetag.cli.scan.packing import pack
from securetag.cli.services.platform import (
    USER_SCOPES,
    WORKER_SCOPES,
    Platform,
    Tenant,
    make_tenant,
    register_base_model,
    remember,
    required_packages,
)
from securetag.cli.services.supervise import Services
from securetag.client.api import ApiClient
from securetag.errors import NotFoundError, SecuretagError
from securetag.settings import Settings, get_settings
from securetag.system.extras import require_packages
from securetag.wire.feedback import FeedbackBody

#: Packages of the offline half, one of each extra.
OFFLINE_PACKAGES = ["lxml", "pyarrow", "rensa", "torch", "trl", "gguf", "scipy", "matplotlib"]
#: Seconds for one scan of the shop, triage included.
SCAN_S = 900.0


def run_demo(size_name: str) -> DemoResult:
    """Run the demo of one size (`SIZES`) and return its results.

    Its state is below `<home>/demo` and replaces that of the last demo.
    """
    if not TRUTH.is_file():
        raise NotFoundError(
            f"the demo's application is not at {SHOP}",
            hint="Install the package again: the shop is a part of it.",
        )
    require_packages([*required_packages(get_settings(), with_dagster=True), *OFFLINE_PACKAGES])
    with home.create_home() as settings:
        return _run(settings, size_name)


def _run(settings: Settings, size_name: str) -> DemoResult:
    size = SIZES[size_name]
    meter = Meter()
    report = Report(size_name)
    recorder = Recorder(report, settings.home / "report.json", meter)
    environment = {
        "SECURETAG_HOME": str(settings.home),
        "SECURETAG_DATA": str(settings.data),
        "DATABASE_URL": "",
        "OLLAMA_HOST": "",
    }
    try:
        with Services(settings.home, environment) as services:
            platform, demo, other = _start_services(recorder, settings, services)
            with connect(platform.api_url, demo.key) as client:
                before = _scan(recorder, client, "first scan")
                _feedback(recorder, client, before, platform.api_url, other)
                materialised = loop.run_loop(recorder, settings, size, other_tenant=str(other.id))
                after = _scan(recorder, client, "second scan")
            foreign = loop.score_foreign_code(recorder, settings, materialised)
            say("stopping the services …")
    finally:
        meter.close()
    return DemoResult(settings.home, report, before, after, materialised, foreign)


def _start_services(
    recorder: Recorder, settings: Settings, services: Services
) -> tuple[Platform, Tenant, Tenant]:
    platform = Platform(settings, services)
    with recorder.stage("database") as facts:
        say("PostgreSQL from a wheel, schema, roles, two tenants …")
        platform.postgres()
        facts["revision"] = platform.migrate()
        operator = make_tenant(settings, "operator", WORKER_SCOPES)
        demo = make_tenant(settings, "bodega", [*USER_SCOPES, "admin"])
        other = make_tenant(settings, "no-consent", [*USER_SCOPES, "admin"])
        # For a later `securetag up` in this home, and for what is scanned there.
        remember(settings, "worker-key", operator.key)
        remember(settings, "local-key", demo.key)
    with recorder.stage("serving the base model") as facts:
        say("the embedded model as `securetag-base`, behind llama.cpp's server …")
        facts["model_id"] = register_base_model(settings)
        platform.runtime()
    with recorder.stage("api and worker") as facts:
        facts["url"] = platform.api(0)
        platform.worker(operator.key)
        say(f"api at {facts['url']}, one worker")
    return platform, demo, other


def _scan(recorder: Recorder, client: ApiClient, name: str) -> ScanOutcome:
    with recorder.stage(name) as facts, tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "bodega.zip"
        facts["files"] = pack(SHOP, archive).files
        task_id = client.upload(archive, project="bodega").task_id
        say(f"{name}: {facts['files']} files uploaded")
        scan = client.wait(task_id, timeout_s=SCAN_S, progress=lambda stage: say(f"  {stage}"))
        if scan.state != "completed":
            raise SecuretagError(f"the {name} ended as {scan.state}: {scan.reason}")
        outcome = compare_scan(client.scan_findings(task_id), TRUTH)
        items = outcome.items
        facts.update(
            findings=len(items),
            verdicts=dict(outcome.count_verdicts()),
            alias=next((item.verdict.alias for item in items if item.verdict), ""),
            model_id=next((item.verdict.model_id for item in items if item.verdict), ""),
            recall=outcome.accuracy.claimed.recall,
            precision=outcome.accuracy.claimed.precision,
            by_class={cwe: msgspec.to_builtins(s) for cwe, s in outcome.accuracy.by_class.items()},
            misses=[f"{row.id} {row.cwe} {row.path} {row.scope}" for row in outcome.accuracy.misses],
            triage={
                f"{truth} called {decision}": n
                for (truth, decision), n in sorted(outcome.count_triage().items())
            },
        )
        return outcome


def _feedback(recorder: Recorder, client: ApiClient, scan: ScanOutcome, url: str, other: Tenant) -> None:
    """Send verdicts scripted from the ground truth, and those of a tenant that never consents.

    Findings of half of the files get none: see `list_held_out_files`.
    """
    with recorder.stage("feedback and consent") as facts:
        client.set_consent(True)
        held_out = list_held_out_files()
        facts["scripted verdicts"] = _send_verdicts(client, scan, held_out)
        facts["files without verdicts"] = sorted(held_out)
        with connect(url, other.key) as stranger, tempfile.TemporaryDirectory() as folder:
            part = Path(folder) / "part"
            part.mkdir()
            paths = sorted({row.path for row in scan.accuracy.matched.values()})[:1]
            for path in paths:
                (part / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(SHOP / path, part / path)
            pack(part, Path(folder) / "part.zip")
            task_id = stranger.upload(Path(folder) / "part.zip", project="part-of-bodega").task_id
            stranger.wait(task_id, timeout_s=SCAN_S)
            theirs = compare_scan(stranger.scan_findings(task_id), TRUTH)
            facts["verdicts of the tenant without consent"] = _send_verdicts(stranger, theirs)
        say(f"feedback: {facts['scripted verdicts']} verdicts, scripted from the ground truth")


def _send_verdicts(client: ApiClient, scan: ScanOutcome, held_out: Collection[str] = ()) -> int:
    """Return how many verdicts were sent, one for each finding whose truth is known."""
    judged = {index: row for index, row in scan.accuracy.matched.items() if row.path not in held_out}
    for index, row in judged.items():
        item = scan.items[index]
        feedback = FeedbackBody(
            occurrence_id=item.occurrence.id,
            verdict="true_positive" if row.is_vulnerable else "false_positive",
            comment=row.why_en,
            saw_model=item.verdict is not None,
            source="script",
        )
        client.add_feedback(item.id, feedback)
    return len(judged)
