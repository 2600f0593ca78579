"""A fake RunPod whose pods really train: the image's start script runs here, in its own process group."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fake_cloud import CHECKOUT, FakeRunPod

START = CHECKOUT / "deploy" / "runpod" / "start.sh"


class ProcessPods(FakeRunPod):
    """Each pod is `deploy/runpod/start.sh` in a folder of its own, with RunPod's environment."""

    def __init__(self, contract: dict[str, Any], folder: Path, *, environment: dict[str, str]) -> None:
        super().__init__("rp-key", contract, boot=self._boot)
        self.folder, self.environment = folder, environment
        self.stock = {"NVIDIA H100 PCIe": "HIGH"}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        #: Lines after which the next log streams are cut.
        self.cuts: list[int] = []
        #: Most pods at a time.
        self.most = 0

    def _boot(self, machine: dict[str, Any]) -> Callable[[], None]:
        folder = self.folder / machine["id"]
        folder.mkdir(parents=True)
        base = self.folder / "acme"
        if base.exists():
            (folder / "acme").symlink_to(base, target_is_directory=True)
        environment = {
            **os.environ,
            **machine["env"],
            **self.environment,
            "PYTHON": sys.executable,
            "RUNPOD_POD_ID": machine["id"],
            "RUNPOD_API_KEY": self.token,
            "TRAINING_FOLDER": str(folder / "training"),
        }
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(START)], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes[machine["id"]] = process
        self.most = max(self.most, len(self.machines))

        def end() -> None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

        return end

    def _shown(self, machine: dict[str, Any]) -> dict[str, Any]:
        process = self.processes.get(machine["id"])
        ended = process is not None and process.poll() is not None
        return super()._shown(machine) | ({"status": "EXITED"} if ended else {})

    def read_log(self, identity: str) -> list[str]:
        path = self.folder / identity / "log"
        text = path.read_text(errors="replace") if path.exists() else ""
        return text[: text.rfind("\n") + 1].splitlines()

    def stream(self, path: str, last_event_id: str | None) -> Iterator[str] | None:
        parts = path.split("/")
        if parts[-1] != "logs" or parts[-2] not in self.machines:
            return None
        return self._follow(parts[-2], int(last_event_id or 0))

    def _follow(self, identity: str, position: int) -> Iterator[str]:
        budget = self.cuts.pop(0) if self.cuts else sys.maxsize
        while identity in self.machines and self.processes[identity].poll() is None:
            for line in self.read_log(identity)[position:]:
                position += 1
                ts = f"{position:012d}"
                yield f"id: {ts}\ndata: {json.dumps({'ts': ts, 'source': 'container', 'line': line})}\n\n"
                budget -= 1
                if budget == 0:
                    return
            time.sleep(0.05)
