"""Withdrawals of data: what later builds leave out, and a receipt of what held it.

The order is such that a process killed anywhere may simply be started again: the verdicts leave the
harvest's file, the models are marked, and the receipt is written as a whole. `<data>/erasures/<id>.json`
is that receipt and, for every later build, the ledger of what stays out; `<id>.rows.jsonl` beside it names
each row that a release held. Nothing here needs a database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec
from uuid_utils.compat import uuid7

from securetag.datasets import erasure
from securetag.datasets.erasure import Withdrawn
from securetag.datasets.releases.release import read_manifest
from securetag.datasets.synthetic.cases import SOURCE as SYNTHETIC
from securetag.errors import InputError, NotFoundError, ReleaseError
from securetag.extractors import catalog
from securetag.extractors.record_files import read_records
from securetag.pipeline.harvest import FILE, read_harvest, write_harvest
from securetag.pipeline.trace import list_releases, models_trained_on
from securetag.serving.registry import Registry
from securetag.settings import Settings
from securetag.system.clock import utc_timestamp
from securetag.system.files import write_atomic
from securetag.system.hashing import hash_bytes

FOLDER = "erasures"
OPERATOR = "operator"


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


def active_withdrawals(settings: Settings) -> Withdrawn:
    """Return everything that was withdrawn here. Raises ReleaseError for a receipt that can't be read."""
    receipts = list(_read_receipts(settings))
    return Withdrawn(
        sources=frozenset(receipt.subject.id for receipt in receipts if receipt.subject.kind == "source"),
        consents=frozenset(name for receipt in receipts for name in receipt.consents),
        findings=frozenset(name for receipt in receipts for name in receipt.findings),
    )


def erase_source(name: str, settings: Settings, *, by: str = OPERATOR) -> Receipt:
    """Withdraw a source and return the receipt; a second time changes nothing.

    Raises NotFoundError where the source is neither in the catalog nor in a release, InputError for the
    synthetic rows, which come from no source.
    """
    if name == SYNTHETIC:
        raise InputError("synthetic rows rest on nobody's data", hint="Build with `--synthetic 0`.")
    for receipt in _read_receipts(settings):
        if receipt.subject == Subject(kind="source", id=name):
            return receipt
    records = settings.records_dir / f"{name}.jsonl"
    ids = {record.id for record in read_records(records)} if records.is_file() else set()
    rows = find_rows(settings, lambda release: erasure.find_examples(release, source=name, records=ids))
    if not rows and not ids and name not in catalog.load():
        raise NotFoundError(f"no source {name} is known", hint="`securetag source list` names them.")
    return record_withdrawal(
        settings,
        str(uuid7()),
        Subject(kind="source", id=name),
        rows,
        requested=(by, utc_timestamp("milliseconds")),
        by=by,
    )


def find_rows(settings: Settings, examples_of: Callable[[Path], list[str]]) -> dict[Path, list[str]]:
    """Return release folder → ids of its examples, for every release where `examples_of` names some."""
    examples = {release: examples_of(release) for release in list_releases(settings)}
    return {release: ids for release, ids in examples.items() if ids}


def record_withdrawal(
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
    """Take the subject's verdicts out of the harvest, mark the models that it trained, write the receipt.

    `rows` is release folder → example ids; `requested` is (by whom, when). Raises ReleaseError.
    """
    withdrawn = Withdrawn(
        sources=frozenset([subject.id] if subject.kind == "source" else []),
        consents=frozenset(consents),
        findings=frozenset(findings),
    )
    removed = _remove_from_harvest(settings, withdrawn)
    row_list = b"".join(_row_lines(rows))
    models = [
        MarkedModel(model_id=model.model_id, release=release.name)
        for release in rows
        for model in models_trained_on(release, settings)
    ]
    registry = Registry(settings.models_dir)
    for model in models:
        registry.mark(model.model_id, identity)
    receipt = Receipt(
        id=identity,
        subject=subject,
        requested_by=requested[0],
        requested_at=requested[1],
        completed_by=by,
        completed_at=utc_timestamp("milliseconds"),
        consents=consents,
        findings=findings,
        harvest_rows=removed,
        releases=[
            HeldIn(release=release.name, digest=read_manifest(release).digest, examples=len(examples))
            for release, examples in rows.items()
        ],
        models=models,
        rows_sha256=hash_bytes(row_list),
    )
    folder = settings.data / FOLDER
    write_atomic(folder / f"{identity}.rows.jsonl", row_list)
    content = msgspec.json.format(msgspec.json.encode(receipt), indent=2) + b"\n"
    write_atomic(folder / f"{identity}.json", content)
    return receipt


def _remove_from_harvest(settings: Settings, withdrawn: Withdrawn) -> int:
    """Take verdicts out of the last harvest's file and return how many."""
    path = settings.records_dir / FILE
    verdicts = read_harvest(path)
    remaining, _ = withdrawn.filter_verdicts(verdicts)
    if len(remaining) < len(verdicts):
        write_harvest(path, remaining)
    return len(verdicts) - len(remaining)


def _row_lines(rows: dict[Path, list[str]]) -> Iterator[bytes]:
    for release, examples in rows.items():
        for example in examples:
            yield msgspec.json.encode({"release": release.name, "example_id": example}) + b"\n"


def _read_receipts(settings: Settings) -> Iterator[Receipt]:
    for path in sorted((settings.data / FOLDER).glob("*.json")):
        yield _read_receipt(path)


def _read_receipt(path: Path) -> Receipt:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Receipt)
    except (OSError, msgspec.DecodeError, UnicodeError) as error:
        raise ReleaseError(
            f"{path} is no receipt of an erasure: {error}",
            hint="Restore it: without it a build can't know what was withdrawn.",
        ) from error
