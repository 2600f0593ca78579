"""docs/howto/add-a-launcher.md, followed step by step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from howto_page import read_page
from temp_package import install_package

from securetag.errors import InputError
from securetag.training.launchers import LAUNCHERS

PAGE = read_page("add-a-launcher")
#: What `securetag train --launcher shared-folder` does before it merges and converts, twice.
USE = """
import json, sys
from pathlib import Path
from securetag.training.launchers import LAUNCHERS, TrainingJob, launch
job = TrainingJob(*map(Path, sys.argv[1:4]))
runs = [launch(job, "shared-folder", progress=lambda line: print(line["loss"])) for _ in range(2)]
print(json.dumps([LAUNCHERS.names(), runs[0].metrics, runs[0] == runs[1]]))
"""


def train_elsewhere(folder: Path) -> None:
    """Do what the other machine does: wait for a job, leave the result of a run."""
    deadline = time.monotonic() + 60
    while not (jobs := list(folder.glob("*/job.json"))):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    result = jobs[0].parent / "part"
    (result / "adapter").mkdir(parents=True)
    (result / "progress.jsonl").write_text('{"loss": 0.5}\n{"loss": 0.25}\n')
    files = {"metrics": {"rows": 3}, "log_history": [], "run": {"state": "done"}}
    for name, content in files.items():
        (result / f"{name}.json").write_text(json.dumps(content))
    result.rename(jobs[0].parent / "run")


@pytest.mark.system
def test_a_launcher_of_another_package_runs_a_job(project: Path, tmp_path: Path) -> None:
    files = dict(PAGE.files)
    install_package(project, files.pop("pyproject.toml"), files)
    release, recipe, folder = tmp_path / "release", tmp_path / "recipe.yaml", tmp_path / "jobs"
    for path in (release, folder):
        path.mkdir()
    recipe.write_text("name: toy\n")
    training = subprocess.Popen(
        [sys.executable, "-c", USE, str(recipe), str(release), str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": str(project), "TRAINING_FOLDER": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    train_elsewhere(folder)
    output, _ = training.communicate(timeout=60)
    assert training.returncode == 0
    *losses, result = output.splitlines()
    assert losses == ["0.5", "0.25"], "a finished run isn't started again"
    assert json.loads(result) == [["local", "runpod", "shared-folder"], {"rows": 3}, True]
    assert list(folder.iterdir()) == [], "nothing of the job is left"


def test_an_unknown_launcher_is_refused_with_the_list() -> None:
    with pytest.raises(InputError, match="no launcher locale") as refusal:
        LAUNCHERS.get("locale")
    assert refusal.value.hint == "Did you mean local? The launchers are: local, runpod."
