"""What a training run does beside its steps: progress, whole checkpoints, AUC meanwhile, an orderly end."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from securetag.errors import TrainingError
from securetag.records import JsonObject
from securetag.system.files import write_atomic
from securetag.training import ranks, rows, verdicts
from securetag.training.launchers.runpod.bundle import BEST
from securetag.training.recipe import Recipe
from securetag.training.rows import Row

if TYPE_CHECKING:
    from types import FrameType

    from peft import PeftModel
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
    from trl.trainer.sft_trainer import SFTTrainer

#: Written into a checkpoint after everything else: a kill -9 may leave any half of one.
WHOLE = "whole"
#: Exit code of a run that SIGTERM ended: 128 + 15, as a shell counts.
TERMINATED = 143


class Interruption:
    """Whether SIGTERM came. Within the steps the run ends after a checkpoint, outside of them at once."""

    def __init__(self) -> None:
        self.is_received = False
        self.is_stepping = False

    def receive(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Handle the signal."""
        self.is_received = True
        if not self.is_stepping:
            sys.exit(TERMINATED)


def build_reporter(recipe: Recipe, run_dir: Path, training: Sequence[Row]) -> TrainerCallback:
    """Build the callback that writes progress, marks whole checkpoints and stops a diverged run."""
    from transformers import TrainerCallback

    an_epoch = sum(len(row.input_ids) for row in training)
    in_order = recipe.group_by_length and not recipe.packing

    class Reporter(TrainerCallback):  # type: ignore[misc, unused-ignore]
        began = 0.0
        first = 0
        auc: float | None = None

        def on_train_begin(
            self,
            args: TrainingArguments,  # noqa: ARG002
            state: TrainerState,
            control: TrainerControl,  # noqa: ARG002
            **kwargs: object,  # noqa: ARG002
        ) -> None:
            self.began, self.first = time.monotonic(), state.global_step

        def on_log(
            self,
            args: TrainingArguments,
            state: TrainerState,
            control: TrainerControl,  # noqa: ARG002
            logs: JsonObject | None = None,
            **kwargs: object,  # noqa: ARG002
        ) -> None:
            if not logs or "loss" not in logs:
                self.auc = (logs or {}).get("validation_auc", self.auc)
                return
            loss = float(logs["loss"])
            done = max(1, state.global_step - self.first)
            elapsed_s = time.monotonic() - self.began
            a_step = elapsed_s / done
            of_a_step = an_epoch * args.num_train_epochs / state.max_steps
            line: JsonObject = {
                "step": state.global_step,
                "steps": state.max_steps,
                "loss": loss,
                "learning_rate": logs.get("learning_rate"),
                "tokens_s": round(of_a_step / a_step, 1),
                "elapsed_s": round(elapsed_s, 2),
                "eta_s": round(a_step * (state.max_steps - state.global_step), 1),
            }
            if self.auc is not None:
                line["validation_auc"] = self.auc
            if in_order:
                before = next((int(row["step"]) for row in state.log_history[-2::-1] if "loss" in row), 0)
                batch = recipe.batch * ranks.count()
                line["task_share"] = rows.compute_task_share(training, batch, before + 1, state.global_step)
                state.log_history[-1]["task_share"] = line["task_share"]
            if ranks.is_main():
                with (run_dir / "progress.jsonl").open("a", encoding="utf-8") as out:
                    out.write(json.dumps(line) + "\n")
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss at step {state.global_step} is {loss}", hint="Lower the learning rate."
                )

        def on_save(
            self,
            args: TrainingArguments,  # noqa: ARG002
            state: TrainerState,
            control: TrainerControl,  # noqa: ARG002
            **kwargs: object,  # noqa: ARG002
        ) -> None:
            ranks.wait()  # each has written its random states
            if ranks.is_main():
                (run_dir / "checkpoints" / f"checkpoint-{state.global_step}" / WHOLE).touch()

    return Reporter()


def build_interrupter(interruption: Interruption) -> TrainerCallback:
    """Build the callback that ends a run which got SIGTERM, after the step and a checkpoint of it."""
    from transformers import TrainerCallback

    class Interrupter(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_train_begin(
            self,
            args: TrainingArguments,  # noqa: ARG002
            state: TrainerState,  # noqa: ARG002
            control: TrainerControl,  # noqa: ARG002
            **kwargs: object,  # noqa: ARG002
        ) -> None:
            interruption.is_stepping = True

        def on_step_end(
            self,
            args: TrainingArguments,  # noqa: ARG002
            state: TrainerState,  # noqa: ARG002
            control: TrainerControl,
            **kwargs: object,  # noqa: ARG002
        ) -> None:
            # Every process must end after the same step, so the main one decides.
            interruption.is_received = ranks.share(interruption.is_received)
            if interruption.is_received:
                control.should_save = control.should_training_stop = True

    return Interrupter()


def build_validator(
    recipe: Recipe, run_dir: Path, trainer: SFTTrainer, validation: Sequence[Row]
) -> TrainerCallback:
    """Build the callback that measures the verdicts' AUC meanwhile, and ends a run that gets no better.

    The adapter with the best AUC so far is kept in `<run_dir>/best.safetensors`.
    """
    from transformers import TrainerCallback

    model = cast("PeftModel", trainer.model)

    class Validator(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_step_end(
            self,
            args: TrainingArguments,  # noqa: ARG002
            state: TrainerState,
            control: TrainerControl,
            **kwargs: object,  # noqa: ARG002
        ) -> None:
            assert recipe.validate_every is not None
            if state.global_step % recipe.validate_every:
                return
            measured: JsonObject = {}
            if ranks.is_main():
                measured = verdicts.measure_verdicts(model, validation)
                model.train()
            measured = ranks.share(measured)
            should_log = control.should_log
            trainer.log(dict(measured))
            control.should_log = should_log  # which logging takes back
            series = [row["validation_auc"] for row in state.log_history if "validation_auc" in row]
            if series[-1] == max(series) and ranks.is_main():  # of equals the last, whose loss is lower
                _keep_best(model, run_dir, state.global_step)
            stale = len(series) - 1 - series.index(max(series))
            if recipe.patience is not None and stale >= recipe.patience:
                control.should_training_stop = True

    return Validator()


def _keep_best(model: PeftModel, run_dir: Path, step: int) -> None:
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    weights = get_peft_model_state_dict(model, save_embedding_layers=False)
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    write_atomic(run_dir / BEST, save(on_cpu, metadata={"step": str(step)}))


def load_best(model: PeftModel, run_dir: Path) -> int | None:
    """Give the model the best adapter that the run has kept; return its step, None where it kept none."""
    from peft import set_peft_model_state_dict
    from safetensors import safe_open

    if not (run_dir / BEST).is_file():
        return None
    with safe_open(run_dir / BEST, framework="pt") as kept:
        set_peft_model_state_dict(model, {name: kept.get_tensor(name) for name in kept.keys()})  # noqa: SIM118
        return int(kept.metadata()["step"])
