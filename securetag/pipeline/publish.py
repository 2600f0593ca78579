"""A gated model → an alias that workers triage with, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from securetag.errors import ConflictError, GateError
from securetag.evaluation import gate
from securetag.pipeline.artifacts import write_artifacts
from securetag.pipeline.evaluate import Evaluation
from securetag.pipeline.lineage import record_if_possible, record_model
from securetag.pipeline.parity import DEMO_ROWS, measure_parity, require_parity
from securetag.pipeline.withdrawals import OPERATOR
from securetag.records import Gate
from securetag.serving.modelfile import check_name
from securetag.serving.registry import GatePass, ModelEntry, Parity, Registry
from securetag.settings import Settings
from securetag.system.clock import utc_timestamp
from securetag.system.hashing import hash_file

if TYPE_CHECKING:
    from securetag.serving.ollama import Progress


def publish(
    evaluation: Evaluation,
    alias: str,
    settings: Settings,
    *,
    public: bool = False,
    by: str = OPERATOR,
    progress: Progress | None = None,
) -> None:
    """Point `alias` at the evaluated model, in Ollama or in the embedded runtime by setting.

    The publication, with who published (`by`) and the gate's report, is recorded in the database where there
    is one.

    A `public` name, or one with a namespace, is one under which the model will be distributed. Raises
    GateError unless the evaluation's gate let the model through (there is no other way in), for a model that
    was trained on rows which were withdrawn since, and for a file whose verdicts aren't its adapter's;
    ConflictError for a file that was changed after its registration; LicenceError for a name that the base's
    license forbids; what the server (`securetag.serving.ollama.publish`) and the comparison with the adapter
    (`securetag.pipeline.parity`) raise.
    """
    evaluation.decision.require()
    registry = Registry(settings.models_dir)
    entry = registry.get(evaluation.model_id)
    if entry.erasures:
        raise GateError(
            f"model {entry.model_id[:12]} was trained on rows that were withdrawn since "
            f"({len(entry.erasures)} erasures, first {entry.erasures[0]})",
            hint="Build a release, which leaves them out, and train on that.",
        )
    check_name(alias, entry, public=public)
    if hash_file(registry.path(entry)) != entry.file_sha256:
        raise ConflictError(
            f"{registry.path(entry)} is not the file that was evaluated as {entry.model_id[:12]}",
            hint="Train or convert it again, evaluate that model and publish it.",
        )
    kind = gate.classify(evaluation.comparison, evaluation.decision)
    _check_parity(entry, evaluation.release, kind, settings, progress)
    # Before it is served: the runtime reads this when it starts the model.
    entry = registry.record_gate(
        entry.model_id,
        GatePass(
            gate=kind,
            release=evaluation.release,
            base_id=evaluation.base_id,
            at=utc_timestamp("milliseconds"),
        ),
    )
    _serve(entry, alias, settings, progress=progress)
    registry.publish(alias, entry.model_id)
    write_artifacts(registry.get(entry.model_id), settings)
    record_if_possible(lambda: record_model(evaluation, settings, by=by))


def _check_parity(
    entry: ModelEntry, release: str, kind: Gate, settings: Settings, progress: Progress | None
) -> None:
    """Compare the file with its adapter, unless a receipt of this file is there.

    A model that only the demo's gate let through is compared on DEMO_ROWS, and on as many rows as any other
    model where more of these differ than `publish.max_flips` allows. Raises GateError where the file differs
    too much.
    """
    if entry.adapter is None:
        return
    rows, max_flips = settings.publish.parity_rows, settings.publish.max_flips

    def compare(max_rows: int) -> Parity:
        receipt = entry.parity
        if receipt is not None and receipt.file_sha256 == entry.file_sha256 and receipt.rows >= max_rows:
            return receipt
        return measure_parity(
            entry,
            release,
            settings,
            max_rows=max_rows,
            progress=progress and (lambda done, total: progress("comparison with the adapter", done, total)),
        )

    needed = rows if kind == "production" else min(rows, DEMO_ROWS)
    receipt = compare(needed)
    if needed < rows and max(receipt.flips_merged, receipt.flips_served) > max_flips * receipt.rows:
        receipt = compare(rows)
    require_parity(receipt, needed, max_flips)


def rollback(alias: str, settings: Settings) -> ModelEntry:
    """Point `alias` at the model that it meant before, where it is served too; returns that model.

    Models trained on rows withdrawn since are passed over. Raises NotFoundError for an unknown
    alias, ConflictError when no model is left to go back to, and what the server raises.
    """
    registry = Registry(settings.models_dir)
    _serve(registry.before(alias), alias, settings)
    return registry.rollback(alias)


def _serve(entry: ModelEntry, alias: str, settings: Settings, *, progress: Progress | None = None) -> None:
    """Tell Ollama what `alias` means. The embedded runtime reads the registry itself."""
    if settings.triage.backend == "ollama":
        from securetag.serving.ollama import publish as upload

        upload(entry, alias, settings, progress=progress)
