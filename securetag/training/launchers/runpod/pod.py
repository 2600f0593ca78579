"""What runs in a training pod: fetch the inputs, train, store checkpoints and the result, say how it ended.

Each line on stdout is an event, numbered from 1: `{"n", "event", …}` with `begin`, `progress` (`line`: a line
of `progress.jsonl`), `alive` (once a minute), `checkpoint` and last `closing` (`state` done or failed).
The closing is stored too, before it is written: a log can get lost.

The job is the JSON object in the variable TRAINING_JOB (`securetag.training.launchers.runpod.launcher`).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from securetag.errors import SecuretagError, TrainingError
from securetag.records import JsonObject
from securetag.system.hashing import hash_file
from securetag.system.processes import ChildProcess, log_tail
from securetag.training.launchers.local import GRACE_SECONDS, POLL_SECONDS, ProgressTail, training_command
from securetag.training.launchers.protocol import is_done
from securetag.training.launchers.runpod import bundle
from securetag.training.recipe import load

#: Seconds between two signs of life.
ALIVE_S = 60.0
#: Times that a training process is started again after a signal ended it.
MAX_CRASHES = 2
#: Seconds for which a transfer is repeated.
TRANSFER_S = 600.0
_repeated = retry(
    retry=retry_if_exception_type(httpx.HTTPError),
    stop=stop_after_delay(TRANSFER_S),
    wait=wait_exponential(max=30),
    reraise=True,
)


class Events:
    """Writes numbered events to stdout."""

    def __init__(self) -> None:
        self._number = 0

    def write(self, event: str, **fields: object) -> None:
        """Write one event."""
        self._number += 1
        print(json.dumps({"n": self._number, "event": event, **fields}), flush=True)


def run(job: JsonObject, folder: Path, events: Events) -> None:
    """Do a job in a folder. A failure is stored and written as the closing. Raises httpx.HTTPError."""
    events.write("begin", job=job["job"])
    try:
        run_dir = _prepare(job, folder)
        _train(job, folder, run_dir, events)
        archive = bundle.pack_result(run_dir, folder / "result.tar")
        closing: JsonObject = {"state": "done", "sha256": hash_file(archive), "bytes": archive.stat().st_size}
        _upload(job["put_result"], archive)
    except (SecuretagError, OSError) as error:
        closing = {"state": "failed", "reason": str(error)[:2000]}
    content = folder / "closing.json"
    content.write_text(json.dumps({"job": job["job"], **closing}))
    _upload(job["put_closing"], content)
    events.write("closing", **closing)


def _prepare(job: JsonObject, folder: Path) -> Path:
    """Fetch inputs and the last checkpoint; return the run's folder. Raises TrainingError."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs = folder / "inputs.tar"
    if not _download(job["inputs"], inputs):
        raise TrainingError("the inputs are not in the storage")
    if hash_file(inputs) != job["inputs_sha256"]:
        raise TrainingError("the inputs are not those that the job names")
    bundle.unpack(inputs, folder)
    run_dir = folder / "run"
    run_dir.mkdir(exist_ok=True)
    checkpoint = folder / "checkpoint.tar"
    if not is_done(run_dir) and _download(job["checkpoint"], checkpoint):
        bundle.unpack(checkpoint, run_dir)
        checkpoint.unlink()
    return run_dir


def _train(job: JsonObject, folder: Path, run_dir: Path, events: Events) -> None:
    """Run the training process to its end. Raises TrainingError with its last words."""
    path = folder / bundle.RECIPE
    command = training_command(load(path), path, folder / bundle.RELEASE, run_dir)
    tail, log, stored = ProgressTail(run_dir / "progress.jsonl"), run_dir / "train.log", ""
    for crashes in range(MAX_CRASHES + 1):
        with log.open("ab") as output, ChildProcess(command, stdout=output, stderr=output) as child:
            alive_at = time.monotonic()
            while child.running:
                time.sleep(POLL_SECONDS)
                for line in tail.read():
                    events.write("progress", line=line)
                stored = _store_checkpoint(job, folder, run_dir, stored, events)
                if time.monotonic() > alive_at + ALIVE_S:
                    alive_at = time.monotonic()
                    events.write("alive")
                if time.time() > job["deadline"]:
                    child.end(GRACE_SECONDS)
                    raise TrainingError("the deadline passed")
            exit_code = child.end()
        for line in tail.read():
            events.write("progress", line=line)
        if exit_code == 0:
            return
        if exit_code > 0:
            break
        events.write("crash", signal=-exit_code, count=crashes + 1)
    raise TrainingError(f"the training process ended with {exit_code}: {log_tail(log)}")


def _store_checkpoint(job: JsonObject, folder: Path, run_dir: Path, stored: str, events: Events) -> str:
    """Store the newest complete checkpoint unless it is `stored`; return the name of the stored one."""
    from securetag.training.callbacks import WHOLE

    whole = sorted(
        (path.parent for path in (run_dir / "checkpoints").glob(f"checkpoint-*/{WHOLE}")),
        key=lambda path: int(path.name.rsplit("-", 1)[1]),
    )
    if not whole or whole[-1].name == stored:
        return stored
    try:
        archive = bundle.pack_checkpoint(run_dir, whole[-1], folder / "checkpoint.tar")
        _upload(job["put_checkpoint"], archive)
    except (
        OSError,
        httpx.HTTPError,
    ):  # removed by the trainer, or the storage is away: the next one
        return stored
    events.write("checkpoint", name=whole[-1].name)
    return whole[-1].name


@_repeated
def _download(url: str, path: Path) -> bool:
    """Fetch a file; return False where the storage has none. Raises httpx.HTTPError."""
    with httpx.stream("GET", url, timeout=120, follow_redirects=True) as response:
        # Without the right to list the bucket, a missing key answers 403.
        if response.status_code in {403, 404}:
            return False
        response.raise_for_status()
        with path.open("wb") as out:
            for chunk in response.iter_bytes():
                out.write(chunk)
    return True


@_repeated
def _upload(url: str, path: Path) -> None:
    """Store a file. Raises httpx.HTTPError."""
    with path.open("rb") as content:
        headers = {"Content-Length": str(path.stat().st_size)}
        httpx.put(url, content=content, headers=headers, timeout=600).raise_for_status()


def main() -> None:
    """Do the job of TRAINING_JOB in the folder TRAINING_FOLDER."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the training process on the way out
    folder = Path(os.environ.get("TRAINING_FOLDER", "/workspace/training"))
    run(json.loads(os.environ["TRAINING_JOB"]), folder, Events())


if __name__ == "__main__":
    main()
