"""The whole path of the embedded model, narrow: train, merge, convert, quantize, look at the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from safetensors import safe_open

from securetag.records import JsonObject
from securetag.training.launchers import TrainingJob, launch
from securetag.training.merge import merge
from securetag.training.recipe import RECIPES_DIR

RECIPE = RECIPES_DIR / "securetag-embedded.yaml"


@pytest.mark.long
@pytest.mark.sockets
def test_smollm2_trains_merges_converts_and_answers(
    tiny_release: Path, tmp_path: Path, load_elsewhere: Callable[[Path, Path, str, Path], JsonObject]
) -> None:
    # The floors are apart in the package; only here, and in the pipeline, do they meet.
    from securetag import triage
    from securetag.serving import gguf
    from securetag.serving.client import RuntimeClient
    from securetag.serving.runtime import Runtime
    from securetag.training import rows

    overrides = {"max_rows": 4, "batch": 2, "micro_batch": 2, "validation_rows": 1, "threads": 1}
    run = launch(TrainingJob(RECIPE, tiny_release, tmp_path / "run", overrides))
    assert run.metrics["steps"] == 2
    assert run.metrics["dropped"] == {}
    with safe_open(run.run_dir / "adapter" / "adapter_model.safetensors", "pt") as adapter:
        adapted = {int(name.split(".layers.")[1].split(".")[0]) for name in adapter.keys()}  # noqa: SIM118
    assert adapted == set(range(10, 30))
    hub_id = "HuggingFaceTB/SmolLM2-135M-Instruct"
    logits = load_elsewhere(run.adapter, run.run_dir / "base", hub_id, tmp_path / "elsewhere")
    assert logits["auto"] == pytest.approx(logits["by path"])
    assert logits["auto"] != pytest.approx(logits["base"], abs=1e-3)
    assert ModelCard.load(run.adapter / "README.md").data.base_model == hub_id
    merged = merge(run.run_dir, tmp_path / "merged")
    whole = gguf.convert(merged, tmp_path / "f16.gguf")
    made = gguf.quantise(whole, tmp_path / "q8.gguf", metadata={gguf.MODEL_ID_KEY: "ab" * 32})
    known = gguf.read_metadata(made)
    assert known["tokenizer.ggml.pre"] == "smollm"  # numbers split into digits, as in training
    assert known["llama.rope.freq_base"] == 100_000
    assert known[gguf.MODEL_ID_KEY] == "ab" * 32
    assert "<|im_start|>" in gguf.chat_template(made)
    example = rows.read(tiny_release / "validation.jsonl")[0]
    prompt = triage.read_prompt(example.messages, example.prompt_version)
    with Runtime(log_dir=tmp_path) as runtime:
        url = runtime.serve(made, alias="candidate", model_id="ab" * 32, slots=1)
        client = RuntimeClient(url, run_dir=tmp_path, aliases=["candidate"])
        try:
            got = client.chat(prompt.messages, schema=triage.schema(prompt), max_tokens=48, timeout_s=60)
        finally:
            client.close()
    assert triage.parse(got.text, prompt).verdict
    assert got.model_id == "ab" * 32
