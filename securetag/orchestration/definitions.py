"""What the Dagster UI shows; `securetag up` serves it."""

from __future__ import annotations

import dagster as dg

from securetag.assets.dataset import harvest, release, releases
from securetag.assets.model import adapter, evaluation, published_model
from securetag.assets.resources import settings_resource
from securetag.assets.sources import records_assets, records_key
from securetag.extractors.catalog import list_default_sources
from securetag.orchestration.console import console
from securetag.orchestration.executors import choose_executor
from securetag.orchestration.operations import erase, rollback
from securetag.orchestration.sensors import SENSORS
from securetag.settings import get_settings

#: A source that isn't in reach by the present settings (no mirror, no network) is an asset all the same, but
#: not part of a job: it would fail, and with it everything after it.
sources = dg.AssetSelection.assets(*(records_key(name) for name in list_default_sources(get_settings())))
dataset = dg.AssetSelection.assets(harvest, release)
training = dg.AssetSelection.assets(adapter, evaluation)
publication = dg.AssetSelection.assets(published_model)

defs = dg.Definitions(
    assets=[*records_assets(), harvest, release, releases, adapter, evaluation, published_model],
    jobs=[
        dg.define_asset_job(
            "refresh_sources",
            sources,
            description="Extract every source in reach; one that hasn't changed since is left as it is.",
        ),
        dg.define_asset_job(
            "build_release",
            dataset,
            description="Harvest consented verdicts; build a release from them and the Records on disk.",
        ),
        dg.define_asset_job(
            "train_and_evaluate",
            training,
            description="Fine-tune on a release, and compare the candidate with its base. Publishes nothing.",
        ),
        dg.define_asset_job(
            "publish",
            publication,
            description="Publish the candidate that was evaluated last, if the gate let it through.",
        ),
        dg.define_asset_job(
            "close_the_loop",
            sources | dataset | training | publication,
            description="All in one run: sources, harvest, release, training, evaluation, gate, publication.",
        ),
        rollback,
        erase,
    ],
    sensors=SENSORS,
    resources={"settings": settings_resource},
    loggers={"console": console},
    executor=choose_executor(get_settings()),
)
