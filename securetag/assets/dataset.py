"""`harvest` and `release`."""

# No `from __future__ import annotations` here: Dagster reads the annotations of its functions.

from pathlib import Path

import dagster as dg
import msgspec

from securetag.assets import checks
from securetag.assets.config import ReleaseConfig
from securetag.assets.metadata import counts, picture, table
from securetag.assets.sources import records_key
from securetag.extractors import catalog
from securetag.settings import get_settings


@dg.asset(group_name="dataset", kinds={"postgres"})
def harvest() -> dg.MaterializeResult:
    """Findings and verdicts of consenting tenants, scrubbed of secrets before anything is written."""
    from securetag.pipeline.harvest import harvest as run

    found = run(get_settings())
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": found.rows,
            "tenants": len(found.tenants),
            "tenant ids": found.tenants,
            "labels": counts(found.by_label, name="label"),
            "scripted": found.scripted,
            "path": dg.MetadataValue.path(found.path),
        }
    )


@dg.asset(
    group_name="dataset",
    kinds={"jsonl"},
    deps=[harvest, *(records_key(name) for name in catalog.load(get_settings().catalog))],
    check_specs=checks.specs("release"),
)
def release(context: dg.AssetExecutionContext, config: ReleaseConfig) -> dg.MaterializeResult:
    """An immutable, content-addressed set of examples: the same inputs give the same digest."""
    from securetag.datasets.build import BuildParams
    from securetag.datasets.releases.checks import check
    from securetag.datasets.releases.plots import ALT
    from securetag.datasets.releases.release import read
    from securetag.pipeline.release import build_release, suites_of

    params = msgspec.convert(config.model_dump(), BuildParams)
    settings = get_settings()
    found = build_release(params, settings, progress=context.log.info)
    rows = read(Path(found.path))
    sample = [
        (e.task, e.label or "", e.source, e.messages[-2].content, e.messages[-1].content)
        for e in rows.train[:: max(1, len(rows.train) // 6)][:6]
    ]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": found.rows,
            "digest": found.digest,
            "splits": counts(found.splits, name="split"),
            "tasks": counts(found.by_task, name="task"),
            "sources": counts(found.by_source, name="source"),
            "licences": counts(found.by_licence, name="licence"),
            "dropped": counts(found.dropped, name="reason"),
            "sample": table(["task", "label", "source", "asked", "answer"], sample),
            **{
                name.removesuffix(".png"): picture((Path(found.path) / name).read_bytes(), alt=alt)
                for name, alt in ALT.items()
                if (Path(found.path) / name).is_file()  # a release of an older version has none
            },
            "cpu_s": found.cpu_s,
            "path": dg.MetadataValue.path(found.path),
        },
        check_results=checks.results(
            check(
                [*rows.train, *rows.validation, *rows.test],
                purpose=params.purpose,
                suites=suites_of(settings),
            )
        ),
    )
