"""The offline half of the demo: the Dagster job `loop`, in this process, stage by stage."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from securetag.cli.demo import summary
from securetag.cli.demo.report import Recorder
from securetag.cli.demo.sizes import Size
from securetag.errors import SecuretagError
from securetag.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

#: Seconds that the runtime gets to serve a newly published model.
SWITCH_S = 60.0
#: Seed of everything that the demo samples.
SEED = 7


def run(recorder: Recorder, settings: Settings, size: Size, *, other_tenant: str) -> None:
    """Materialise every asset of the loop; a rejection by the gate is an outcome, not an error.

    Raises SecuretagError when a stage fails for any other reason, or when the tenant that didn't
    consent has contributed anything.
    """
    from securetag.assets.sources import records_key
    from securetag.extractors.catalog import list_default_sources
    from securetag.orchestration.instance import prepare
    from securetag.pipeline.harvest import read_harvest

    os.environ["DAGSTER_HOME"] = str(prepare(settings))
    sources = list_default_sources(settings)
    with recorder.stage("sources") as facts:
        summary.say(f"sources: {', '.join(sources)} …")
        for name in sources:
            found = _materialise(list(records_key(name).path), size)
            facts[name] = {"records": found["dagster/row_count"], "licence": found["licence"]}
    with recorder.stage("harvest") as facts:
        summary.say("harvest of consented, scrubbed verdicts …")
        facts.update(_plain(_materialise(["harvest"], size)))
        theirs = [r for r in read_harvest(Path(facts["path"])) if r.origin.tenant_id == other_tenant]
        facts["rows of the tenant without consent"] = len(theirs)
        if theirs:
            raise SecuretagError(f"{len(theirs)} verdicts of a tenant that never consented were harvested")
    with recorder.stage("release") as facts:
        summary.say("release …")
        facts.update(_plain(_materialise(["release"], size)))
    with recorder.stage("training, merge, GGUF") as facts:
        summary.say("training …")
        facts.update(_plain(_materialise(["adapter"], size)))
    with recorder.stage("evaluation, gate, publish") as facts:
        summary.say("evaluation of base and candidate, gate …")
        facts.update(_evaluate_and_publish(size, settings))
        recorder.report.published = bool(facts["published"])
        recorder.report.reasons = list(facts["reasons"])


def _evaluate_and_publish(size: Size, settings: Settings) -> dict[str, Any]:
    """Return one run of both assets; where the gate rejects, the run ends well and publishing is skipped."""
    from securetag.pipeline.evaluate import latest_evaluation

    result = _execute([["evaluation"], ["published_model"]], size)
    if not result.success:
        _raise(result)
    materialised = _metadata(result)
    found = latest_evaluation(str(materialised["evaluation"]["model_id"]), settings)
    published = "published_model" in materialised
    if published != found.decision.passed:
        _raise(result)
    if published:
        _wait_for(found.model_id, settings)
    figures = {
        suite: {
            metric: {
                "n": cell.n,
                "base": cell.base,
                "candidate": cell.candidate,
                "low": cell.low,
                "high": cell.high,
                "p": cell.p,
                "majority": cell.majority,
            }
            for metric, cell in compared.metrics.items()
        }
        for suite, compared in found.comparison.suites.items()
    }
    return {
        "model_id": found.model_id,
        "base_id": found.base_id,
        "published": published,
        "reasons": found.decision.reasons,
        "figures": figures,
        "folder": found.folder,
    }


def _wait_for(model_id: str, settings: Settings) -> None:
    """Wait until the runtime serves what was just published: the worker asks it, not the registry."""
    from securetag.errors import ModelUnavailableError
    from securetag.serving.client import connect

    deadline = time.monotonic() + SWITCH_S
    client = connect(settings)
    try:
        while True:
            try:
                if client.resolve().model_id == model_id:
                    return
            except ModelUnavailableError:
                pass  # It restarts with the new model; what counts is that it is back in time.
            if time.monotonic() > deadline:
                raise SecuretagError(
                    f"the runtime doesn't serve the published model after {SWITCH_S:.0f} s",
                    hint=f"See {settings.home / 'logs' / 'runtime.log'}",
                )
            time.sleep(0.5)
    finally:
        client.close()


def _materialise(key: list[str], size: Size) -> dict[str, Any]:
    """Metadata of one asset, materialised now. Raises SecuretagError when it fails."""
    result = _execute([key], size)
    if not result.success:
        _raise(result)
    return _metadata(result)["/".join(key)]


def _execute(keys: Sequence[list[str]], size: Size) -> dg.ExecuteInProcessResult:
    import dagster as dg

    from securetag.orchestration.definitions import defs

    ops = {
        "release": {"seed": SEED, "composed": size.composed, "knowledge": size.knowledge},
        "adapter": {"overrides": size.overrides(), "timeout_s": size.training_timeout_s},
        "evaluation": {"per_axis": size.evaluated_per_axis},
    }
    chosen = {key[-1] for key in keys}
    config = {
        "ops": {name: {"config": options} for name, options in ops.items() if name in chosen},
        # Named, or Dagster would print every event of its own as well.
        "loggers": {"console": {}},
    }
    with dg.DagsterInstance.get() as instance:
        return defs.resolve_job_def("loop").execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(key) for key in keys],
            run_config=config,
            raise_on_error=False,
        )


def _metadata(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Asset → metadata, of every asset that the run materialised."""
    found: dict[str, dict[str, Any]] = {}
    for event in result.get_asset_materialization_events():
        made = event.step_materialization_data.materialization
        found[made.asset_key.to_user_string()] = {name: value.value for name, value in made.metadata.items()}
    return found


def _raise(result: dg.ExecuteInProcessResult) -> None:
    """Say which step failed and why."""
    for event in result.all_node_events:
        if event.is_step_failure and (error := event.step_failure_data.error):
            cause = error.cause or error
            raise SecuretagError(
                f"{event.step_key}: {cause.message.strip()}", hint="The log above has the rest."
            )
    raise SecuretagError("a run of the loop failed without saying why")


def _plain(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata without pictures: what a JSON file should hold."""
    return {
        name.removeprefix("dagster/"): value
        for name, value in metadata.items()
        if not (isinstance(value, str) and len(value) > 5_000)
    }
