"""Two processes (DDP, gloo on the CPU) train what one trains with twice the batch, and one of them writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from securetag.records import JsonObject
from securetag.training.launchers import TrainingJob, launch

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.sockets]

#: Ten steps of eight rows.
STEPS: JsonObject = {"epochs": 1, "micro_batch": 2, "save_every": 4, "validate_every": 5, "log_every": 1}


def losses(history: list[JsonObject]) -> list[float]:
    return [row["loss"] for row in history if "loss" in row]


@pytest.mark.parametrize(
    "objective",
    [
        {"objective": "ranking"},
        {"objective": "completion", "compute_savings": True},
        {"objective": "completion"},
    ],
    ids=["ranking", "completion with savings", "completion"],
)
def test_two_processes_learn_what_one_does_with_twice_the_batch(
    objective: JsonObject, tiny_recipe: Path, tiny_release: Path, tmp_path: Path
) -> None:
    alone = launch(TrainingJob(tiny_recipe, tiny_release, tmp_path / "1", STEPS | objective | {"batch": 8}))
    both = launch(
        TrainingJob(tiny_recipe, tiny_release, tmp_path / "2", STEPS | objective | {"batch": 4, "gpus": 2})
    )
    assert both.metrics["steps"] == alone.metrics["steps"] == 10
    assert losses(both.history) == pytest.approx(losses(alone.history), rel=1e-3)
    assert both.metrics["validation_auc"] == alone.metrics["validation_auc"]
    # What two writers would have left: each step twice.
    written = [
        json.loads(line)["step"] for line in (tmp_path / "2" / "progress.jsonl").read_text().splitlines()
    ]
    assert written == list(range(1, 11))
    assert [row["task_share"] for row in both.history if "loss" in row] == [{"triage": 1.0}] * 10
    events = [len(list((tmp_path / run / "tensorboard").glob("events.*"))) for run in ("1", "2")]
    assert events[0] == events[1] > 0
