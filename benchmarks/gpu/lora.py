"""Measure LoRA fine-tuning on one GPU: an H100 or H200, in at most eight minutes.

    python lora.py > result.json                                    # 1. speed and memory of Llama 3.1 8B
    python lora.py --base FOLDER --release FOLDER > result.json     # and 2. what a small model learns

1. Llama 3.1 8B with random weights in bf16, LoRA r=32 on all linear layers but the head, sequences of 4,096
   tokens without padding: tokens per second and peak memory, with and without gradient checkpointing.
2. `--base` (a Hugging Face folder, or a .gguf file where the package gguf is installed) is trained for three
   epochs on the triage rows of `--release` (a Securetag release: train, validation and test.jsonl). Before
   the first epoch and after each one: the AUC of its verdicts on the held-out rows, by axis.

Needs Python 3.11, torch and transformers, and no other package. It stops at `--budget-s` and prints what it
has: one JSON object on standard output; progress goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUDGET_S = 450.0
#: Seconds after the budget at which the watchdog ends a step that hangs.
GRACE_S = 25.0
#: Share of the budget that the first part may use where the second was asked for too.
SPEED_SHARE = 0.6
#: Share of the budget after which no more is trained, so that the held-out rows can be scored.
SCORING_FROM = 0.93
GIB = 2**30
#: Llama 3.1 8B.
SHAPE = {"layers": 32, "hidden": 4096, "intermediate": 14336, "heads": 32, "kv_heads": 8, "vocab": 128256}
LABELS = ("true_positive", "false_positive")
#: (sequences in a step, gradient checkpointing)
SETUPS = ((1, False), (2, False), (1, True), (4, True))


class Results:
    """What was measured so far. It is printed once: at the end, or by the watchdog."""

    def __init__(self, budget_s: float) -> None:
        self.began, self.budget_s = time.monotonic(), budget_s
        #: `stopped` names what the budget cut short.
        self.values: dict[str, Any] = {"schema": 1, "stopped": []}
        self._lock, self._printed = threading.Lock(), False

    def is_spent(self, share: float = 1.0) -> bool:
        return time.monotonic() - self.began > share * self.budget_s

    def print(self) -> None:
        with self._lock:
            if not self._printed:
                self._printed = True
                self.values["wall_s"] = round(time.monotonic() - self.began, 1)
                print(json.dumps(self.values, indent=2), flush=True)

    def give_up(self) -> None:
        """Print and end the process, whatever its main thread is doing."""
        self.values["stopped"].append("watchdog")
        self.print()
        os._exit(3)


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def add_lora(model: Any, rank: int, alpha: int) -> list[Any]:
    """Freeze `model`, give each linear layer but the head a LoRA update; returns what is trained.

    The update's weights are float32 and used in the type of the layer's input.
    """
    import torch
    from torch import nn

    class LoraLinear(nn.Module):
        def __init__(self, base: nn.Linear) -> None:
            super().__init__()
            self.base, self.scale = base, alpha / rank
            place = {"device": base.weight.device, "dtype": torch.float32}
            self.down = nn.Parameter(torch.empty(rank, base.in_features, **place))
            self.up = nn.Parameter(torch.zeros(base.out_features, rank, **place))
            nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            update = nn.functional.linear(x, self.down.to(x.dtype))
            return self.base(x) + nn.functional.linear(update, self.up.to(x.dtype)) * self.scale

    model.requires_grad_(False)
    linear = [
        name
        for name, part in model.named_modules()
        if isinstance(part, nn.Linear) and not name.endswith("lm_head")
    ]
    for name in linear:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, LoraLinear(model.get_submodule(name)))
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def build_model(options: argparse.Namespace) -> Any:
    """A Llama of the asked shape with random weights: bfloat16 on a GPU, float32 on a CPU."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=options.vocab,
        hidden_size=options.hidden,
        intermediate_size=options.intermediate,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.kv_heads,
        max_position_embeddings=max(8192, options.tokens),
        tie_word_embeddings=False,
        use_cache=False,
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if options.device == "cuda" else torch.float32)
    try:
        with torch.device(options.device):
            return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    finally:
        torch.set_default_dtype(before)


def measure_speed(options: argparse.Namespace, results: Results, share: float) -> None:
    """Part 1, in `share` of the budget. Fills `results.values["speed"]` setup by setup."""
    import torch

    torch.manual_seed(0)
    log(f"building {options.layers} layers of {options.hidden} with random weights …")
    model = build_model(options)
    trained = add_lora(model, options.rank, 2 * options.rank)
    model.train()
    speed: dict[str, Any] = {
        **{name: getattr(options, name) for name in (*SHAPE, "tokens")},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "trained_parameters": sum(parameter.numel() for parameter in trained),
        "dtype": str(model.lm_head.weight.dtype).removeprefix("torch."),
        "lora": {"r": options.rank, "alpha": 2 * options.rank, "targets": "all-linear"},
        "attention": "sdpa, causal over the whole sequence; no padding, so every token counts",
        "setups": [],
    }
    results.values["speed"] = speed
    for sequences, checkpointing in SETUPS:
        if results.is_spent(share):
            results.values["stopped"].append("speed")
            return
        row: dict[str, Any] = {"sequences": sequences, "gradient_checkpointing": checkpointing}
        switch = "enable" if checkpointing else "disable"
        # Since transformers 5.20 under another name.
        old, new = f"gradient_checkpointing_{switch}", f"activation_checkpointing_{switch}"
        getattr(model, new if hasattr(model, new) else old)()
        try:
            row |= time_steps(model, trained, options, lambda: results.is_spent(share), sequences)
        except torch.OutOfMemoryError:
            row["error"] = "out of memory"
            for parameter in trained:
                parameter.grad = None
        speed["setups"].append(row)
        log(json.dumps(row))


def time_steps(
    model: Any, trained: list[Any], options: argparse.Namespace, is_late: Callable[[], bool], sequences: int
) -> dict[str, Any]:
    """Whole training steps (forward, backward, AdamW) on random tokens, after two that warm up."""
    import torch

    on_gpu = options.device == "cuda"
    optimiser = torch.optim.AdamW(trained, lr=2e-4, fused=on_gpu)
    ids = torch.randint(0, options.vocab, (sequences, options.tokens), device=options.device)
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    seconds: list[float] = []
    for step in range(options.steps + 2):
        if seconds and is_late():
            break
        began = time.monotonic()
        model(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        if on_gpu:
            torch.cuda.synchronize()
        if step >= 2:
            seconds.append(time.monotonic() - began)
    step_s = statistics.median(seconds)
    row = {"steps": len(seconds), "step_s": step_s, "tokens_s": sequences * options.tokens / step_s}
    if on_gpu:
        row["peak_allocated_gib"] = torch.cuda.max_memory_allocated() / GIB
        row["peak_reserved_gib"] = torch.cuda.max_memory_reserved() / GIB
    else:
        row["peak_process_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    return {name: round(value, 3) for name, value in row.items()}


@dataclass(frozen=True)
class Row:
    """A prompt with its verdict. The answer is cut to the verdict, so that nothing gives it away."""

    input_ids: list[int]
    #: Where the completion begins, and the position of the token that tells the verdict.
    completion: int
    verdict: int
    #: The token there for either label, in the order of LABELS.
    tokens: tuple[int, int]
    is_false_positive: bool
    axis: str


def read_rows(path: Path, tokenizer: Any, max_tokens: int) -> list[Row]:
    """The triage rows of one JSONL file that fit. A file that is missing has none."""
    if not path.is_file():
        return []
    rows: list[Row] = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            example = json.loads(line)
            if example["task"] == "triage" and example.get("label") in LABELS:
                row = encode(example, tokenizer)
                if len(row.input_ids) <= max_tokens:
                    rows.append(row)
    return rows


def encode(example: dict[str, Any], tokenizer: Any) -> Row:
    """Token ids of the prompt and of `{"verdict":"…"}`."""
    prompt = tokenizer.apply_chat_template(
        example["messages"][:-1], tokenize=False, add_generation_prompt=True
    )
    prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answers = [
        tokenizer(f'{{"verdict":"{label}"}}', add_special_tokens=False)["input_ids"] for label in LABELS
    ]
    at = next(n for n, (a, b) in enumerate(zip(*answers, strict=False)) if a != b)
    chosen = answers[LABELS.index(example["label"])]
    return Row(
        input_ids=[*prompt_ids, *chosen, tokenizer.eos_token_id],
        completion=len(prompt_ids),
        verdict=len(prompt_ids) + at,
        tokens=(answers[0][at], answers[1][at]),
        is_false_positive=example["label"] == "false_positive",
        axis=example.get("axis") or "other",
    )


def load_base(path: Path, device: str) -> tuple[Any, Any]:
    """(model, tokenizer) of a Hugging Face folder or a GGUF file."""
    import torch
    import transformers

    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    folder, options = str(path), {}
    if path.suffix == ".gguf":
        folder, options = str(path.parent), {"gguf_file": path.name}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
    if path.suffix == ".gguf":
        options |= {"quantization_config": transformers.GgufConfig(dequantize=True)}
        if "smollm" in path.name.lower():
            restore_digits(tokenizer)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **options)
    return model.to(device), tokenizer


def restore_digits(tokenizer: Any) -> None:
    """Split numbers into digits: transformers leaves that step out when it reads SmolLM2's GGUF."""
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


def make_batches(rows: Sequence[Row], size: int, seed: int | None) -> list[list[Row]]:
    """Rows of like length together; the order of the batches is `seed`'s."""
    ordered = sorted(rows, key=lambda row: len(row.input_ids))
    batches = [list(ordered[at : at + size]) for at in range(0, len(ordered), size)]
    if seed is not None:
        random.Random(seed).shuffle(batches)
    return batches


def pad(batch: Sequence[Row], device: str, *, with_labels: bool) -> dict[str, Any]:
    """Tensors of shape (rows, longest row); the loss is over completions alone."""
    import torch

    longest = max(len(row.input_ids) for row in batch)
    gaps = [longest - len(row.input_ids) for row in batch]
    pairs = list(zip(batch, gaps, strict=True))
    lists = {
        "input_ids": [row.input_ids + [0] * gap for row, gap in pairs],
        "attention_mask": [[1] * len(row.input_ids) + [0] * gap for row, gap in pairs],
    }
    if with_labels:
        lists["labels"] = [
            [-100] * row.completion + row.input_ids[row.completion :] + [-100] * gap for row, gap in pairs
        ]
    return {name: torch.tensor(values, device=device) for name, values in lists.items()}


def area_under_curve(scores: Sequence[tuple[bool, float]]) -> float | None:
    """AUC by ranks, equal scores sharing theirs; None where one label is missing."""
    positives = sum(truth for truth, _ in scores)
    negatives = len(scores) - positives
    if not positives or not negatives:
        return None
    ordered = sorted(scores, key=lambda pair: pair[1])
    rank_sum, at = 0.0, 0
    while at < len(ordered):
        end = at
        while end < len(ordered) and ordered[end][1] == ordered[at][1]:
            end += 1
        rank_sum += sum(truth for truth, _ in ordered[at:end]) * (at + 1 + end) / 2
        at = end
    return round((rank_sum - positives * (positives + 1) / 2) / (positives * negatives), 4)


class Learner:
    """Part 2: the small model, its adapter and its rows."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch

        self.options = options
        self.model, tokenizer = load_base(options.base, options.device)
        self.training, test, validation = (
            read_rows(options.release / f"{split}.jsonl", tokenizer, options.max_tokens)
            for split in ("train", "test", "validation")
        )
        self.held_out = test + validation
        if not self.training or not self.held_out:
            sys.exit(
                f"{options.release} has {len(self.training)} triage rows to train on and "
                f"{len(self.held_out)} held out: name a Securetag release, or raise --max-tokens."
            )
        self.trained = add_lora(self.model, options.learning_rank, 2 * options.learning_rank)
        self.optimiser = torch.optim.AdamW(self.trained, lr=options.learning_rate)
        total = options.epochs * math.ceil(len(self.training) / options.batch)
        warmup = max(1, round(0.03 * total))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser,
            lambda step: min((step + 1) / warmup, 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / total))),
        )

    def score(self) -> dict[str, Any]:
        """AUC of the held-out rows, and of each axis.

        A row's score is the log-odds of `false_positive` against `true_positive`, its verdict not in sight.
        """
        import torch

        self.model.eval()
        pairs: dict[str, list[tuple[bool, float]]] = {}
        with torch.no_grad():
            for batch in make_batches(self.held_out, 4 * self.options.batch, None):
                logits = self.model(**pad(batch, self.options.device, with_labels=False)).logits
                for index, row in enumerate(batch):
                    here = logits[index, row.verdict - 1].float()
                    odds = float(here[row.tokens[1]] - here[row.tokens[0]])
                    pairs.setdefault(row.axis, []).append((row.is_false_positive, odds))
        return {
            "auc": area_under_curve([pair for part in pairs.values() for pair in part]),
            "auc_by_axis": {axis: area_under_curve(pairs[axis]) for axis in sorted(pairs)},
        }

    def train(self, epoch: int, results: Results) -> dict[str, Any]:
        """One pass over the rows, or as much of it as the budget allows."""
        import torch

        self.model.train()
        losses: list[Any] = []
        tokens, began = 0, time.monotonic()
        batches = make_batches(self.training, self.options.batch, epoch)
        for batch in batches:
            if results.is_spent(SCORING_FROM):
                results.values["stopped"].append(f"epoch {epoch}")
                break
            loss = self.model(**pad(batch, self.options.device, with_labels=True)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
            self.optimiser.step()
            self.schedule.step()
            self.optimiser.zero_grad()
            losses.append(loss.detach())
            tokens += sum(len(row.input_ids) for row in batch)
        loss_mean = float(torch.stack(losses).mean()) if losses else None
        seconds = time.monotonic() - began
        row = {"steps": len(losses), "of_steps": len(batches), "loss": loss_mean}
        return row | {"seconds": round(seconds, 2), "tokens_s": round(tokens / seconds, 1)}


def measure_learning(options: argparse.Namespace, results: Results) -> None:
    """Part 2. Fills `results.values["learning"]` epoch by epoch."""
    import torch

    torch.manual_seed(0)
    log(f"loading {options.base} …")
    learner = Learner(options)
    epochs: list[dict[str, Any]] = []
    results.values["learning"] = {
        "base": options.base.name,
        "release": options.release.name,
        "answer": "the verdict alone",
        "rows": len(learner.training),
        "held_out": len(learner.held_out),
        "tokens": sum(len(row.input_ids) for row in learner.training),
        "lora": {"r": options.learning_rank, "alpha": 2 * options.learning_rank, "targets": "all-linear"},
        "learning_rate": options.learning_rate,
        "batch": options.batch,
        "epochs": epochs,
    }
    for epoch in range(options.epochs + 1):
        row = learner.train(epoch, results) if epoch else {}
        epochs.append({"epoch": epoch, **row, **learner.score()})
        log(json.dumps(epochs[-1]))
        if results.is_spent(SCORING_FROM):
            return


def describe_device(device: str) -> dict[str, Any]:
    """What the figures were measured on."""
    import torch
    import transformers

    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    if device != "cuda":
        return {"name": "CPU", "threads": torch.get_num_threads(), **versions}
    card = torch.cuda.get_device_properties(0)
    return {"name": card.name, "memory_gib": round(card.total_memory / GIB, 1), **versions}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget-s", type=float, default=BUDGET_S, help="wall time after which it stops")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: to try the script")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of a setup")
    speed = parser.add_argument_group("part 1: shape of the model, by default Llama 3.1 8B")
    for name, value in (SHAPE | {"tokens": 4096, "rank": 32}).items():
        speed.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    learning = parser.add_argument_group("part 2: with both --base and --release")
    learning.add_argument("--base", type=Path, help="Hugging Face folder, or a .gguf file")
    learning.add_argument("--release", type=Path, help="folder of a Securetag release")
    for name, value in {"epochs": 3, "batch": 16, "learning-rank": 16, "max-tokens": 512}.items():
        learning.add_argument(f"--{name}", type=int, default=value)
    learning.add_argument("--learning-rate", type=float, default=1e-3)
    options = parser.parse_args(arguments)
    if (options.base is None) != (options.release is None):
        parser.error("part 2 needs both --base and --release")
    for path in (options.base, options.release):
        if path is not None and not path.exists():
            parser.error(f"there is no {path}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 with a result (also one that the budget cut), 2 without a GPU, 3 by the watchdog."""
    options = parse(arguments)
    results = Results(options.budget_s)
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        log(
            "error: there is no CUDA GPU here, and this benchmark is for an H100 or H200.\n"
            "  next: run it there, or try the script itself on a CPU with a tiny shape: --device cpu "
            "--layers 2 --hidden 64 --intermediate 128 --heads 4 --kv-heads 2 --vocab 512 --tokens 64"
        )
        return 2
    watchdog = threading.Timer(options.budget_s + GRACE_S, results.give_up)
    watchdog.daemon = True
    watchdog.start()
    try:
        results.values["device"] = describe_device(options.device)
        measure_speed(options, results, 1.0 if options.base is None else SPEED_SHARE)
        if options.device == "cuda":
            torch.cuda.empty_cache()
        if options.base is not None:
            measure_learning(options, results)
    finally:  # what was measured is printed, whatever failed after it
        watchdog.cancel()
        results.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
