"""What the Dagster UI shows; `securetag up` serves it."""

from __future__ import annotations

import dagster as dg

from securetag.assets.dataset import harvest, release
from securetag.assets.model import adapter, evaluation, published_model
from securetag.assets.sources import records_assets, records_key
from securetag.extractors.catalog import list_default_sources
from securetag.orchestration.console import console
from securetag.orchestration.sensors import new_tool_executions
from securetag.settings import get_settings

stages = [harvest, release, adapter, evaluation, published_model]
#: Everything, from sources to the published model, in one run. A source that isn't in reach by the
#: present settings (no mirror, no network) is an asset all the same, but not part of this job: it would
#: fail, and with it everything after it.
loop = dg.define_asset_job(
    "loop",
    selection=dg.AssetSelection.assets(
        *(records_key(name) for name in list_default_sources(get_settings())), *stages
    ),
)
#: What the sensor starts: a harvest, and the release that it makes possible.
refresh = dg.define_asset_job("refresh", selection=dg.AssetSelection.assets(harvest, release))

defs = dg.Definitions(
    assets=[*records_assets(), *stages],
    jobs=[loop, refresh],
    sensors=[new_tool_executions],
    loggers={"console": console},
    # One machine, two cores: steps of a run share them anyway, and a process a step costs 3 s each.
    executor=dg.in_process_executor,
)
