"""What publishing compares: a file that was made from the adapter passes, one that wasn't stops it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from model_shapes import build_qwen2
from small_release import write_small

from securetag.errors import GateError
from securetag.pipeline.artifacts import write_artifacts
from securetag.pipeline.publish import _check_parity
from securetag.pipeline.train import train
from securetag.records import Example, Gate
from securetag.serving import gguf
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings, get_settings
from securetag.settings.sections import PublishSettings
from securetag.system.hashing import hash_file

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.sockets, pytest.mark.timeout(1800)]

RECIPE = """
name: tiny-qwen2
base: {base}
base_name: tiny-qwen2
licence: Apache-2.0
batch: 4
micro_batch: 2
max_tokens: 1024
learning_rate: 0.01
objective: ranking
threads: 1
validation_rows: 8
"""


def test_a_trained_file_passes_and_another_stops_the_publication(
    make_example: Callable[..., Example], tmp_path: Path
) -> None:
    settings = get_settings().model_copy(update={"publish": PublishSettings(parity_rows=40)})
    splits = ["train"] * 24 + ["validation"] * 8 + ["test"] * 32
    rows = [msgspec.structs.replace(make_example(number), split=split) for number, split in enumerate(splits)]
    release, manifest = write_small(settings.releases_dir, rows)
    base = build_qwen2(tmp_path / "base", (message.content for row in rows[:8] for message in row.messages))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(base=base))
    candidate = train(recipe, release, settings)
    registry = Registry(settings.models_dir)
    entry = registry.get(candidate.model_id)

    _check_parity(entry, release.name, "production", settings, None)
    receipt = registry.get(entry.model_id).parity
    assert receipt is not None
    assert (receipt.rows, receipt.flips_served, receipt.file_sha256) == (40, 0, entry.file_sha256)
    assert receipt.release == release.name == manifest.digest[:12]
    card = (write_artifacts(registry.get(entry.model_id), settings) / "README.md").read_text()
    assert f"The same 40 held-out rows of release `{release.name}`" in card
    assert str(tmp_path) not in card

    # A receipt of this file isn't made twice, but one that counts more rows is.
    _check_parity(registry.get(entry.model_id), release.name, "production", settings, None)
    assert registry.get(entry.model_id).parity == receipt
    more = settings.model_copy(update={"publish": PublishSettings(parity_rows=41)})
    with pytest.raises(GateError, match="on 40 rows; 41 are needed"):
        _check_parity(registry.get(entry.model_id), release.name, "production", more, None)

    other = swap_file(entry, base, settings)
    # Untrained, it gives other verdicts, and to some rows none.
    gates: list[Gate] = ["production", "demo"]
    for gate in gates:
        with pytest.raises(GateError, match=r"of the served file are not the adapter's|rows have no score"):
            _check_parity(other, release.name, gate, settings, None)


def swap_file(entry: ModelEntry, base: Path, settings: Settings) -> ModelEntry:
    """Put the untrained base in the place of the model's file, and return an entry that says so."""
    path = Registry(settings.models_dir).path(entry)
    half = gguf.convert(base, path.with_suffix(".f16"))
    gguf.quantise(half, path, metadata={gguf.MODEL_ID_KEY: entry.model_id})
    return msgspec.structs.replace(entry, file_sha256=hash_file(path), parity=None)
