"""A withdrawal, worked off: out of the next build, what held it listed and marked, a receipt written.

The order is such that a process killed anywhere may simply be started again: the verdicts leave the
harvest's file, the models are marked, the receipt is written whole, and only then is the tenant's
demand noted as done. `<data>/erasures/<id>.json` is that receipt and, for every later build, the
ledger of what stays out; `<id>.rows.jsonl` beside it names each row that a release held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from uuid_utils.compat import uuid7

from securetag.datasets import erasure
from securetag.datasets.compose.cases import SOURCE as COMPOSITION
from securetag.datasets.erasure import Withdrawn
from securetag.datasets.releases.release import manifest_of
from securetag.db.engine import create_engine, gate_transaction, tenant_transaction
from securetag.db.models import ErasureRequest
from securetag.db.repositories import erasure as demands
from securetag.db.repositories.tenants import everybody, own
from securetag.errors import InputError, NotFoundError, ReleaseError
from securetag.extractors import catalog
from securetag.extractors.record_files import read_records
from securetag.pipeline.harvest import FILE, read_harvest, write_harvest
from securetag.pipeline.trace import folders, trained_on
from securetag.serving.registry import Registry
from securetag.settings import Settings
from securetag.system.clock import format_utc, utc_timestamp
from securetag.system.files import write_atomic

FOLDER = "erasures"
OPERATOR = "operator"
#: Tenants asked for their open demands at a time.
_PAGE = 200


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose or what data is withdrawn."""

    kind: Literal["tenant", "project", "finding", "source"]
    id: str
    #: Of a project or a finding: whose it is.
    tenant_id: str | None = None


class HeldIn(msgspec.Struct, frozen=True, kw_only=True):
    """A release that held rows of the subject."""

    release: str
    digest: str
    examples: int


class MarkedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that was trained on such a release."""

    model_id: str
    release: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who had what withdrawn when, and what held it."""

    schema: Literal[1] = 1
    id: str
    subject: Subject
    requested_by: str
    #: RFC 3339 in UTC.
    requested_at: str
    completed_by: str
    completed_at: str
    #: What later builds leave out.
    consents: list[str] = []
    findings: list[str] = []
    #: Verdicts taken out of the last harvest's file.
    harvest_rows: int
    releases: list[HeldIn]
    models: list[MarkedModel]
    #: Of `<id>.rows.jsonl`: one line `{"release", "example_id"}` for each row that a release held.
    rows_sha256: str


def standing(settings: Settings) -> Withdrawn:
    """Everything that was withdrawn here. Raises ReleaseError for a receipt that can't be read."""
    found = [_receipt(path) for path in sorted((settings.data / FOLDER).glob("*.json"))]
    return Withdrawn(
        sources=frozenset(one.subject.id for one in found if one.subject.kind == "source"),
        consents=frozenset(name for one in found for name in one.consents),
        findings=frozenset(name for one in found for name in one.findings),
    )


def erase_source(name: str, settings: Settings, *, by: str = OPERATOR) -> Receipt:
    """Withdraw a source; a second time changes nothing.

    Raises NotFoundError where neither the catalog nor a release knows it, InputError for our own
    composed rows.
    """
    if name == COMPOSITION:
        raise InputError("composed rows rest on nobody's data", hint="Build with `--composed 0`.")
    for path in sorted((settings.data / FOLDER).glob("*.json")):
        known = _receipt(path)
        if known.subject == Subject(kind="source", id=name):
            return known
    records = settings.records_dir / f"{name}.jsonl"
    ids = {record.id for record in read_records(records)} if records.is_file() else set()
    rows = _rows(settings, lambda release: erasure.held(release, source=name, records=ids))
    if not rows and not ids and name not in catalog.load():
        raise NotFoundError(f"no source {name} is known", hint="`securetag source list` names them.")
    return _settle(
        settings,
        str(uuid7()),
        Subject(kind="source", id=name),
        rows,
        requested=(by, utc_timestamp("milliseconds")),
        by=by,
    )


async def demand(
    settings: Settings,
    tenant_id: UUID,
    *,
    project_id: UUID | None = None,
    finding_id: UUID | None = None,
    by: str = OPERATOR,
) -> UUID:
    """Write down on a tenant's behalf what the tenant could have sent to `POST /erasure`.

    Raises NotFoundError, DatabaseUnavailableError.
    """
    engine = create_engine(settings)
    try:
        async with tenant_transaction(engine, tenant_id) as session:
            await own(session)
            made = await demands.request(session, tenant_id, by, project_id=project_id, finding_id=finding_id)
            return made.id
    finally:
        await engine.dispose()


async def erase_pending(settings: Settings, *, by: str = OPERATOR) -> list[Receipt]:
    """Work off every tenant's open demands, oldest first. Raises DatabaseUnavailableError, ReleaseError."""
    engine = create_engine(settings)
    try:
        return [
            await _erase(engine, settings, tenant_id, by)
            for tenant_id in await _tenants(engine)
            for _ in range(await _open(engine, tenant_id))
        ]
    finally:
        await engine.dispose()


async def _tenants(engine: AsyncEngine) -> list[UUID]:
    found: list[UUID] = []
    async with gate_transaction(engine) as session:
        while rows := await everybody(session, after=found[-1] if found else None, limit=_PAGE):
            found += [row.id for row in rows]
    return found


async def _open(engine: AsyncEngine, tenant_id: UUID) -> int:
    async with tenant_transaction(engine, tenant_id) as session:
        return len(await demands.pending(session))


async def _erase(engine: AsyncEngine, settings: Settings, tenant_id: UUID, by: str) -> Receipt:
    """The tenant's oldest open demand."""
    async with tenant_transaction(engine, tenant_id) as session:
        wanted = (await demands.pending(session))[0]
        consents, findings = await _scope(session, wanted)
    receipt = _settle(
        settings, str(wanted.id), _subject(wanted),
        _rows(settings, lambda release: erasure.held(release, tenant=str(tenant_id), findings=findings)),
        requested=(wanted.requested_by, format_utc(wanted.requested_at, "milliseconds")), by=by,
        consents=consents, findings=findings or [],
    )  # fmt: skip
    # Not in the transaction above: reading releases may take longer than one may last.
    async with tenant_transaction(engine, tenant_id) as session:
        await demands.complete(session, wanted, by, _told(receipt))
    return receipt


async def _scope(session: AsyncSession, wanted: ErasureRequest) -> tuple[list[str], list[str] | None]:
    """(consents that ended, findings that are named; None for all of the tenant's)."""
    if wanted.project_id is None and wanted.finding_id is None:
        return [str(one) for one in await demands.consents(session, wanted)], None
    return [], [str(one) for one in await demands.findings(session, wanted)]


def _subject(wanted: ErasureRequest) -> Subject:
    tenant = str(wanted.tenant_id)
    if wanted.finding_id is not None:
        return Subject(kind="finding", id=str(wanted.finding_id), tenant_id=tenant)
    if wanted.project_id is not None:
        return Subject(kind="project", id=str(wanted.project_id), tenant_id=tenant)
    return Subject(kind="tenant", id=tenant)


def _rows(settings: Settings, held: Callable[[Path], list[str]]) -> dict[Path, list[str]]:
    """Release → its examples that rest on the subject."""
    found = {release: held(release) for release in folders(settings)}
    return {release: examples for release, examples in found.items() if examples}


def _settle(
    settings: Settings,
    identity: str,
    subject: Subject,
    rows: dict[Path, list[str]],
    *,
    requested: tuple[str, str],
    by: str,
    consents: list[str] = [],  # noqa: B006 (never changed)
    findings: list[str] = [],  # noqa: B006
) -> Receipt:
    withdrawn = Withdrawn(
        sources=frozenset([subject.id] if subject.kind == "source" else []),
        consents=frozenset(consents),
        findings=frozenset(findings),
    )
    gone = _harvest_without(settings, withdrawn)
    listed = b"".join(_lines(rows))
    models = [
        MarkedModel(model_id=model.model_id, release=release.name)
        for release in rows
        for model in trained_on(release, settings)
    ]
    registry = Registry(settings.models_dir)
    for model in models:
        registry.mark(model.model_id, identity)
    receipt = Receipt(
        id=identity, subject=subject, requested_by=requested[0], requested_at=requested[1], completed_by=by,
        completed_at=utc_timestamp("milliseconds"), consents=consents, findings=findings, harvest_rows=gone,
        releases=[
            HeldIn(release=release.name, digest=manifest_of(release).digest, examples=len(examples))
            for release, examples in rows.items()
        ],
        models=models, rows_sha256=hashlib.sha256(listed).hexdigest(),
    )  # fmt: skip
    folder = settings.data / FOLDER
    write_atomic(folder / f"{identity}.rows.jsonl", listed)
    text = msgspec.json.format(msgspec.json.encode(receipt), indent=2).decode() + "\n"
    write_atomic(folder / f"{identity}.json", text)
    return receipt


def _harvest_without(settings: Settings, withdrawn: Withdrawn) -> int:
    """Take verdicts out of the last harvest's file; returns how many."""
    path = settings.records_dir / FILE
    harvested = read_harvest(path)
    left, _ = withdrawn.kept(harvested)
    if len(left) < len(harvested):
        write_harvest(path, left)
    return len(harvested) - len(left)


def _lines(rows: dict[Path, list[str]]) -> Iterator[bytes]:
    for release, examples in rows.items():
        for example in examples:
            yield msgspec.json.encode({"release": release.name, "example_id": example}) + b"\n"


def _told(receipt: Receipt) -> dict[str, Any]:
    """What the tenant sees of a receipt: what held the rows, and how many."""
    told: dict[str, Any] = msgspec.to_builtins(receipt)
    return {name: told[name] for name in ("schema", "harvest_rows", "releases", "models", "rows_sha256")}


def _receipt(path: Path) -> Receipt:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Receipt)
    except (OSError, msgspec.DecodeError, UnicodeError) as error:
        raise ReleaseError(
            f"{path} is no receipt of an erasure: {error}",
            hint="Restore it: without it a build can't know what was withdrawn.",
        ) from error
