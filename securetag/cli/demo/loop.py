"""The offline half of the demo: the Dagster job `loop`, in this process, stage by stage."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from securetag.cli.demo.progress import say
from securetag.cli.demo.report import Recorder
from securetag.cli.demo.result import LoopResult
from securetag.cli.demo.sizes import Size
from securetag.datasets.releases.manifest import Manifest
from securetag.datasets.releases.release import read_manifest
from securetag.errors import SecuretagError
from securetag.pipeline.evaluate import Evaluation, latest_evaluation
from securetag.pipeline.external_suites import SuiteScores, score_suites
from securetag.pipeline.harvest import read_harvest
from securetag.records import JsonObject
from securetag.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

#: Seconds that the runtime gets to serve a newly published model.
SWITCH_S = 60.0
#: Seed of everything that the demo samples.
SEED = 7


def run_loop(recorder: Recorder, settings: Settings, size: Size, *, other_tenant: str) -> LoopResult:
    """Materialize every asset of the loop; a rejection by the gate is an outcome, not an error.

    Raises SecuretagError when a stage fails for any other reason, or when the tenant that didn't
    consent has contributed anything.
    """
    from securetag.assets.sources import records_key
    from securetag.extractors.catalog import list_default_sources
    from securetag.orchestration.instance import prepare

    os.environ["DAGSTER_HOME"] = str(prepare(settings))
    sources = list_default_sources(settings)
    with recorder.stage("sources") as facts:
        say(f"sources: {', '.join(sources)} …")
        for name in sources:
            metadata = _materialise(list(records_key(name).path), size)
            facts[name] = {"records": metadata["dagster/row_count"], "licence": metadata["licence"]}
    with recorder.stage("harvest") as facts:
        say("harvest of consented, scrubbed verdicts …")
        facts.update(_harvest(size, other_tenant))
    with recorder.stage("release") as facts:
        say("release …")
        release = Path(_materialise(["release"], size)["path"])
        manifest = read_manifest(release)
        facts.update(path=str(release), digest=manifest.digest, row_count=_count_rows(manifest))
        facts.update(manifest.counts)
    with recorder.stage("training, merge, GGUF") as facts:
        say("training …")
        adapter = _materialise(["adapter"], size)
        facts.update({name: adapter[name] for name in ("model_id", "metrics", "gguf", "path")})
    with recorder.stage("evaluation, gate, publish") as facts:
        say("evaluation of base and candidate, gate …")
        evaluation, published = _evaluate_and_publish(size, settings)
        facts.update(
            model_id=evaluation.model_id,
            base_id=evaluation.base_id,
            published=published,
            reasons=evaluation.decision.reasons,
            figures=evaluation.comparison.as_json(),
            folder=evaluation.folder,
        )
        recorder.report.published = published
        recorder.report.reasons = list(evaluation.decision.reasons)
    return LoopResult(release, manifest, evaluation, published)


def score_foreign_code(recorder: Recorder, settings: Settings, loop: LoopResult) -> list[SuiteScores]:
    """Ask the candidate about the suites of SECURETAG_EXTERNAL_SUITES; without it none are asked about.

    Raises InputError for a suite of another form, ModelUnavailableError where the candidate answers too few.
    """
    if settings.external_suites is None:
        return []
    with recorder.stage("code of others") as facts:
        say("the candidate on findings in code of others …")
        scores = list(score_suites(loop.release, [loop.evaluation.model_id], settings))
        facts["suites"] = {
            suite.name: {
                "candidate": msgspec.to_builtins([each.transfer for each in suite.models.values()]),
                "at its threshold": msgspec.to_builtins(list(suite.dismissals.values())),
                "word counts": msgspec.to_builtins(suite.word_counts),
            }
            for suite in scores
        }
    return scores


def _harvest(size: Size, other_tenant: str) -> JsonObject:
    """Harvest, and return its facts. Raises SecuretagError for a row of `other_tenant`."""
    path = Path(_materialise(["harvest"], size)["path"])
    rows = read_harvest(path)
    without_consent = [row for row in rows if row.origin.tenant_id == other_tenant]
    if without_consent:
        raise SecuretagError(
            f"{len(without_consent)} verdicts of a tenant that never consented were harvested"
        )
    return {
        "path": str(path),
        "row_count": len(rows),
        "tenants": len({row.origin.tenant_id for row in rows}),
        "labels": dict(Counter(row.label for row in rows)),
        "scripted": sum(row.scripted for row in rows),
        "rows of the tenant without consent": len(without_consent),
    }


def _count_rows(manifest: Manifest) -> int:
    return sum(manifest.counts["splits"].values())


def _evaluate_and_publish(size: Size, settings: Settings) -> tuple[Evaluation, bool]:
    """Run both assets at once and return (evaluation, published).

    Where the gate rejects, the run ends well and publishing is skipped.
    """
    result = _execute([["evaluation"], ["published_model"]], size)
    if not result.success:
        _raise(result)
    metadata = _metadata(result)
    evaluation = latest_evaluation(str(metadata["evaluation"]["model_id"]), settings)
    published = "published_model" in metadata
    if published != evaluation.decision.passed:
        _raise(result)
    if published:
        _wait_for(evaluation.model_id, settings)
    return evaluation, published


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


def _materialise(key: list[str], size: Size) -> JsonObject:
    """Materialize one asset and return its metadata. Raises SecuretagError when it fails."""
    result = _execute([key], size)
    if not result.success:
        _raise(result)
    return _metadata(result)["/".join(key)]


def _execute(keys: Sequence[list[str]], size: Size) -> dg.ExecuteInProcessResult:
    import dagster as dg

    from securetag.orchestration.definitions import defs

    ops = {
        "release": {"seed": SEED, **size.release()},
        "adapter": {"overrides": size.overrides(), "timeout_s": size.training_timeout_s},
        "evaluation": size.evaluation(),
    }
    chosen = {key[-1] for key in keys}
    config = {
        "ops": {name: {"config": options} for name, options in ops.items() if name in chosen},
        # Named, or Dagster would print every event of its own as well.
        "loggers": {"console": {}},
    }
    with dg.DagsterInstance.get() as instance:
        return defs.resolve_job_def("close_the_loop").execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(key) for key in keys],
            run_config=config,
            raise_on_error=False,
        )


def _metadata(result: dg.ExecuteInProcessResult) -> dict[str, JsonObject]:
    """Return the metadata of every asset that the run materialized, by asset."""
    metadata: dict[str, JsonObject] = {}
    for event in result.get_asset_materialization_events():
        made = event.step_materialization_data.materialization
        values = {name: value.value for name, value in made.metadata.items()}
        metadata[made.asset_key.to_user_string()] = values
    return metadata


def _raise(result: dg.ExecuteInProcessResult) -> None:
    """Say which step failed and why."""
    for event in result.all_node_events:
        if event.is_step_failure and (error := event.step_failure_data.error):
            cause = error.cause or error
            raise SecuretagError(
                f"{event.step_key}: {cause.message.strip()}", hint="The log above has the rest."
            )
    raise SecuretagError("a run of the loop failed without saying why")
