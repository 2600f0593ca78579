"""`harvest` and `release`, and one partition of `releases` for each that was built."""

# No `from __future__ import annotations` here: Dagster reads the annotations of its functions.

from pathlib import Path

import dagster as dg
import msgspec

from securetag.assets import checks
from securetag.assets.config import ReleaseConfig
from securetag.assets.metadata import counts, picture, texts
from securetag.assets.sources import Automation, records_key
from securetag.extractors import catalog
from securetag.settings import Settings, get_settings
from securetag.system.version import package_version

#: A release is added when it is built: its name is the beginning of its digest.
RELEASES_KEY = dg.AssetKey("releases")
RELEASES = dg.DynamicPartitionsDefinition(name="releases")
#: When a new release is built by itself, in UTC, if anything that it is made of has changed.
RELEASE_CRON = "17 6 * * 1"

_MONDAY: Automation = dg.AutomationCondition.cron_tick_passed(RELEASE_CRON)


@dg.asset(group_name="dataset", kinds={"postgres", "jsonl"}, owners=["team:data"])
def harvest(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult:
    """Findings and verdicts of consenting tenants, scrubbed of secrets before anything is written."""
    from securetag.pipeline.harvest import harvest as run

    harvest_summary = run(settings)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": harvest_summary.rows,
            "tenants": len(harvest_summary.tenants),
            "tenant ids": harvest_summary.tenants,
            "labels": counts(harvest_summary.by_label, name="label"),
            "scripted": harvest_summary.scripted,
            "path": dg.MetadataValue.path(harvest_summary.path),
        }
    )


@dg.asset(
    group_name="dataset",
    kinds={"jsonl", "parquet", "huggingface"},
    owners=["team:data"],
    code_version=package_version(),
    automation_condition=(
        _MONDAY.since_last_handled()
        & dg.AutomationCondition.any_deps_updated().since_last_handled()
        & ~dg.AutomationCondition.in_progress()
    ),
    deps=[harvest, *(records_key(name) for name in catalog.load(get_settings().catalog))],
    check_specs=checks.specs("release"),
)
def release(
    context: dg.AssetExecutionContext, config: ReleaseConfig, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    """An immutable, content-addressed set of examples: the same inputs give the same digest."""
    from securetag.datasets.build import BuildParams
    from securetag.datasets.drops import describe_reason
    from securetag.datasets.releases.checks import run_checks
    from securetag.datasets.releases.plots import ALT
    from securetag.datasets.releases.release import read_release
    from securetag.pipeline.release import build_release, read_suites

    params = msgspec.convert(config.model_dump(mode="json"), BuildParams)
    summary = build_release(params, settings, progress=context.log.info)
    rows = read_release(Path(summary.path))
    sample = [
        (e.task, e.label or "", e.source, f"{e.messages[-2].content}\n\n{e.messages[-1].content}")
        for e in rows.train[:: max(1, len(rows.train) // 6)][:6]
    ]
    name = summary.digest[:12]
    context.instance.add_dynamic_partitions("releases", [name])
    context.log_event(
        dg.AssetMaterialization(
            RELEASES_KEY,
            partition=name,
            metadata={
                "digest": summary.digest,
                "dagster/row_count": summary.rows,
                "path": dg.MetadataValue.path(summary.path),
            },
        )
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": summary.rows,
            "digest": summary.digest,
            "splits": counts(summary.splits, name="split"),
            "tasks": counts(summary.by_task, name="task"),
            "sources": counts(summary.by_source, name="source"),
            "licences": counts(summary.by_licence, name="licence"),
            "dropped": counts({describe_reason(key): n for key, n in summary.dropped.items()}, name="reason"),
            "sample": texts(sample),
            **{
                name.removesuffix(".png"): picture((Path(summary.path) / name).read_bytes(), alt=alt)
                for name, alt in ALT.items()
                if (Path(summary.path) / name).is_file()  # a release of an older version has none
            },
            "cpu_s": summary.cpu_s,
            "path": dg.MetadataValue.path(summary.path),
        },
        check_results=checks.results(
            run_checks(
                [*rows.train, *rows.validation, *rows.test],
                purpose=params.purpose,
                suites=read_suites(settings),
            )
        ),
    )


#: What was ever built, by digest: one that isn't the newest is named in the configuration of `adapter`.
releases = dg.AssetSpec(
    RELEASES_KEY,
    deps=[release],
    group_name="dataset",
    kinds={"jsonl"},
    owners=["team:data"],
    partitions_def=RELEASES,
    description="Every release that was built, a partition each, named by the first 12 digits of its digest.",
)
