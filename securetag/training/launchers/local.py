"""Training in a subprocess of this machine.

The child has a session of its own and dies with us (Linux: it asks the kernel to), so that neither
Ctrl-C in the parent nor a kill -9 of it leaves a training run behind.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securetag.errors import TrainingError
from securetag.settings import cores
from securetag.training.recipe import load

#: Seconds between two looks at the child and its progress.
_POLL_S = 0.5
#: Seconds that a child has to end after SIGTERM.
_GRACE_S = 5.0


@dataclass(frozen=True)
class TrainingRun:
    """A finished run."""

    run_dir: Path
    adapter: Path
    #: See `metrics.json`: rows, tokens, steps, losses, tokens_per_s, wall_s, cpu_s, peak_mb.
    metrics: dict[str, Any]
    #: The trainer's log: rows with step and loss (and, where the order of rows is fixed, `learnt`: the share
    #: of each task in what the steps since the last row learn from), or eval_<task>_loss.
    history: list[dict[str, Any]]


def launch(
    recipe: Path,
    release: Path,
    run_dir: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
    timeout_s: float = 6 * 3600,
) -> TrainingRun:
    """Train and wait. `progress` gets each line of `progress.jsonl` as it appears.

    Called again with the folder of a run that was killed, it resumes; of one that is done, it returns
    at once. Raises SettingsError for a bad recipe, TrainingError with the log's last lines.
    """
    threads = load(recipe, overrides).threads or cores()
    run_dir.mkdir(parents=True, exist_ok=True)
    if not _is_done(run_dir):
        _run(
            [sys.executable, "-m", "securetag.training.sft", "--recipe", str(recipe), "--release",
             str(release), "--run", str(run_dir), "--overrides", json.dumps(dict(overrides or {})),
             "--parent", str(os.getpid())],
            run_dir, threads, progress, timeout_s,
        )  # fmt: skip
    if not _is_done(run_dir):
        raise TrainingError(f"the run in {run_dir} ended without a result", hint="See its train.log.")
    return TrainingRun(
        run_dir=run_dir, adapter=run_dir / "adapter",
        metrics=json.loads((run_dir / "metrics.json").read_bytes()),
        history=json.loads((run_dir / "log_history.json").read_bytes()),
    )  # fmt: skip


def _run(
    command: list[str],
    run_dir: Path,
    threads: int,
    progress: Callable[[dict[str, Any]], None] | None,
    timeout_s: float,
) -> None:
    log = run_dir / "train.log"
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    tail = _Tail(run_dir / "progress.jsonl")
    deadline = time.monotonic() + timeout_s
    with log.open("ab") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment,
            start_new_session=True,
        )  # fmt: skip
    try:
        while True:
            ended = child.poll() is not None
            for line in tail.read():
                if progress is not None:
                    progress(line)
            if ended:
                break
            if time.monotonic() > deadline:
                raise TrainingError(
                    f"training took longer than {timeout_s:g} s",
                    hint=f"Resume it with the same folder: {run_dir}",
                )
            time.sleep(_POLL_S)
    finally:
        _end(child)
    if child.returncode:
        if shutil.disk_usage(run_dir).free == 0:  # the log has nothing to say then
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run_dir))
        last = "\n".join(log.read_text(errors="replace").strip().splitlines()[-5:])
        raise TrainingError(f"training failed (exit code {child.returncode}): {last}", hint=f"See {log}.")


class _Tail:
    """The lines that were appended to a JSONL file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0

    def read(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as handle:
            handle.seek(self._position)
            new = handle.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._position += len(whole)
        return [json.loads(line) for line in whole.splitlines()]


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child's whole session, if it still runs."""
    for number, wait in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, None)):
        if child.poll() is not None:
            return
        os.killpg(child.pid, number)
        try:
            child.wait(wait)
        except subprocess.TimeoutExpired:
            continue


def _is_done(run_dir: Path) -> bool:
    try:
        return bool(json.loads((run_dir / "run.json").read_bytes())["state"] == "done")
    except (OSError, ValueError, KeyError):
        return False
