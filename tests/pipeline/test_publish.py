"""A rollback returns to a model that is not affected by a withdrawal."""

from __future__ import annotations

from pathlib import Path

import pytest

from securetag.errors import ConflictError, NotFoundError
from securetag.pipeline import publish
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings

ALIAS = "securetag-v1"
OLDEST, OLD, NEW = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home whose alias was published for three models in turn."""
    settings = Settings(home=tmp_path)
    registry = Registry(settings.models_dir)
    settings.models_dir.mkdir(parents=True, exist_ok=True)
    for model_id in (OLDEST, OLD, NEW):
        (settings.models_dir / f"{model_id[0]}.gguf").touch()
        registry.add(
            ModelEntry(
                model_id=model_id,
                path=f"{model_id[0]}.gguf",
                file_sha256="0" * 64,
                base="b",
                quantisation="Q8_0",
                licence="Apache-2.0",
            )
        )
        registry.publish(ALIAS, model_id)
    return settings


def test_a_rollback_skips_models_trained_on_withdrawn_rows(settings: Settings) -> None:
    registry = Registry(settings.models_dir)
    registry.mark(OLD, "e1")
    assert publish.rollback(ALIAS, settings).model_id == OLDEST
    assert registry.resolve(ALIAS).model_id == OLDEST
    assert [(change.action, change.model_id) for change in registry.aliases()[ALIAS].log][-1] == (
        "rollback",
        OLDEST,
    )


def test_a_rollback_without_an_unmarked_model_fails_and_suggests_training(
    settings: Settings,
) -> None:
    registry = Registry(settings.models_dir)
    for model_id in (OLDEST, OLD):
        registry.mark(model_id, "e1")
    with pytest.raises(ConflictError, match="withdrawn") as refused:
        publish.rollback(ALIAS, settings)
    assert "train" in refused.value.hint
    assert registry.resolve(ALIAS).model_id == NEW


def test_a_rollback_of_an_unpublished_alias_is_not_found(settings: Settings) -> None:
    with pytest.raises(NotFoundError):
        publish.rollback("another", settings)
