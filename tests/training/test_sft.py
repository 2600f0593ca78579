"""Real training of a tiny Llama: the loss falls, a kill -9 resumes, and a run refuses another's folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from securetag.errors import SettingsError, TrainingError
from securetag.records import JsonObject
from securetag.training import callbacks, sft
from securetag.training.launchers import TrainingJob, launch
from securetag.training.merge import adapter_digest, merge, recipe_of
from securetag.training.recipe import load


def steps(run_dir: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run_dir / "progress.jsonl").read_text().splitlines()]


def wait_for_step(run_dir: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (run_dir / "progress.jsonl").exists() and max(steps(run_dir), default=0) >= step:
            return
        time.sleep(0.05)
    raise AssertionError((run_dir / "train.log").read_text()[-2000:])


@pytest.mark.system
@pytest.mark.slow
def test_killed_at_a_step_it_resumes_at_its_checkpoint_and_the_loss_falls(
    tiny_recipe: Path, tiny_release: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    seen: list[JsonObject] = []
    failed: list[BaseException] = []

    def first() -> None:
        try:
            launch(TrainingJob(tiny_recipe, tiny_release, run_dir))
        except TrainingError as error:
            failed.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    wait_for_step(run_dir, 23)
    trained = pid_of(run_dir)
    os.kill(trained, signal.SIGKILL)
    thread.join()
    assert "exit code -9" in str(failed[0])
    assert not (run_dir / "metrics.json").exists()
    reached = max(steps(run_dir))
    # What a kill in the middle of writing leaves behind is no checkpoint.
    (run_dir / "checkpoints" / "checkpoint-59").mkdir()

    run = launch(TrainingJob(tiny_recipe, tiny_release, run_dir), progress=seen.append)

    resumed = int(str(run.metrics["resumed_from"]).rsplit("-", 1)[1])
    assert resumed % 10 == 0
    assert reached - 10 <= resumed <= reached
    assert [line["step"] for line in seen] == list(range(resumed + 1, 61))
    assert run.metrics["steps"] == 60
    assert run.metrics["rows"] == 80
    losses = [row["loss"] for row in run.history if "loss" in row]
    assert len(losses) == 60
    assert sum(losses[-5:]) / 5 < 0.5 * losses[0]
    assert list(run.metrics["validation_loss"]) == ["triage"]
    assert run.metrics["validation_loss"]["triage"] < 0.5 * losses[0]
    # Also of the steps before the kill, and of those after it.
    assert [row["task_share"] for row in run.history if "loss" in row] == [{"triage": 1.0}] * 60
    assert seen[-1]["task_share"] == {"triage": 1.0}
    assert json.loads((run_dir / "run.json").read_bytes())["state"] == "done"
    assert not (run_dir / "checkpoints").exists()

    assert launch(TrainingJob(tiny_recipe, tiny_release, run_dir)).metrics == run.metrics  # done is done
    merged = merge(run_dir, tmp_path / "merged")
    assert (merged / "model.safetensors").is_file()
    assert len(adapter_digest(run_dir)) == 64
    assert recipe_of(run_dir).name == "tiny"


def pid_of(run_dir: Path) -> int:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if b"securetag.training.sft" in command and str(run_dir).encode() in command:
                return int(folder.name)
    raise AssertionError("no training process")


@pytest.mark.system
@pytest.mark.slow
def test_a_run_without_a_usable_row_says_why_and_one_that_lasts_too_long_is_ended(
    tiny_recipe: Path, tiny_release: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="too_long"):
        launch(TrainingJob(tiny_recipe, tiny_release, tmp_path / "a", {"max_tokens": 64}))
    assert json.loads((tmp_path / "a" / "run.json").read_bytes())["state"] == "failed"
    with pytest.raises(TrainingError, match="took longer than 1 s"):
        launch(TrainingJob(tiny_recipe, tiny_release, tmp_path / "b"), timeout_s=1)
    with pytest.raises(AssertionError, match="no training process"):
        pid_of(tmp_path / "b")


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.parametrize(
    "objective",
    [{"objective": "ranking"}, {"compute_savings": True}, {"compute_savings": False}],
    ids=["ranking", "completion with savings", "completion"],
)
def test_bfloat16_trains_as_the_recipes_of_the_8b_model_do(
    objective: JsonObject, tiny_recipe: Path, tiny_release: Path, tmp_path: Path
) -> None:
    """Weights in bfloat16, an adapter in float32, and autocast between them, also where we read the model."""
    short = {"dtype": "bfloat16", "epochs": 1, "max_rows": 16, "report_to": []}
    run = launch(TrainingJob(tiny_recipe, tiny_release, tmp_path / "run", short | objective))
    losses = [row["loss"] for row in run.history if "loss" in row]
    assert len(losses) == 4
    assert losses[-1] < losses[0]


@pytest.mark.system
def test_training_dies_with_its_launcher(tiny_recipe: Path, tiny_release: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    code = (
        "import sys; from pathlib import Path; from securetag.training.launchers import TrainingJob, launch;"
        "launch(TrainingJob(*map(Path, sys.argv[1:4])))"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", code, str(tiny_recipe), str(tiny_release), str(run_dir)]
    )
    deadline = time.monotonic() + 60
    while not (run_dir / "run.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    trained = pid_of(run_dir)
    launcher.kill()
    launcher.wait()
    deadline = time.monotonic() + 10
    while running(trained):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.system
def test_a_folder_of_another_run_is_refused(tiny_recipe: Path, tiny_release: Path, tmp_path: Path) -> None:
    sft._begin(load(tiny_recipe), tiny_release, tmp_path)
    sft._begin(load(tiny_recipe), tiny_release, tmp_path)
    with pytest.raises(TrainingError, match="another recipe or release"):
        sft._begin(load(tiny_recipe, {"seed": 7}), tiny_release, tmp_path)
    with pytest.raises(TrainingError, match="running, not done"):
        recipe_of(tmp_path)
    with pytest.raises(TrainingError, match="no training run"):
        recipe_of(tmp_path / "none")


def test_a_bad_recipe_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        launch(TrainingJob(tmp_path / "none.yaml", tmp_path, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    assert sft.last_checkpoint(tmp_path) is None
    for number, whole in ((9, True), (10, True), (20, False)):
        folder = tmp_path / "checkpoints" / f"checkpoint-{number}"
        folder.mkdir(parents=True)
        if whole:
            (folder / callbacks.WHOLE).touch()
    assert sft.last_checkpoint(tmp_path) == tmp_path / "checkpoints" / "checkpoint-10"
    assert not (tmp_path / "checkpoints" / "checkpoint-20").exists()
