"""SIGTERM ends a run after a checkpoint, and the resumed run has the loss curve of one that was left alone.

The other end of a run: verdicts that get no better.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from securetag.errors import TrainingError
from securetag.records import JsonObject
from securetag.training.callbacks import TERMINATED
from securetag.training.launchers import TrainingJob, launch
from securetag.training.launchers.local import LocalLauncher

pytestmark = [pytest.mark.system, pytest.mark.slow]

#: Twenty steps with dropout, whose random states must be resumed too, and no checkpoint but SIGTERM's.
STEPS: JsonObject = {
    "epochs": 1,
    "save_every": 1000,
    "validate_every": 6,
    "lora": {"r": 8, "alpha": 16, "dropout": 0.2},
}


def curve(history: list[JsonObject]) -> list[tuple[int, float]]:
    return [(row["step"], row["loss"]) for row in history if "loss" in row]


def test_after_sigterm_the_loss_curve_goes_on_as_if_nothing_had_been(
    tiny_recipe: Path, tiny_release: Path, tmp_path: Path
) -> None:
    whole = launch(TrainingJob(tiny_recipe, tiny_release, tmp_path / "whole", STEPS))
    job = TrainingJob(tiny_recipe, tiny_release, tmp_path / "cut", STEPS)
    launcher = LocalLauncher()
    run = launcher.start(job)
    is_stepping = threading.Event()
    failure: list[TrainingError] = []

    def watch() -> None:
        try:
            launcher.watch(run, lambda line: is_stepping.set(), timeout_s=280)
        except TrainingError as error:
            failure.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    assert is_stepping.wait(240)
    run.child.terminate()
    thread.join()
    launcher.stop(run)
    assert f"exit code {TERMINATED}" in str(failure[0])
    assert json.loads((tmp_path / "cut" / "run.json").read_bytes())["state"] == "interrupted"
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "cut" / "progress.jsonl").read_text().splitlines()
    ]
    assert 1 <= steps[-1] < 20

    resumed = launch(job)
    assert resumed.metrics["resumed_from"] == f"checkpoint-{steps[-1]}", "no step is lost"
    assert [step for step, _ in curve(resumed.history)] == list(range(1, 21))
    for (step, loss), (_, expected) in zip(curve(resumed.history), curve(whole.history), strict=True):
        assert loss == pytest.approx(expected, rel=1e-5), step
    series = [row["validation_auc"] for row in resumed.history if "validation_auc" in row]
    assert series == [row["validation_auc"] for row in whole.history if "validation_auc" in row]
    assert len(series) == 3
    assert resumed.metrics["best_step"] == whole.metrics["best_step"]


def test_a_run_whose_verdicts_get_no_better_ends_with_its_best_adapter(
    tiny_recipe: Path, tiny_release: Path, tmp_path: Path
) -> None:
    # A learning rate of nearly nothing: every measurement equals the first.
    still = {"epochs": 3, "learning_rate": 1e-12, "validate_every": 2, "patience": 3, "warmup": 1}
    run = launch(TrainingJob(tiny_recipe, tiny_release, tmp_path / "run", still))
    assert run.metrics["steps"] == 8, "the first measurement, and three that are no better"
    assert run.metrics["best_step"] == 8
    assert (run.adapter / "adapter_model.safetensors").is_file()
    assert not (tmp_path / "run" / "best.safetensors").exists()


def test_measuring_needs_rows_of_both_labels(tiny_recipe: Path, tiny_release: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="validation rows of both labels"):
        launch(
            TrainingJob(
                tiny_recipe, tiny_release, tmp_path / "run", {"validate_every": 2, "validation_rows": 1}
            )
        )
