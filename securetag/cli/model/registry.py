"""`securetag model list` and `sync`, and how a command names a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from securetag.cli.output import Json, emit, reported, show

if TYPE_CHECKING:
    from securetag.serving.registry import ModelEntry


@reported
def list_models(as_json: Json = False) -> None:
    """List registered models and the aliases that name them."""
    import msgspec

    from securetag.serving.registry import Registry
    from securetag.settings import get_settings

    registry = Registry(get_settings().models_dir)
    aliases: dict[str, list[str]] = {}
    for alias, meaning in registry.aliases().items():
        aliases.setdefault(meaning.current, []).append(alias)
    rows = [
        {**msgspec.to_builtins(entry), "aliases": aliases.get(entry.model_id, [])}
        for entry in registry.list()
    ]
    if as_json:
        emit(rows)
    else:
        show(
            ["model", "aliases", "base", "quantisation", "release", "made", "erasures"],
            [
                [
                    row["model_id"][:12],
                    ", ".join(row["aliases"]),
                    row["base"],
                    row["quantisation"],
                    str(row.get("release") or "")[:12],
                    row["created_at"],
                    len(row.get("erasures", ())) or "",
                ]
                for row in rows
            ],
        )


@reported
def sync(as_json: Json = False) -> None:
    """Record published models, and which findings trained them, in the database again.

    Publishing and `dataset build` do that by themselves where the database answers.
    """
    import msgspec

    from securetag.pipeline.lineage import record_lineage
    from securetag.settings import get_settings

    summary = record_lineage(get_settings())
    if as_json:
        emit(msgspec.to_builtins(summary))
        return
    show(
        ["release", "findings in it"],
        [[release, f"{number:,}"] for release, number in summary.findings.items()],
        title=f"{summary.models} published models",
    )


def model_named(name: str) -> ModelEntry:
    """Return a registered model by alias or by the beginning of its id. Raises NotFoundError."""
    from securetag.errors import NotFoundError
    from securetag.serving.registry import Registry
    from securetag.settings import get_settings

    registry = Registry(get_settings().models_dir)
    entries = [entry for entry in registry.list() if len(name) >= 6 and entry.model_id.startswith(name)]
    if len(entries) == 1:
        return entries[0]
    if len(entries) > 1:
        raise NotFoundError(f"{len(entries)} models begin with {name}", hint="Give more digits.")
    return registry.resolve(name)
