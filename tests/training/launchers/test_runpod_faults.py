"""Randomised faults of RunPod and of the launching process, in virtual time.

Whatever happens: at the end no pod is left, there were never two at a time, and the job has ended in success
or with a stated reason. The short form draws 10 schedules; `make chaos` 60.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fake_cloud import find_contract
from fake_training import (
    H100,
    H100_PCIE,
    KeyStorage,
    Killed,
    Schedule,
    TrainingPods,
    VirtualClock,
    write_result,
)

from securetag.cloud import RunPod
from securetag.errors import SecuretagError
from securetag.settings.sections import CloudSettings
from securetag.training.launchers import TrainingJob, read_run
from securetag.training.launchers.runpod.launcher import Place, RunPodLauncher
from securetag.training.launchers.runpod.reaper import GRACE_S, reap
from securetag.training.recipe import load

pytestmark = pytest.mark.sockets

TIMEOUT_S = 3 * 3600.0
RECIPE = f"""
name: llama-8b
base: meta-llama/Llama-3.1-8B-Instruct
base_name: Llama-3.1-8B-Instruct
licence: LicenseRef-Llama-3.1-Community
gpu_types: ["{H100}", "{H100_PCIE}"]
"""


@dataclass
class World:
    """One job, the fake, and what it was driven to."""

    pods: TrainingPods
    clock: VirtualClock
    place: Place
    job: TrainingJob
    steps: list[int]

    def run(self) -> str:
        """Launch the job; launch it again where the process was killed. Return how it ended."""
        while True:
            launcher = RunPodLauncher(self.place)
            self.pods.is_killed = False
            try:
                handle = launcher.start(self.job)
                try:
                    launcher.watch(handle, self._progress, timeout_s=TIMEOUT_S)
                finally:
                    launcher.stop(handle)
            except Killed:
                self.clock.sleep(self.pods.schedule.random.uniform(0, 60))
            except SecuretagError as error:
                return str(error) or "no reason"
            else:
                assert read_run(self.job.run_dir).metrics["steps"] == 50
                return "success"

    def _progress(self, line: dict[str, Any]) -> None:
        self.steps.append(line["step"])

    def reap(self) -> int:
        """Let the reaper come by after the deadline, without faults; return what it deleted."""
        self.pods.is_calm, self.pods.is_killed = True, False
        self.pods.advance()
        self.clock.sleep(TIMEOUT_S + GRACE_S + 60)
        return len(reap(self.place.api, self.clock.time()))


@pytest.fixture
def make_world(tmp_path: Path, tiny_release: Path) -> Iterator[Callable[[Schedule], World]]:
    contract, worlds = find_contract(), []

    def make(schedule: Schedule) -> World:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / "recipe.yaml").write_text(RECIPE)
        result = write_result(folder, load(folder / "recipe.yaml").digest)
        clock, storage = VirtualClock(), KeyStorage((folder / "storage").as_uri())
        pods = TrainingPods(contract, clock, storage, schedule, lambda: result)
        api = RunPod("http://runpod", "rp-key", transport=pods.transport, sleep=clock.sleep)
        place = Place(api, storage, CloudSettings(training_image="registry.example/train:1"), clock=clock)
        job = TrainingJob(folder / "recipe.yaml", tiny_release, folder / "run", timeout_s=TIMEOUT_S)
        worlds.append(World(pods, clock, place, job, []))
        return worlds[-1]

    yield make
    for world in worlds:
        world.pods.close()


def check(world: World, seed: int) -> str:
    outcome = world.run()
    left = len(world.pods.machines)
    reaped = world.reap()
    assert world.pods.machines == {}, (seed, outcome)
    assert left == reaped == 0 or "may still exist" in outcome, (seed, outcome)
    assert outcome != "no reason", seed
    assert world.pods.most <= 1, (seed, outcome)
    refused = [reason for reason in world.pods.refusals if "no pod" not in reason]
    assert refused == [], "a request broke the contract"
    return outcome


def test_schedules_of_faults(make_world: Callable[[Schedule], World]) -> None:
    outcomes = Counter(check(make_world(Schedule.draw(seed)), seed) for seed in range(10))
    assert outcomes["success"] >= 4, outcomes


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_sixty_schedules_of_faults(
    make_world: Callable[[Schedule], World], record_property: Callable[[str, object], None]
) -> None:
    outcomes = Counter(check(make_world(Schedule.draw(seed)), seed) for seed in range(1000, 1060))
    assert outcomes["success"] >= 20, outcomes
    record_property(
        "faults", [60, f"schedules of faults, {outcomes['success']} trained, 0 pods left, 0 double"]
    )


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ("exit", "EXITED"),
        ("error", "ERROR"),
        ("stuck", "PROVISIONING"),
        ("vanish", "vanished"),
        ("hang", "wrote nothing"),
    ],
)
def test_a_lost_pod_is_replaced_and_goes_on(
    make_world: Callable[[Schedule], World], ending: Any, reason: str
) -> None:
    schedule = Schedule.draw(0)
    schedule.endings, schedule.failures, schedule.refusals, schedule.kills = [ending], 0.0, [], set()
    schedule.death_s = 700.0
    world = make_world(schedule)
    assert check(world, 0) == "success"
    state = json.loads((world.job.run_dir / "runpod.json").read_text())
    assert len(world.pods.created) == 2
    assert reason in state["reasons"][0]
    assert 0 < state["cost"] < 10
    assert world.steps == list(range(1, 51)), "each step once, also those that the second pod repeated"
    if ending in {"exit", "vanish", "hang"}:
        first, second = (len(world.pods.pods[identity].lines) for identity in world.pods.created)
        # The first wrote its begin too, the second that and its closing; a checkpoint is 10 steps.
        assert (first - 1) // 10 == 2
        assert second - 2 == 50 - 20, "it went on from the last checkpoint"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"endings": ["failure"]}, "the loss at step 7 is nan"),
        ({"endings": ["damage"]}, "came back damaged"),
        ({"endings": ["slow"]}, "longer than 10800 s"),
        ({"endings": ["error", "error", "error"]}, "3 pods didn't finish"),
        ({"refusals": [402]}, "402"),
        ({"refusals": [400, 400]}, "places none of"),
        ({"refusals": [422]}, "422"),
    ],
)
def test_a_job_that_can_not_be_done_says_why(
    make_world: Callable[[Schedule], World], change: dict[str, Any], reason: str
) -> None:
    schedule = Schedule.draw(0)
    schedule.failures, schedule.kills = 0.0, set()
    schedule.endings, schedule.refusals = change.get("endings", []), change.get("refusals", [])
    world = make_world(schedule)
    assert reason in check(world, 0)


@pytest.mark.parametrize(
    ("price", "spent", "stock", "reason"),
    [
        (1.0, 0.0, "HIGH", "NVIDIA H100 PCIe: $2.39 an hour"),
        (4.0, 995.0, "HIGH", "over the budget of $1000.00"),
        (4.0, 0.0, "NONE", "out of stock at $2.69"),
    ],
    ids=["price ceiling", "monthly budget", "no stock"],
)
def test_nothing_is_rented_above_a_limit_or_without_stock(
    make_world: Callable[[Schedule], World], price: float, spent: float, stock: str, reason: str
) -> None:
    world = make_world(Schedule(random.Random(0)))
    world.pods.stock, world.pods.spent = {H100: stock, H100_PCIE: stock}, spent
    limits = CloudSettings(training_image="registry.example/train:1", training_price=price)
    world.place = dataclasses.replace(world.place, cloud=limits)
    assert reason in check(world, 0)
    assert world.pods.created == []


def test_the_cheapest_in_stock_is_rented(make_world: Callable[[Schedule], World]) -> None:
    world = make_world(Schedule(random.Random(0)))
    assert check(world, 0) == "success"
    assert json.loads((world.job.run_dir / "runpod.json").read_text())["gpu"] == H100_PCIE
