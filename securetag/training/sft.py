"""Supervised fine-tuning of a LoRA adapter, as a process: `python -m securetag.training.sft --help`.

Started again with the same folder it continues from the last whole checkpoint. The folder holds:

- `run.json`: state (running, interrupted, done, failed), digests of recipe and release, versions, row counts
- `progress.jsonl`: one line a logged step, appended as it happens
- `checkpoints/`: what a killed run resumes from; SIGTERM ends a run after a step and a checkpoint of it
- `best.safetensors`: the adapter with the best AUC so far, while it trains
- `tensorboard/`: what `report_to: [tensorboard]` writes
- `base/`: the base model, where it is shipped as a GGUF
- `adapter/`, `metrics.json`, `log_history.json`: written at the end

TRL and PEFT do the training; this module knows no GGUF, no server and no gate.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from securetag.errors import SecuretagError, TrainingError
from securetag.records import JsonObject
from securetag.settings import cores
from securetag.system.files import write_json
from securetag.system.hashing import hash_file
from securetag.training import adapter, base, callbacks, compute_savings, objective, ranks, rows, verdicts
from securetag.training.callbacks import TERMINATED, WHOLE, Interruption
from securetag.training.hardware import choose_attention, choose_matmul_precision, describe_hardware
from securetag.training.launchers.runpod.bundle import BEST
from securetag.training.recipe import Lora, Recipe, load
from securetag.training.rows import Row

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import LoraConfig, PeftModel
    from transformers import (
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

#: Loops that a waiting thread spins before it sleeps. By default it spins for milliseconds, and on a
#: busy two-core machine two threads then took 33 to 65 s for what took 17 s with one; with this, 20 s.
SPIN_COUNT = "1000"
_VERSIONED = ("torch", "transformers", "trl", "peft")


def train(
    recipe: Recipe, release: Path, run_dir: Path, interruption: Interruption | None = None
) -> JsonObject:
    """Train, write the run's folder, return the metrics.

    Of several processes (DDP) each gets the metrics, and the main one alone writes. Raises TrainingError (no
    usable row, a loss that isn't finite, a folder of another run), ReleaseError, and SystemExit after an
    `interruption`, with a checkpoint.
    """
    # Both are read when torch loads libgomp.
    os.environ["OMP_NUM_THREADS"] = str(recipe.threads or cores())
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(run_dir / "tensorboard")
    import torch
    from peft.helpers import disable_input_dtype_casting

    torch.set_num_threads(recipe.threads or cores())
    torch.set_float32_matmul_precision(choose_matmul_precision(recipe))
    began, spent = time.monotonic(), time.process_time()
    interruption = interruption or Interruption()
    ranks.join(on_cpu=recipe.device == "cpu")
    state = _begin(recipe, release, run_dir)
    portable = recipe
    if ranks.is_main():
        recipe = base.unpack_base(recipe, run_dir)
    recipe = ranks.share(recipe)
    tokenizer = base.load_tokenizer(recipe)
    training, validation = _read_rows(recipe, release, tokenizer, state)
    _write_state(run_dir, state)

    prefix = compute_savings.find_shared_prefix(training) if recipe.compute_savings else []
    if recipe.group_by_length:
        length = partial(compute_savings.compute_length_key, prefix=prefix)
        training = rows.bucket_by_length(training, recipe.rows_at_once, recipe.seed, length)
    trainer = _trainer(recipe, run_dir, tokenizer, training, validation, prefix)
    trainer.add_callback(callbacks.build_interrupter(interruption))
    if recipe.validate_every is not None:
        trainer.add_callback(callbacks.build_validator(recipe, run_dir, trainer, validation))
    checkpoint = ranks.share(last_checkpoint(run_dir) if ranks.is_main() else None)
    state["resumed_from"] = checkpoint.name if checkpoint else None
    # PEFT would copy each input to the adapter's float32, which autocast turns back into bfloat16.
    with (
        disable_input_dtype_casting(cast("PeftModel", trainer.model), active=trainer.args.bf16),
        choose_attention(recipe),
    ):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if interruption.is_received:
        _write_state(run_dir, state | {"state": "interrupted"})
        sys.exit(TERMINATED)
    interruption.is_stepping = False
    best_step = callbacks.load_best(cast("PeftModel", trainer.model), run_dir)
    scores = trainer.evaluate() if validation else {}
    metrics = _metrics(trainer, state, validation, scores) | {
        "best_step": best_step,
        "wall_s": round(time.monotonic() - began, 1),
        "cpu_s": round(time.process_time() - spent, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "peak_gpu_mb": torch.cuda.max_memory_reserved() // 2**20 if recipe.device == "cuda" else None,
    }
    if ranks.is_main():
        metrics |= verdicts.measure_verdicts(trainer.model, validation)
        adapter.save(cast("PeftModel", trainer.model), portable, state, metrics, run_dir / "adapter")
        write_json(run_dir / "log_history.json", trainer.state.log_history)
        write_json(run_dir / "metrics.json", metrics)
        write_json(run_dir / "run.json", state | {"state": "done"})
        shutil.rmtree(run_dir / "checkpoints", ignore_errors=True)
        (run_dir / BEST).unlink(missing_ok=True)
    return ranks.share(metrics)


def _read_rows(
    recipe: Recipe, release: Path, tokenizer: PreTrainedTokenizerBase, state: JsonObject
) -> tuple[list[Row], list[Row]]:
    """Return the rows to train on and to validate with; count the first in `state`. Raises TrainingError."""
    chosen = rows.select(rows.read(release / "train.jsonl"), recipe)
    training, dropped = rows.encode(chosen, tokenizer, recipe)
    held_out = rows.select(rows.read(release / "validation.jsonl"), recipe)[: recipe.validation_rows]
    validation, _ = rows.encode(held_out, tokenizer, recipe)
    if not training:
        raise TrainingError(
            f"none of {len(chosen)} rows can train: {dict(dropped)}",
            hint="Build the release for this recipe's profile, or raise max_tokens.",
        )
    labels = {row.label for row in validation if row.verdict_index is not None}
    if recipe.validate_every is not None and len(labels) < 2:
        raise TrainingError(
            "validate_every needs validation rows of both labels",
            hint="Take a release with more validation rows, or leave validate_every out.",
        )
    state |= {
        "rows": len(training),
        "dropped": dict(dropped),
        "tokens": sum(len(r.input_ids) for r in training),
        "completion_tokens": sum(r.completion_tokens for r in training),
        "by_task": dict(Counter(example.task.value for example in chosen)),
        "by_label": dict(Counter(example.label or "none" for example in chosen)),
    }
    return training, validation


def last_checkpoint(run_dir: Path) -> Path | None:
    """Return the newest complete checkpoint, and remove broken ones."""
    by_step: dict[int, Path] = {}
    for folder in (run_dir / "checkpoints").glob("checkpoint-*"):
        if (folder / WHOLE).is_file():
            by_step[int(folder.name.rsplit("-", 1)[1])] = folder
        else:
            shutil.rmtree(folder)
    return by_step[max(by_step)] if by_step else None


def _begin(recipe: Recipe, release: Path, run_dir: Path) -> JsonObject:
    """Read or create the run's state. Raises TrainingError where the folder holds another run."""
    state: JsonObject = {
        "schema": 1,
        "state": "running",
        "recipe": msgspec.to_builtins(recipe),
        "recipe_digest": recipe.digest,
        "release": release.name,
        "release_digest": _digest(release),
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONED},
        "hardware": describe_hardware(recipe),
    }
    path = run_dir / "run.json"
    if path.is_file():
        before = json.loads(path.read_bytes())
        if any(before.get(key) != state[key] for key in ("recipe_digest", "release_digest")):
            raise TrainingError(
                f"{run_dir} holds a run of another recipe or release", hint="Take a new folder."
            )
    _write_state(run_dir, state)
    return state


def _write_state(run_dir: Path, state: JsonObject) -> None:
    if ranks.is_main():
        run_dir.mkdir(parents=True, exist_ok=True)
        write_json(run_dir / "run.json", state)


def _digest(release: Path) -> str:
    """Return the release's digest: its manifest's, else that of the training rows."""
    try:
        return str(json.loads((release / "manifest.json").read_bytes())["digest"])
    except (OSError, ValueError, KeyError):
        return hash_file(release / "train.jsonl")


def _trainer(
    recipe: Recipe,
    run_dir: Path,
    tokenizer: PreTrainedTokenizerBase,
    training: Sequence[Row],
    validation: Sequence[Row],
    prefix: Sequence[int],
) -> SFTTrainer:
    from trl.trainer.sft_trainer import SFTTrainer

    if recipe.liger and find_spec("liger_kernel") is None:
        raise TrainingError("liger: true needs the package liger-kernel", hint="pip install liger-kernel")
    model = base.load_model(recipe)
    kind = SFTTrainer
    if recipe.objective == "ranking":
        tokens = objective.find_verdict_tokens(training)
        kind = objective.build_trainer_class(prefix, tokens, recipe.form_weight, recipe.forward_tokens)
    elif recipe.compute_savings:
        kind = compute_savings.build_trainer_class(prefix, recipe.forward_tokens)
    return kind(
        model=model,
        args=_arguments(recipe, run_dir),
        train_dataset=_dataset(training),
        eval_dataset={task.value: _dataset(part) for task, part in rows.group_by_task(validation).items()}
        or None,
        processing_class=tokenizer,
        peft_config=_adapter(recipe.lora, model),
        callbacks=[callbacks.build_reporter(recipe, run_dir, training)],
    )


def _adapter(lora: Lora, model: PreTrainedModel) -> LoraConfig:
    """Build PEFT's configuration. Raises TrainingError for more layers than the model has."""
    from peft import LoraConfig
    from torch import nn

    targets, layers = lora.targets, None
    if lora.last_layers is not None:
        count = model.config.num_hidden_layers
        if lora.last_layers > count:
            raise TrainingError(f"lora.last_layers is {lora.last_layers}, but the model has {count} layers")
        layers = list(range(count - lora.last_layers, count))
        if targets == "all-linear":  # PEFT takes layers with named modules only
            linear = (name for name, part in model.named_modules() if isinstance(part, nn.Linear))
            targets = sorted({name.rsplit(".", 1)[-1] for name in linear if ".layers." in name})
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        layers_to_transform=layers,
        task_type="CAUSAL_LM",
    )


def _dataset(data: Sequence[Row]) -> Dataset:
    from datasets import Dataset

    return Dataset.from_list([{"input_ids": row.input_ids, "labels": row.labels} for row in data])


def _arguments(recipe: Recipe, run_dir: Path) -> SFTConfig:
    from trl.trainer.sft_config import SFTConfig

    on_cpu = recipe.device == "cpu"
    return SFTConfig(
        output_dir=str(run_dir / "checkpoints"),
        per_device_train_batch_size=recipe.rows_at_once,
        gradient_accumulation_steps=recipe.batch // recipe.rows_at_once,
        # TRL scores every token of an evaluated row, which takes memory by rows at once.
        per_device_eval_batch_size=1 if on_cpu else recipe.rows_at_once,
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup,  # below 1 it is a share
        weight_decay=recipe.weight_decay,
        adam_beta2=recipe.beta2,
        max_grad_norm=recipe.max_grad_norm,
        optim=recipe.optimiser,
        max_length=recipe.max_tokens,
        packing=recipe.packing,
        use_liger_kernel=recipe.liger,
        train_sampling_strategy="sequential" if recipe.group_by_length else "random",
        gradient_checkpointing=recipe.gradient_checkpointing,
        bf16=recipe.dtype == "bfloat16",
        use_cpu=on_cpu,
        prediction_loss_only=True,
        dataloader_pin_memory=not on_cpu,
        seed=recipe.seed,
        data_seed=recipe.seed,
        logging_steps=recipe.log_every,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        save_steps=recipe.save_every,
        save_total_limit=2,
        report_to=_list_reporters(recipe),
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
    )


def _list_reporters(recipe: Recipe) -> list[str]:
    """Return who gets the figures; an environment without a writer of TensorBoard's files has none."""
    has_writer = any(find_spec(name) is not None for name in ("tensorboardX", "tensorboard"))
    return [name for name in recipe.report_to if name != "tensorboard" or has_writer]


def _metrics(
    trainer: SFTTrainer, state: JsonObject, validation: Sequence[Row], scores: Mapping[str, float]
) -> JsonObject:
    history = trainer.state.log_history
    total: JsonObject = next((row for row in reversed(history) if "train_runtime" in row), {})
    seconds = float(total.get("train_runtime", 0.0))
    fresh = seconds > 0 and not state["resumed_from"]  # else the seconds are of a part of the run
    return {
        "rows": state["rows"],
        "tokens": state["tokens"],
        "completion_tokens": state["completion_tokens"],
        "dropped": state["dropped"],
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "train_loss": total.get("train_loss"),
        "validation_loss": {task: scores[f"eval_{task}_loss"] for task in rows.group_by_task(validation)},
        "tokens_per_s": round(state["tokens"] / seconds, 1) if fresh else None,
        "resumed_from": state["resumed_from"],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit with 1 and the reason on stderr's last line."""
    parser = argparse.ArgumentParser(prog="python -m securetag.training.sft", description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--release", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--overrides", default="{}", help="JSON object: fields of the recipe to replace")
    given = parser.parse_args(arguments)
    interruption = Interruption()
    signal.signal(signal.SIGTERM, interruption.receive)
    try:
        train(load(given.recipe, json.loads(given.overrides)), given.release, given.run, interruption)
    except SecuretagError as error:
        path = given.run / "run.json"
        if ranks.is_main() and path.is_file():
            write_json(path, json.loads(path.read_bytes()) | {"state": "failed", "reason": str(error)})
        sys.exit(f"{error} {error.hint}".strip())


if __name__ == "__main__":
    main()
