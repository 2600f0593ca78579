"""Measure how fast Securetag trains a recipe on one GPU: its own training process, random weights.

    python recipe.py --release FOLDER --tokenizer FOLDER > result.json
    python recipe.py … --variant '{"packing": true, "attention": "flex_attention"}' --variant '{…}'

A base of Llama 3.1 8B's shape with random weights is written to `--work`. For each variant (fields of the
recipe that it replaces) `python -m securetag.training.sft` trains it on the rows of the release, as many as
`--steps` optimiser steps take (a variant with packing names its own `max_rows`). Tokens are those of the
rows, padding doesn't count; the rate is that of the second half of the steps, so that compiling and warming
up don't count either.

`--tokenizer` is a folder of any tokenizer with a chat template, or a .gguf file: throughput depends on the
number of tokens, not on what they mean. One JSON object on standard output; progress on standard error.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from securetag.records import JsonObject
from securetag.training import base
from securetag.training.recipe import find_recipe, load

#: Llama 3.1 8B.
SHAPE = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}


def write_base(folder: Path, tokenizer: str, shape: dict[str, int], device: str) -> None:
    """Write a model of `shape` with random bfloat16 weights, and the tokenizer, unless they are there."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    if (folder / "config.json").is_file():
        return
    config = LlamaConfig(**shape, max_position_embeddings=8192, tie_word_embeddings=False)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config)
    torch.set_default_dtype(torch.float32)
    _load_tokenizer(tokenizer).save_pretrained(folder)
    model.save_pretrained(folder)
    del model
    if device == "cuda":  # the training processes need it
        torch.cuda.empty_cache()


def _load_tokenizer(path: str) -> base.PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    given = Path(path)
    if given.suffix != ".gguf":
        return AutoTokenizer.from_pretrained(path)
    tokenizer = AutoTokenizer.from_pretrained(str(given.parent), gguf_file=given.name)
    base.restore_digits(tokenizer, given)
    return tokenizer


def measure(recipe: Path, overrides: JsonObject, options: argparse.Namespace, work: Path) -> JsonObject:
    """Train one variant in a process of its own; return its rate, memory and time, or why it failed."""
    run = work / f"run-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "securetag.training.sft", "--recipe", str(recipe)]
    command += ["--release", str(options.release), "--run", str(run), "--overrides", json.dumps(overrides)]
    began = time.monotonic()
    try:
        result = subprocess.run(
            command,
            check=False,
            stdout=sys.stderr,
            stderr=subprocess.PIPE,
            text=True,
            timeout=options.limit_s,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"took over {options.limit_s:g} s"}
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        return {"error": "\n".join(lines[-6:])[-1500:]}
    progress = [json.loads(line) for line in (run / "progress.jsonl").read_text("utf-8").splitlines()]
    metrics = json.loads((run / "metrics.json").read_bytes())
    middle, last = progress[(len(progress) - 1) // 2], progress[-1]
    steps, seconds = last["step"] - middle["step"], last["elapsed_s"] - middle["elapsed_s"]
    if steps == 0:
        return {"error": "one step is too little to measure: raise max_rows"}
    of_a_step = metrics["tokens"] * metrics["epochs"] / metrics["steps"]
    return {
        "tokens_s": round(of_a_step * steps / seconds),
        "steps": last["step"],
        "tokens_of_a_step": round(of_a_step),
        "peak_gpu_gib": round((metrics["peak_gpu_mb"] or 0) / 1024, 1),
        "first_half_s": middle["elapsed_s"],
        "wall_s": round(time.monotonic() - began, 1),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each variant and print the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="llama31-8b-lora-h100", help="name or path")
    parser.add_argument("--release", type=Path, required=True, help="folder of a Securetag release")
    parser.add_argument("--tokenizer", required=True, help="folder, or a .gguf file")
    parser.add_argument("--work", type=Path, default=Path("gpu-work"), help="folder for base and runs")
    parser.add_argument("--variant", action="append", type=json.loads, help="JSON: fields to replace")
    parser.add_argument("--steps", type=int, default=12, help="optimiser steps of a variant")
    parser.add_argument("--limit-s", type=float, default=180, help="most seconds of a variant")
    parser.add_argument("--shape", type=json.loads, default={}, help="JSON: another shape of the model")
    options = parser.parse_args(arguments)
    recipe = find_recipe(options.recipe)
    folder = options.work.absolute() / "base"
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_base(folder, options.tokenizer, SHAPE | options.shape, load(recipe).device)
    results: list[JsonObject] = []
    for variant in options.variant or [{}]:
        overrides = {"base": str(folder), "log_every": 1, "validation_rows": 1} | variant
        overrides = {"max_rows": load(recipe, overrides).batch * options.steps, "epochs": 1} | overrides
        row = {"variant": variant, **measure(recipe, overrides, options, options.work.absolute())}
        print(json.dumps(row), file=sys.stderr, flush=True)
        results.append(row)
    print(json.dumps({"schema": 1, "recipe": msgspec.to_builtins(load(recipe)), "results": results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
