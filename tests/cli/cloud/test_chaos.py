"""Kill -9 of `securetag cloud deploy` at random moments: the next run finishes or tears down.

The short form kills three times; `make chaos` twenty times.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from local_droplet import LocalDroplet, read_user_data
from postgres import Database
from rented import Rental

from securetag.db.engine import create_engine
from securetag.db.repositories.keys import register_key
from securetag.db.repositories.tenants import create_tenant
from securetag.settings import LOCAL_PEPPER

pytestmark = [pytest.mark.sockets, pytest.mark.slow, pytest.mark.system]

MODEL = "03" * 32
WORKER_KEY = "worker's"


class SharedDroplet:
    """One api and one worker for every droplet of a test: a droplet that boots registers its key."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def boot(self, droplet: dict[str, Any]) -> Callable[[], None]:
        _, files = read_user_data(droplet["_user_data"])
        key = next(content for path, content in files.items() if path.endswith("/verification_key"))
        asyncio.run(self._register(key))
        return lambda: None

    async def _register(self, key: str) -> None:
        engine = create_engine(self.dsn)
        name = f"verification {time.monotonic_ns()}"
        tenant = await create_tenant(engine, name, model_policy="operator")
        await register_key(engine, tenant, "verification", ["read", "scan"], LOCAL_PEPPER, key)
        await engine.dispose()


@pytest.fixture
def shared(rental: Rental, tmp_path: Path, clean_database: Database) -> Iterator[Rental]:
    """Clouds whose droplets share one api and worker."""
    files = [
        {"path": "/o/compose.cloud.yaml", "content": json.dumps(override(rental))},
        {"path": "/o/key", "content": WORKER_KEY},
        {"path": "/o/registry.json", "content": "{}"},
        {"path": "/o/verification_key", "content": f"stk_{'a' * 12}_{'b' * 43}"},
    ]
    user_data = "#cloud-config\n" + json.dumps({"write_files": files})
    rental.ollama.api_keys.add(WORKER_KEY)
    end = LocalDroplet(tmp_path / "droplets", clean_database.dsn_api, rental.api_port).boot(
        {"id": 1, "_user_data": user_data}
    )
    try:
        rental.digitalocean.boot = SharedDroplet(clean_database.dsn_api).boot
        rental.publish(MODEL)
        yield rental
    finally:
        end()


def override(rental: Rental) -> dict[str, Any]:
    environment = {
        "SECURETAG_TRIAGE__BACKEND": "ollama",
        "SECURETAG_TRIAGE__ALIASES": '["securetag-v1"]',
        "OLLAMA_HOST": rental.ollama.host,
        "SECURETAG_TRIAGE__API_KEY_FILE": "/run/secrets/key",
        "SECURETAG_TRIAGE__REGISTRY": "/run/secrets/model_registry",
    }
    command = ["securetag", "key", "register", "/run/secrets/verification_key", "--tenant", "verification"]
    return {
        "services": {"worker": {"environment": environment}, "verification-key": {"command": command}},
        "secrets": {
            "key": {"file": "/o/key"},
            "verification_key": {"file": "/o/verification_key"},
            "model_registry": {"file": "/o/registry.json"},
        },
    }


class Counter:
    """Counts the requests that all servers of a rental get, and tells when a number is reached."""

    def __init__(self, rental: Rental, number: int = 0) -> None:
        self.count, self.number, self.reached = 0, number, threading.Event()
        self._lock = threading.Lock()
        rental.runpod.observe = rental.digitalocean.observe = rental.ollama.observe = self

    def __call__(self) -> None:
        with self._lock:
            self.count += 1
            if self.count == self.number:
                self.reached.set()


def kill_at_random(rental: Rental, chance: random.Random, requests: int) -> int:
    """Kill a deployment some milliseconds after one of its requests; return that request's number."""
    number = chance.randint(1, requests)
    reached = Counter(rental, number).reached
    process = rental.start("deploy", "shop", "--yes", "--patience", "90")
    while not reached.wait(0.05) and process.poll() is None:
        pass
    time.sleep(chance.uniform(0, 0.06))
    process.kill()
    process.communicate()
    assert process.returncode in {-signal.SIGKILL, 0}
    return number


def kill_repeatedly(rental: Rental, kills: int) -> list[int]:
    """Kill, then finish or tear down, so many times; return what was rented when each kill had happened."""
    chance = random.Random(20261127)
    rental.runpod.delay_s = rental.digitalocean.delay_s = (0.0, 0.05)
    counter, left = Counter(rental), []
    code, output = rental.deploy()
    assert code == 0, output
    requests = counter.count
    assert rental.run("destroy", "shop", "--yes")[0] == 0
    for turn in range(kills):
        number = kill_at_random(rental, chance, requests)
        left.append(rental.rented)
        if turn % 2 == 0:
            code, output = rental.deploy()
            assert code == 0, (number, output)
            assert "✓ verified triage" in output
            assert (len(rental.runpod.machines), len(rental.digitalocean.machines)) == (1, 1), number
        code, output = rental.run("destroy", "shop", "--yes")
        assert code == 0, (number, output)
        assert rental.rented == 0, number
        assert json.loads(rental.run("list", "--json")[1]) == []
    return left


def test_a_killed_deployment_is_finished_or_torn_down(shared: Rental) -> None:
    kill_repeatedly(shared, 3)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_twenty_killed_deployments_leave_nothing_that_costs(
    shared: Rental, record_property: Callable[[str, object], None]
) -> None:
    left = kill_repeatedly(shared, 20)
    assert set(left) == {0, 1, 2}, "kills came before, between and after what is rented"
    record_property("faults", [20, "kills of a deployment, 0 paid machines left"])
