"""An upload of one GiB: the memory of the api, and what `/healthz` takes meanwhile and on an idle api.

`python -m benchmarks api.upload`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil

from benchmarks.api.processes import make_key, run_api
from benchmarks.figure import Figure

SIZE = 1 << 30
#: Bytes of one file in the archive.
PART = 16 << 20
MEMORY_BAR_MB, HEALTH_BAR_MS = 150.0, 50.0
CALLS = 500
#: Sends the form from a process of its own, so that it doesn't slow down the calls that are timed.
_SEND = """
import sys, httpx
url, key, path = sys.argv[1:]
with open(path, "rb") as archive:
    form = {"files": {"file": ("large.zip", archive)}, "data": {"project": "large"}}
    print(httpx.post(f"{url}/codeaudit/upload", headers={"X-API-Key": key}, timeout=600, **form).status_code)
"""


def measure() -> Iterator[Figure]:
    """Yield the peak memory of the api, the seconds of the upload, and p99 of `/healthz`."""
    os.environ["SECURETAG_API__MAX_UPLOAD"] = str(SIZE * 2)
    os.environ["SECURETAG_WORKER__MAX_UNPACKED"] = str(SIZE * 2)
    with tempfile.TemporaryDirectory() as folder, run_api() as (process, url), _open(url) as client:
        archive = _write_archive(Path(folder) / "large.zip")
        key = make_key("scan")
        client.get("/healthz").raise_for_status()
        idle = _time_health(client, lambda: False)
        before = _peak_mb(process)
        began = time.monotonic()
        sending = subprocess.Popen(
            [sys.executable, "-c", _SEND, url, key, str(archive)], stdout=subprocess.PIPE, text=True
        )
        busy = _time_health(client, lambda: sending.poll() is None)
        status, _ = sending.communicate(timeout=600)
        seconds = time.monotonic() - began
        assert status.strip() == "202", status
        peak = _peak_mb(process)
    yield Figure(
        figure="peak memory of the api after an upload of 1 GiB",
        value=round(peak, 1),
        unit="MiB",
        peer=f"before: {before:.1f}; {seconds:.1f} s",
        bar=f"≤ {MEMORY_BAR_MB:g}",
        ok=peak <= MEMORY_BAR_MB,
    )
    yield Figure(
        figure="/healthz p99, idle",
        value=round(_p99_ms(idle), 1),
        unit="ms",
        peer=f"during the upload: {_p99_ms(busy):.1f}",
        bar=f"≤ {HEALTH_BAR_MS:g}",
        ok=_p99_ms(idle) <= HEALTH_BAR_MS,
    )


def _open(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=60)


def _write_archive(path: Path) -> Path:
    """Write a project of random bytes, which no compression makes smaller."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
        for number in range(SIZE // PART):
            bundle.writestr(f"data/{number}.bin", os.urandom(PART))
    return path


def _time_health(client: httpx.Client, goes_on: Callable[[], bool]) -> list[float]:
    """Seconds of each call: CALLS, and more while `goes_on`."""
    seconds: list[float] = []
    while len(seconds) < CALLS or goes_on():
        began = time.perf_counter()
        client.get("/healthz").raise_for_status()
        seconds.append(time.perf_counter() - began)
        time.sleep(0.005)
    return seconds


def _p99_ms(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)] * 1000


def _peak_mb(process: psutil.Process) -> float:
    """The most resident memory that the process has ever had."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
