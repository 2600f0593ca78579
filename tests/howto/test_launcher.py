"""docs/howto/add-a-launcher.md, followed: a launcher from another package runs a job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from packages import write_package

#: Copies the job to a folder, "trains" there and fetches the result. It says what it does.
LAUNCHER = """
import json, os, shutil
from pathlib import Path

INBOX = Path(os.environ["TOY_INBOX"])

class ToyLauncher:
    def start(self, job):
        shutil.copytree(job.release, INBOX / job.run_dir.name / "release")
        print("started", job.recipe.name, flush=True)
        return job

    def watch(self, handle, progress=None, *, timeout_s):
        progress({"step": 1, "loss": 0.5})
        (handle.run_dir / "adapter").mkdir(parents=True)
        for name, content in {"metrics": {"rows": 3}, "log_history": [], "run": {"state": "done"}}.items():
            (handle.run_dir / f"{name}.json").write_text(json.dumps(content))

    def stop(self, handle):
        shutil.rmtree(INBOX / handle.run_dir.name)
        print("stopped", flush=True)
"""
#: What `securetag train` calls before it merges and converts.
USE = """
import json, sys
from pathlib import Path
from securetag.training.launchers import LAUNCHERS, TrainingJob, launch
print("launchers", *LAUNCHERS.names())
job = TrainingJob(Path("recipe.yaml"), Path(sys.argv[1]), Path(sys.argv[2]))
for _ in range(2):  # a finished job is not started again
    run = launch(job, "toy", progress=lambda line: print("step", line["step"]))
print(json.dumps(run.metrics))
"""


def test_a_launcher_of_another_package(tmp_path: Path) -> None:
    entry_points = {"securetag.launchers": {"toy": "toy_launcher:ToyLauncher"}}
    package = write_package(tmp_path / "site", "toy-launcher", {"toy_launcher.py": LAUNCHER}, entry_points)
    release, inbox = tmp_path / "release", tmp_path / "inbox"
    release.mkdir()
    inbox.mkdir()
    paths = f"{package}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, "-c", USE, str(release), str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": paths, "TOY_INBOX": str(inbox)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *lines, metrics = done.stdout.splitlines()
    assert lines == ["launchers local toy", "started recipe.yaml", "step 1", "stopped"]
    assert json.loads(metrics) == {"rows": 3}
    assert list(inbox.iterdir()) == [], "nothing of the job is left"
