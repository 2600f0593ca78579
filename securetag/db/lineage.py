"""Published models and what trained them, written down for the api, which reads neither registry nor release.

Runs as `securetag_harvest`: what is recorded of a tenant is recorded while its consent is in force.
Synchronous, for the pipeline; the services don't import it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, func, text
from sqlalchemy.dialects.postgresql import insert
from uuid_utils.compat import uuid7

from securetag.db.engine import HARVEST, create_sync_engine, translate_errors
from securetag.db.models import PublishedModel
from securetag.records import Gate, JsonObject
from securetag.settings import Settings


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What is recorded of a published model."""

    model_id: str
    #: The alias under which it was published last.
    name: str
    file_sha256: str
    base: str
    #: Digest of the release that it was trained on.
    release: str | None
    gate: Gate
    #: As `securetag.evaluation.gate.report` returns it; empty where the evaluation is gone.
    report: JsonObject
    published_at: datetime
    #: None: as it was recorded before.
    published_by: str | None


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of a release rest on a finding."""

    finding_id: str
    tenant_id: str
    split: str
    examples: int


#: Findings of another installation, and of tenants whose consent has ended, are passed over.
_RECORD_USE = text("""
INSERT INTO securetag.training_use (id, tenant_id, finding_id, release, split, examples)
SELECT CAST(:id AS uuid), finding.tenant_id, finding.id, :release, :split, :examples
FROM securetag.finding
WHERE finding.id = CAST(:finding_id AS uuid) AND finding.tenant_id = CAST(:tenant_id AS uuid)
ON CONFLICT (finding_id, release, split) DO UPDATE SET examples = excluded.examples
""")


def record_publications(source: Settings | str, publications: Iterable[Publication]) -> int:
    """Write down published models, over what was recorded of them before; return how many.

    `source`: settings, or a DSN. Raises DatabaseUnavailableError, SettingsError.
    """
    rows = [msgspec.structs.asdict(publication) for publication in publications]
    engine = create_sync_engine(source, HARVEST)
    try:
        with translate_errors(), engine.begin() as connection:
            for row in rows:
                by = row.pop("published_by")
                new = insert(PublishedModel).values(**row, published_by=by or "")
                kept = {"model_id"} if row["report"] else {"model_id", "report"}
                changed: dict[str, ColumnElement[object]] = {
                    name: new.excluded[name] for name in row if name not in kept
                }
                changed["published_by"] = func.coalesce(by, PublishedModel.published_by)
                connection.execute(new.on_conflict_do_update(index_elements=["model_id"], set_=changed))
    finally:
        engine.dispose()
    return len(rows)


def record_uses(source: Settings | str, release: str, uses: Iterable[Use]) -> int:
    """Write down which findings are in a release, named by its digest; return how many rows say so.

    Raises DatabaseUnavailableError, SettingsError.
    """
    rows = [{**msgspec.structs.asdict(use), "id": uuid7(), "release": release} for use in uses]
    if not rows:
        return 0
    engine = create_sync_engine(source, HARVEST)
    try:
        with translate_errors(), engine.begin() as connection:
            return sum(connection.execute(_RECORD_USE, row).rowcount for row in rows)
    finally:
        engine.dispose()
