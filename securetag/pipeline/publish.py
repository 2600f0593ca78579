"""A gated model → an alias that workers triage with, and back."""

from __future__ import annotations

from securetag.errors import GateError
from securetag.pipeline.evaluate import Evaluation
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings


def publish(evaluation: Evaluation, alias: str, settings: Settings) -> None:
    """Point `alias` at the evaluated model, in Ollama or in the embedded runtime by setting.

    Raises GateError unless the evaluation's gate let the model through (there is no other way in), and
    for a model that was trained on rows which were withdrawn since.
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
    _serve(entry, alias, settings)
    registry.publish(alias, entry.model_id)


def rollback(alias: str, settings: Settings) -> ModelEntry:
    """Point `alias` at the model that it meant before, where it is served too; returns that model.

    Models trained on rows withdrawn since are passed over. Raises NotFoundError for an unknown
    alias, ConflictError when no model is left to go back to, and what the server raises.
    """
    registry = Registry(settings.models_dir)
    _serve(registry.before(alias), alias, settings)
    return registry.rollback(alias)


def _serve(entry: ModelEntry, alias: str, settings: Settings) -> None:
    """Tell Ollama what `alias` means. The embedded runtime reads the registry itself."""
    if settings.triage.backend == "ollama":
        from securetag.serving.ollama import publish as upload

        upload(entry, alias, settings)
