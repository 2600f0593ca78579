"""Findings and verdicts of consenting tenants → scrubbed verdicts on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from securetag.datasets.feedback.harvest import scrub_finding, to_verdict
from securetag.errors import DatabaseUnavailableError, SettingsError
from securetag.records import HarvestedVerdict, Origin
from securetag.settings import Settings
from securetag.system.files import PRIVATE, write_atomic

FILE = "harvest.jsonl"


class HarvestSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What one harvest brought in."""

    path: str
    rows: int
    #: Of the tenants whose consent stands; their ids stay in this file and in lineage.parquet.
    tenants: list[str]
    by_label: dict[str, int]
    #: Verdicts scripted from a ground truth rather than given by a person.
    scripted: int


def harvest(settings: Settings) -> HarvestSummary:
    """Read what consenting tenants let us read, scrub it, write `<data>/records/harvest.jsonl`.

    The file is replaced whole: a tenant that has withdrawn is gone from it the next time. Nothing is
    written before it is scrubbed. Raises DatabaseUnavailableError, SettingsError.
    """
    from securetag.db.harvest import harvest as consented_verdicts
    from securetag.db.harvest import list_oldest_findings

    verdicts = consented_verdicts(settings)
    judged = {row.project_id for row in verdicts}
    projects = {
        project: scrub_finding(finding).fingerprint
        for project, finding in list_oldest_findings(settings).items()
        if project in judged
    }
    rows = [
        to_verdict(
            finding=row.finding,
            label=row.label,
            saw_model=row.saw_model,
            model_decision=row.model_decision,
            scripted=row.scripted,
            reviewer=row.reviewer,
            origin=Origin(
                finding_id=str(row.finding_id), tenant_id=str(row.tenant_id), consent_id=str(row.consent_id)
            ),
            project=projects.get(row.project_id, ""),
            bulk=str(row.bulk_id or ""),
        )
        for row in verdicts
    ]
    rows.sort(key=lambda row: (row.record.id, row.reviewer))
    path = settings.records_dir / FILE
    write_harvest(path, rows)
    return HarvestSummary(
        path=str(path),
        rows=len(rows),
        tenants=sorted({row.origin.tenant_id for row in rows if row.origin.tenant_id}),
        by_label=dict(Counter(row.label for row in rows)),
        scripted=sum(row.scripted for row in rows),
    )


def list_ended_consents(harvested: Sequence[HarvestedVerdict], settings: Settings) -> frozenset[str]:
    """Return the consents of a harvest that have ended, by the database.

    A build asks, since a tenant may have withdrawn after the harvest. Where nothing was harvested
    nobody is asked. Raises DatabaseUnavailableError, SettingsError.
    """
    named = {verdict.origin.consent_id for verdict in harvested if verdict.origin.consent_id is not None}
    if not named:
        return frozenset()
    # A build without a harvest needs no database, nor its libraries.
    from securetag.db.harvest import list_active_consents

    try:
        return frozenset(named - list_active_consents(settings))
    except (DatabaseUnavailableError, SettingsError) as error:
        raise type(error)(
            f"whether {len(named)} harvested consents are still given can't be asked: {error}",
            hint="Start `securetag up` or set DATABASE_URL; `--no-harvest` builds without the harvest.",
        ) from error


def write_harvest(path: Path, rows: Sequence[HarvestedVerdict]) -> None:
    """Replace the harvest's file whole."""
    write_atomic(path, b"".join(msgspec.json.encode(row) + b"\n" for row in rows), mode=PRIVATE)


def read_harvest(path: Path) -> Sequence[HarvestedVerdict]:
    """What `harvest` wrote; empty where it never ran."""
    if not path.is_file():
        return []
    decoder = msgspec.json.Decoder(HarvestedVerdict)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]
