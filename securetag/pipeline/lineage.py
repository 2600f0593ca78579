"""Registry and releases → the tables that tell a tenant what came of its findings.

The registry and `lineage.parquet` are the truth. What is recorded here can be recorded again at any time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from securetag.datasets.releases import lineage
from securetag.datasets.releases.release import read_manifest
from securetag.errors import DatabaseUnavailableError, NotFoundError, SettingsError
from securetag.evaluation import gate
from securetag.pipeline.evaluate import Evaluation, latest_evaluation
from securetag.pipeline.trace import list_releases
from securetag.records import JsonObject
from securetag.serving.registry import Alias, Registry
from securetag.settings import Settings

if TYPE_CHECKING:
    from securetag.db.lineage import Publication, Use

log = logging.getLogger(__name__)


class LineageSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded."""

    #: Published models.
    models: int
    #: Release → (finding, split) pairs of it.
    findings: dict[str, int]


def record_lineage(settings: Settings) -> LineageSummary:
    """Record every published model, and which findings are in every release here.

    Raises DatabaseUnavailableError, SettingsError, and ReleaseError for a release that can't be read.
    """
    from securetag.db.lineage import record_publications

    return LineageSummary(
        models=record_publications(settings, _list_publications(settings)),
        findings={folder.name: record_release(folder, settings) for folder in list_releases(settings)},
    )


def record_model(evaluation: Evaluation, settings: Settings, *, by: str) -> None:
    """Record a model that was just published. Raises DatabaseUnavailableError, SettingsError."""
    from securetag.db.lineage import record_publications

    record_publications(
        settings,
        [
            msgspec.structs.replace(row, report=_describe(evaluation), published_by=by)
            for row in _list_publications(settings)
            if row.model_id == evaluation.model_id
        ],
    )


def record_release(folder: Path, settings: Settings) -> int:
    """Record which findings are in a release; return how many (finding, split) pairs were.

    Raises DatabaseUnavailableError, SettingsError, ReleaseError.
    """
    uses = list(_list_uses(folder))
    if not uses:
        return 0
    from securetag.db.lineage import record_uses

    return record_uses(settings, read_manifest(folder).digest, uses)


def record_if_possible(record: Callable[[], object]) -> None:
    """Record something that is done already: where no database can be asked, say so and go on."""
    try:
        record()
    except SettingsError as error:
        log.info("the lineage isn't recorded: %s", error)
    except DatabaseUnavailableError as error:
        log.warning("the lineage isn't recorded: %s. `securetag model sync` does that later.", error)


def _list_publications(settings: Settings) -> Iterator[Publication]:
    from securetag.db.lineage import Publication

    registry = Registry(settings.models_dir)
    names = _last_publications(registry.aliases())
    for entry in registry.list():
        if entry.gate_pass is None or entry.model_id not in names:
            continue
        name, at = names[entry.model_id]
        yield Publication(
            model_id=entry.model_id,
            name=name,
            file_sha256=entry.file_sha256,
            base=entry.base,
            release=entry.release,
            gate=entry.gate_pass.gate,
            report=_read_report(entry.model_id, settings),
            published_at=datetime.fromisoformat(at),
            published_by=None,
        )


def _last_publications(aliases: dict[str, Alias]) -> dict[str, tuple[str, str]]:
    """Return model → (alias, time) of its last publication."""
    changes = sorted(
        (change.at, name, change.model_id)
        for name, alias in aliases.items()
        for change in alias.log
        if change.action == "publish"
    )
    return {model_id: (name, at) for at, name, model_id in changes}


def _read_report(model_id: str, settings: Settings) -> JsonObject:
    """Return the report by which a model was let through; empty where only a later rejection is left."""
    try:
        evaluation = latest_evaluation(model_id, settings)
    except NotFoundError:
        return {}
    return _describe(evaluation) if evaluation.decision.passed else {}


def _describe(evaluation: Evaluation) -> JsonObject:
    report = gate.report(evaluation.comparison, evaluation.decision)
    return {**report, "release": evaluation.release, "base_id": evaluation.base_id}


def _list_uses(folder: Path) -> Iterator[Use]:
    import pyarrow.compute as pc

    from securetag.db.lineage import Use

    table = lineage.read_lineage(folder)
    of_tenants = table.filter(pc.and_(table["finding_id"].is_valid(), table["tenant_id"].is_valid()))
    counted = of_tenants.group_by(["finding_id", "tenant_id", "split"])
    for row in counted.aggregate([("example_id", "count_distinct")]).to_pylist():
        yield Use(
            finding_id=row["finding_id"],
            tenant_id=row["tenant_id"],
            split=row["split"],
            examples=row["example_id_count_distinct"],
        )
