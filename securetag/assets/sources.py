"""One asset a source: `records/<name>`."""

# No `from __future__ import annotations` here: Dagster reads the annotations of its functions.

from itertools import islice

import dagster as dg

from securetag.assets.metadata import counts, table
from securetag.assets.progress import Progress
from securetag.extractors import catalog
from securetag.extractors.catalog import Source
from securetag.extractors.record_files import read_records
from securetag.pipeline.extract import extract
from securetag.settings import get_settings

#: Share of a source's items that may be unreadable before its check fails.
FAILURES_ALLOWED = 0.01


def records_key(name: str) -> dg.AssetKey:
    """`mitre-cwe-4.14` → records/mitre_cwe_4_14 (asset keys hold neither hyphens nor dots)."""
    return dg.AssetKey(["records", name.replace("-", "_").replace(".", "_")])


def records_asset(source: Source) -> dg.AssetsDefinition:
    """The asset that extracts one source of the catalog."""

    @dg.asset(
        key=records_key(source.name),
        deps=[records_key(name) for name in source.records],
        group_name="sources",
        description=f"{source.publisher} · {source.dataset} · {source.edition}",
        kinds={"python", "parquet"},
        tags={"tier": str(source.tier)},
        check_specs=[dg.AssetCheckSpec("readable", asset=records_key(source.name))],
    )
    def records(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        settings = get_settings()
        report, unchanged = extract(source.name, settings, Progress(context.log.info, lines=1))
        path = settings.records_dir / f"{source.name}.jsonl"
        sample = [(r.key, r.title, r.text[:160]) for r in islice(read_records(path), 5)]
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": report.records,
                "files": report.files,
                "unchanged": unchanged,
                "status": counts(report.by_status, name="status"),
                "dropped": counts(report.dropped, name="reason"),
                "sample": table(["key", "title", "text"], sample),
                "licence": source.licence,
                "cpu_s": report.cpu_s,
                "path": dg.MetadataValue.path(path),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="readable",
                    passed=report.failed_share <= FAILURES_ALLOWED,
                    metadata={
                        "failed share": report.failed_share,
                        "failures": table(
                            ["file", "locator", "reason"],
                            [(f.file, f.locator, f.reason) for f in report.failures[:50]],
                        ),
                    },
                )
            ],
        )

    return records


def records_assets() -> list[dg.AssetsDefinition]:
    """An asset for every source of the catalog."""
    return [records_asset(source) for source in catalog.load(get_settings().catalog).values()]
