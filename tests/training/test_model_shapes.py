"""Models of other shapes than the embedded one go all the way: train, merge, GGUF, serve, triage.

Datasets and recipes must not depend on one family of models. The weights are random and the training short,
so that nothing is said of what such a model learns.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_shapes import build_llama31, build_mistral, build_qwen2

from securetag import triage
from securetag.pipeline.parity import compare_rows
from securetag.pipeline.train import register
from securetag.records import Example
from securetag.serving import gguf
from securetag.serving.client import RuntimeClient, make_predictor
from securetag.serving.registry import Registry
from securetag.serving.runtime import Runtime
from securetag.serving.smoke import FINDING
from securetag.settings import get_settings
from securetag.training.launchers import TrainingJob, launch

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.sockets, pytest.mark.timeout(1800)]

RECIPE = """
name: {name}
base: {base}
base_name: {name}
licence: Apache-2.0
batch: 4
micro_batch: 2
max_rows: 24
max_tokens: 1024
learning_rate: 0.01
objective: ranking
threads: 1
validation_rows: 4
epochs: 3
"""


@pytest.mark.parametrize(
    ("build", "architecture", "pre_tokenizer"),
    [
        pytest.param(build_llama31, "llama", "llama-bpe", id="Llama 3.1"),
        pytest.param(build_qwen2, "qwen2", "qwen2", id="Qwen 2"),
        # The converter writes Mistral's models as the architecture that they share.
        pytest.param(build_mistral, "llama", "tekken", id="Mistral"),
    ],
)
def test_a_model_of_this_shape_is_trained_converted_served_and_judges_a_finding(
    build: Callable[..., Path],
    architecture: str,
    pre_tokenizer: str,
    make_example: Callable[..., Example],
    tiny_release: Path,
    tmp_path: Path,
) -> None:
    settings = get_settings()
    texts = [message.content for number in range(8) for message in make_example(number).messages]
    base = build(tmp_path / "base", texts)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(name=f"tiny-{pre_tokenizer}", base=base))
    run = launch(TrainingJob(recipe, tiny_release, settings.home / "runs" / "r1"))
    assert run.metrics["rows"] == 24
    losses = [row["loss"] for row in run.history if "loss" in row]
    assert losses[-1] < losses[0]

    entry = register(run, tiny_release, settings, "Q8_0")
    file = Registry(settings.models_dir).path(entry)
    header: dict[str, Any] = gguf.read_metadata(file)
    assert header["general.architecture"] == architecture
    assert header["tokenizer.ggml.pre"] == pre_tokenizer
    if pre_tokenizer == "llama-bpe":
        factors = find_tensor(file, "rope_freqs.weight")
        # High frequencies stay, low ones are slowed down by the factor, those between by less.
        assert factors.min() == 1
        assert factors.max() == 8
        assert any(1 < factor < 8 for factor in factors)

    prompt = triage.render(FINDING, profile="compact")
    with Runtime(log_dir=tmp_path / "logs") as runtime:
        url = runtime.serve(file, alias="candidate", model_id=entry.model_id, slots=1)
        client = RuntimeClient(url, run_dir=settings.run_dir, aliases=["candidate"])
        try:
            ask = make_predictor(client, timeout_s=120)
            completion = ask(prompt.messages, triage.schema(prompt), triage.MAX_ANSWER_TOKENS["compact"])
        finally:
            client.close()
    # Adapter, merged model and served file read the same rows alike: RoPE, biases, template, tokens.
    rows = [make_example(number) for number in range(80, 96)]
    parity = compare_rows(entry, rows, "compact", "0" * 12, settings)
    assert (parity.rows, parity.unscored) == (16, 0)
    assert (parity.flips_merged, parity.flips_served) == (0, 0)
    assert parity.shift_merged < 1e-3
    assert parity.shift_served < 0.05

    verdict = triage.verdict(completion.text, prompt, model_id=completion.model_id, alias=completion.alias)
    assert verdict.reason == ""
    assert verdict.model_id == entry.model_id


def find_tensor(file: Path, name: str) -> Any:
    from gguf import GGUFReader

    return next(tensor.data for tensor in GGUFReader(file).tensors if tensor.name == name)
