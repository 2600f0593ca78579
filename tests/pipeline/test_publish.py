"""A model goes out through its gate only, and back to one that nobody's withdrawal concerns."""

from __future__ import annotations

from pathlib import Path

import pytest

from securetag.errors import ConflictError, NotFoundError
from securetag.pipeline import publish as room
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings

ALIAS = "securetag-v1"
OLDEST, OLD, NEW = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home whose alias has meant three models."""
    found = Settings(home=tmp_path)
    registry = Registry(found.models_dir)
    found.models_dir.mkdir(parents=True, exist_ok=True)
    for model_id in (OLDEST, OLD, NEW):
        (found.models_dir / f"{model_id[0]}.gguf").touch()
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
    return found


def test_a_rollback_passes_over_models_trained_on_withdrawn_rows(settings: Settings) -> None:
    registry = Registry(settings.models_dir)
    registry.mark(OLD, "e1")
    assert room.rollback(ALIAS, settings).model_id == OLDEST
    assert registry.resolve(ALIAS).model_id == OLDEST
    assert [(change.action, change.model_id) for change in registry.aliases()[ALIAS].log][-1] == (
        "rollback",
        OLDEST,
    )


def test_where_every_earlier_model_is_marked_nothing_moves_and_the_way_out_is_named(
    settings: Settings,
) -> None:
    registry = Registry(settings.models_dir)
    for model_id in (OLDEST, OLD):
        registry.mark(model_id, "e1")
    with pytest.raises(ConflictError, match="withdrawn") as refused:
        room.rollback(ALIAS, settings)
    assert "train" in refused.value.hint
    assert registry.resolve(ALIAS).model_id == NEW


def test_an_alias_that_nobody_published_is_said(settings: Settings) -> None:
    with pytest.raises(NotFoundError):
        room.rollback("another", settings)
