"""A tiny random Llama with a tokenizer of its own, and a small release for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from securetag import triage
from securetag.records import Decision, Example, Finding, JsonObject, Label, Message, Task

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def example(number: int, *, padding: int = 0) -> Example:
    """A triage row: an even number is a true positive, an odd one has a guard."""
    safe = number % 2 == 1
    lines = ["def show(request):", f'    item = request.args["k{number}"]']
    lines += ["    if not item.isalnum(): raise ValueError"] if safe else []
    lines += ["    pad = 0"] * padding + ['    return db.execute("SELECT " + item)']
    finding = Finding(
        tool="semgrep",
        rule_id="sql",
        cwe="CWE-89",
        title="SQL injection",
        message="m",
        severity="high",
        confidence="high",
        language="python",
        path="a.py",
        start_line=len(lines),
        end_line=len(lines),
        snippet="\n".join(lines),
        snippet_line=1,
        scope="show",
        fingerprint="v1:0",
    )
    prompt = triage.render(finding, profile="compact")
    label: Label = "false_positive" if safe else "true_positive"
    said = triage.answer(profile="compact", evidence=[(2, 2), (3, 3)], verdict=Decision(label))
    return Example.of(
        task=Task.TRIAGE,
        messages=[*prompt.messages, Message("assistant", said)],
        lang="en",
        licence="Apache-2.0",
        group=f"g{number // 2}",
        origin="composition",
        origins=[],
        source="synthetic",
        label=label,
        label_source="execution",
        pair_id=f"p{number // 2}",
        prompt_version=prompt.version,
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a two-layer Llama of random weights and a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    )
    words.train_from_iterator((m.content for n in range(8) for m in example(n).messages), trainer)
    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        initializer_range=0.2,  # the frozen head must tell tokens apart for an adapter to learn much
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_recipe(tiny: Path) -> Path:
    """A recipe for it: 60 steps of four rows."""
    path = tiny / "recipe.yaml"
    path.write_text(
        f"name: tiny\nbase: {tiny}\nbase_name: tiny\nlicence: Apache-2.0\n"
        "batch: 4\nmicro_batch: 2\nepochs: 3\nlearning_rate: 0.02\n"
        "threads: 1\nsave_every: 10\nvalidation_rows: 4\n"
    )
    return path


@pytest.fixture(scope="session")
def tiny_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 training rows and four to validate, as a release's folder holds them."""
    folder = tmp_path_factory.mktemp("release")
    for name, numbers in (("train", range(80)), ("validation", range(80, 84))):
        rows = [msgspec.json.encode(example(number)) for number in numbers]
        (folder / f"{name}.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    (folder / "manifest.json").write_text(json.dumps({"digest": "d" * 64}))
    return folder


@pytest.fixture(scope="session")
def make_example() -> Callable[..., Example]:
    """The function `example`, for tests that make rows of their own."""
    return example


#: Loads the adapter both ways and prints the base's and the adapted logits of one prompt.
LOAD_ADAPTER = """
import json, sys
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM

adapter, base = sys.argv[1:3]
ids = torch.tensor([[5, 6, 7, 8]])

def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits[0, -1, :16].float().tolist()

plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
before = logits(plain)
print(json.dumps({
    "base": before,
    "auto": logits(AutoPeftModelForCausalLM.from_pretrained(adapter, dtype=torch.float32)),
    "by path": logits(PeftModel.from_pretrained(plain, adapter)),
    "securetag": "securetag" in sys.modules,
}))
"""


@pytest.fixture(scope="session")
def load_elsewhere() -> Callable[[Path, Path, str, Path], JsonObject]:
    """Load an adapter in another process whose working folder has the base under its hub id."""

    def load(adapter: Path, base: Path, hub_id: str, folder: Path) -> JsonObject:
        (folder / hub_id).parent.mkdir(parents=True)
        (folder / hub_id).symlink_to(base, target_is_directory=True)
        done = subprocess.run(
            [sys.executable, "-c", LOAD_ADAPTER, str(adapter), str(base)],
            cwd=folder,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        result: JsonObject = json.loads(done.stdout)
        return result

    return load
