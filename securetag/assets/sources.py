"""One asset a source, `records/<name>`, in a group of its publisher and as fresh as that publishes."""

# No `from __future__ import annotations` here: Dagster reads the annotations of its functions.

import re
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import timedelta
from itertools import islice
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import dagster as dg

from securetag.assets.metadata import counts, table, texts
from securetag.assets.progress import Progress
from securetag.errors import UnavailableError
from securetag.extractors import catalog
from securetag.extractors.catalog import Source
from securetag.extractors.extract import digest_code
from securetag.extractors.record_files import read_records
from securetag.pipeline.extract import extract
from securetag.settings import Settings, get_settings

#: Share of a source's items that may be unreadable before its check fails.
FAILURES_ALLOWED = 0.01
#: Runs that may fetch at a time is the limit of this pool: publishers' servers are asked politely.
FETCH_POOL = "fetch"
#: A publisher that is away is asked again after a minute, and after two more.
RETRIES, RETRY_AFTER_S = 2, 60
#: When a source is looked at again, in UTC: a little later than its publisher's day, week or month ends.
#: One without a rhythm is looked at every month, since an unchanged file costs one conditional request.
CRON = {
    "daily": "17 3 * * *",
    "weekly": "17 4 * * 1",
    "monthly": "17 5 2 * *",
    "quarterly": "17 5 2 1,4,7,10 *",
    "yearly": "17 5 2 1 *",
    "irregular": "17 5 2 * *",
}
#: Age at which a source's Records are no longer fresh: two of its publisher's periods.
FRESH_FOR = {
    "daily": timedelta(days=2),
    "weekly": timedelta(weeks=2),
    "monthly": timedelta(days=62),
    "quarterly": timedelta(days=184),
    "yearly": timedelta(days=732),
    "irregular": timedelta(days=62),
}
#: The group of the publishers that have one source each.
OTHER_PUBLISHERS = "other_publishers"
Automation = dg.AutomationCondition[dg.AssetKey | dg.AssetCheckKey]
#: What Dagster's UI has a picture for, by the end of a file's name.
_KINDS = {"xml": "xml", "json": "json", "yaml": "yaml", "yml": "yaml", "csv": "csv", "pdf": "pdf"}
_KINDS |= {"md": "markdown", "html": "html", "htm": "html", "parquet": "parquet"}


def records_key(name: str) -> dg.AssetKey:
    """`mitre-cwe-4.14` → records/mitre_cwe_4_14 (asset keys hold neither hyphens nor dots)."""
    return dg.AssetKey(["records", name.replace("-", "_").replace(".", "_")])


def name_group(publisher: str) -> str:
    """Return the group of a publisher's sources: `The MITRE Corporation` → `the_mitre_corporation`."""
    return re.sub(r"[^a-z0-9]+", "_", publisher.lower()).strip("_") or "unnamed"


def group_publishers(publishers: Sequence[str]) -> dict[str, str]:
    """Return the group of each publisher, from one entry of `publishers` for each source.

    Publishers of one source share a group: a group each made the graph three screens high.
    """
    counted = Counter(publishers)
    return {
        publisher: name_group(publisher) if number > 1 else OTHER_PUBLISHERS
        for publisher, number in counted.items()
    }


def name_kinds(source: Source) -> set[str]:
    """Return the formats that a source is read from, beside the two that its Records are written in."""
    names = [*source.mirror, *(urlsplit(method.url).path for method in source.network)]
    endings = {PurePosixPath(name.removesuffix(".gz")).suffix.lstrip(".").lower() for name in names}
    # Dagster takes three kinds an asset.
    return {"jsonl", *sorted({_KINDS[ending] for ending in endings if ending in _KINDS})[:2]}


def automate(source: Source, usable: Collection[str]) -> Automation | None:
    """Return when a source is extracted by itself; None: not in reach, or never published again.

    It does so only while the sensor `default_automation_condition_sensor` is on.
    """
    if source.name not in usable:
        return None
    if source.records:
        return dg.AutomationCondition.eager()
    return dg.AutomationCondition.on_cron(CRON[source.cadence]) if source.cadence in CRON else None


def records_asset(
    source: Source, usable: Collection[str], group: str = OTHER_PUBLISHERS
) -> dg.AssetsDefinition:
    """Return the asset that extracts one source of the catalog. `usable`: names of the sources in reach."""
    fresh_for = FRESH_FOR.get(source.cadence)

    @dg.asset(
        key=records_key(source.name),
        deps=[records_key(name) for name in source.records],
        group_name=group,
        description=f"{source.title}\n\n{source.publisher}, edition {source.edition}: {source.url}\n\n"
        f"License {source.licence}. Published {source.cadence}.",
        owners=["team:data"],
        kinds=name_kinds(source),
        tags={"tier": source.tier, "cadence": source.cadence, "reader": source.reader},
        code_version=digest_code()[:12],
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=fresh_for) if fresh_for else None,
        automation_condition=automate(source, usable),
        pool=FETCH_POOL,
        check_specs=[dg.AssetCheckSpec("readable", asset=records_key(source.name))],
    )
    def records(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        try:
            report, unchanged = extract(source.name, settings, Progress(context.log.info, lines=1))
        except UnavailableError as error:
            if not (source.network or source.web or source.published):
                raise
            wait = RETRY_AFTER_S * (context.retry_number + 1)
            raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=wait) from error
        path = settings.records_dir / f"{source.name}.jsonl"
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": report.records,
                "files": report.files,
                "unchanged": unchanged,
                "status": counts(report.by_status, name="status"),
                "dropped": counts(report.dropped, name="reason"),
                "sample": texts((r.key, r.title, r.text[:600]) for r in islice(read_records(path), 5)),
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
    """Return an asset for every source of the catalog."""
    settings = get_settings()
    usable = frozenset(catalog.list_default_sources(settings))
    sources = catalog.load(settings.catalog).values()
    groups = group_publishers([source.publisher for source in sources])
    return [records_asset(source, usable, groups[source.publisher]) for source in sources]
