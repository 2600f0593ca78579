"""Training in a subprocess of this machine.

The child has a session of its own and dies with us, so that neither Ctrl-C in the parent nor a kill -9
of it leaves a training run behind.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from securetag.errors import TrainingError
from securetag.records import JsonObject
from securetag.settings import cores, get_settings
from securetag.system.processes import ChildProcess, log_tail
from securetag.training.launchers.protocol import Progress, TrainingJob
from securetag.training.recipe import Recipe, load

#: Seconds between two looks at the child and its progress.
POLL_SECONDS = 0.5
#: Seconds that a child has to end after SIGTERM: it ends its step and writes a checkpoint.
GRACE_SECONDS = 30.0


@dataclass(frozen=True)
class LocalRun:
    """A running job: its process, log and the place up to which its progress was read."""

    job: TrainingJob
    child: ChildProcess
    log: Path
    tail: ProgressTail


def training_command(recipe: Recipe, path: Path, release: Path, run_dir: Path) -> list[str]:
    """Return the command of a training process; for several GPUs, torchrun starts one for each."""
    command = [sys.executable, "-m"]
    if recipe.gpus > 1:
        command += ["torch.distributed.run", "--standalone", "--nproc_per_node", str(recipe.gpus), "-m", "--"]
    command += ["securetag.training.sft", "--recipe", str(path), "--release", str(release)]
    return [*command, "--run", str(run_dir)]


class LocalLauncher:
    """Runs a job in a subprocess of this machine."""

    def start(self, job: TrainingJob) -> LocalRun:
        recipe = load(job.recipe, job.overrides)
        threads = recipe.threads or cores()
        job.run_dir.mkdir(parents=True, exist_ok=True)
        log = job.run_dir / "train.log"
        tail = ProgressTail(job.run_dir / "progress.jsonl")
        command = training_command(recipe, job.recipe, job.release, job.run_dir)
        command += ["--overrides", json.dumps(dict(job.overrides))]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONUNBUFFERED": "1",
        }
        if token := get_settings().hf_token:  # it may stand in a file that the child doesn't read
            environment["HF_TOKEN"] = token.get_secret_value()
        with log.open("ab") as output:
            child = ChildProcess(command, stdout=output, stderr=output, env=environment)
        return LocalRun(job, child, log, tail)

    def watch(self, handle: LocalRun, progress: Progress | None = None, *, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            ended = not handle.child.running
            for line in handle.tail.read():
                if progress is not None:
                    progress(line)
            if ended:
                break
            if time.monotonic() > deadline:
                raise TrainingError(
                    f"training took longer than {timeout_s:g} s",
                    hint=f"Resume it with the same folder: {handle.job.run_dir}",
                )
            time.sleep(POLL_SECONDS)
        if exit_code := handle.child.end():
            run_dir = handle.job.run_dir
            if shutil.disk_usage(run_dir).free == 0:  # the log has nothing to say then
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run_dir))
            raise TrainingError(
                f"training failed (exit code {exit_code}): {log_tail(handle.log)}", hint=f"See {handle.log}."
            )

    def stop(self, handle: LocalRun) -> None:
        handle.child.end(GRACE_SECONDS)


class ProgressTail:
    """The lines that were appended to a JSONL file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0

    def read(self) -> list[JsonObject]:
        """Return the whole lines that are new, decoded."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as handle:
            handle.seek(self._position)
            content = handle.read()
        lines = content[: content.rfind(b"\n") + 1]
        self._position += len(lines)
        return [json.loads(line) for line in lines.splitlines()]
