"""What a well-behaved client waits for `/healthz` while others send without end or too slowly.

Quiet and attacked rounds alternate on one server, so that the machine's other work meets both alike.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx

from benchmarks.api import speed
from benchmarks.api.processes import make_key, run_api, run_load
from benchmarks.figure import Figure

ROUNDS, CALLS = 5, 400
#: Seconds of attack before its round is measured.
WARM_UP_S = 3.0
#: The slowest call in a hundred under attack, to the same without.
BAR = 3.0
#: MiB that the api may grow by.
GROWTH_BAR = 48.0
#: Readers that ask without a pause, seconds of it, and the useful answers of many to those of few.
FEW, MANY = 16, 600
LOAD_S = 10.0
LOAD_BAR = 0.9


def measure() -> Iterator[Figure]:
    """p99 of `GET /healthz` with and without the attack; what the attack makes the api hold."""
    quiet: list[float] = []
    attacked: list[float] = []
    grown = 0.0
    with run_api() as (process, url), httpx.Client(base_url=url, timeout=60) as client:
        _latencies(client)  # the first calls pay for imports and caches
        resting = process.memory_info().rss
        for _ in range(ROUNDS):
            quiet += _latencies(client)
            with _attack(url):
                time.sleep(WARM_UP_S)
                attacked += _latencies(client)
                grown = max(grown, (process.memory_info().rss - resting) / 2**20)
    ratio = _p99(attacked) / _p99(quiet)
    yield Figure(
        figure="/healthz p99 under attack",
        value=round(_p99(attacked) * 1000, 2),
        unit="ms",
        peer=f"quiet: {_p99(quiet) * 1000:.2f}",
    )
    yield Figure(
        figure="… to the quiet one", value=round(ratio, 2), unit="×", bar=f"≤ {BAR:g}", ok=ratio <= BAR
    )
    yield Figure(
        figure="… memory that the api grows by",
        value=round(grown, 1),
        unit="MiB",
        bar=f"≤ {GROWTH_BAR:g}",
        ok=grown <= GROWTH_BAR,
    )

    yield from _measure_load()
    yield from speed.measure()


def _measure_load() -> Iterator[Figure]:
    """Answers of 200 a second of the api's CPU, with few readers and with many."""
    rates: dict[int, float] = {}
    with run_api() as (process, url):
        key = make_key()
        for readers in (FEW, MANY):
            load = run_load(url, key, readers, process.pid, "/projects", LOAD_S)
            rates[readers] = load.get("200", 0) / load["cpu_s"]
    share = rates[MANY] / rates[FEW]
    yield Figure(
        figure=f"answers a CPU-second with {MANY} readers",
        value=round(rates[MANY], 1),
        unit="1/s",
        peer=f"{FEW} readers: {rates[FEW]:.1f}",
    )
    yield Figure(
        figure="… to those with few",
        value=round(share, 2),
        unit="×",
        bar=f"≥ {LOAD_BAR:g}",
        ok=share >= LOAD_BAR,
    )


def _latencies(client: httpx.Client) -> list[float]:
    """Seconds of each call."""
    seconds = []
    for _ in range(CALLS):
        began = time.perf_counter()
        client.get("/healthz").raise_for_status()
        seconds.append(time.perf_counter() - began)
    return seconds


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


@contextmanager
def _attack(url: str) -> Iterator[None]:
    parts = urlsplit(url)
    attacker = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.api.attack", str(parts.hostname), str(parts.port)]
    )
    try:
        yield
        assert attacker.poll() is None, "the attacker gave up"
    finally:
        attacker.kill()
        attacker.wait()
