"""Publications that are killed and rollbacks under load, with the real runtime serving the embedded model.

Both models are files of the same weights with ids of their own, so that a switch is a real one.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from securetag.errors import ModelUnavailableError
from securetag.pipeline.publish import rollback
from securetag.serving import base, smoke
from securetag.serving.client import RuntimeClient
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings, get_settings

pytestmark = [pytest.mark.sockets, pytest.mark.slow, pytest.mark.timeout(3600)]

ALIAS = "securetag-v1"
OLD, NEW = "01" * 32, "02" * 32
#: Publishes in forked children, each killed after a part of what one publication takes; prints for each what
#: the alias means then, and waits for a line before the next one.
KILLS = f"""
import os, random, signal, sys, time
from securetag.evaluation.compare import Comparison, SuiteComparison
from securetag.evaluation.gate import GateDecision
from securetag.pipeline.evaluate import Evaluation
from securetag.pipeline.publish import publish, rollback
from securetag.serving.registry import Registry
from securetag.settings import get_settings

settings = get_settings()
suite = SuiteComparison(n=0, labels={{}}, metrics={{}}, base_confusion={{}}, candidate_confusion={{}})
evaluation = Evaluation(
    folder="", model_id={NEW!r}, base_id={OLD!r}, release="4f" * 6,
    comparison=Comparison(
        base_model={OLD!r}, candidate_model={NEW!r}, suites={{"held_out": suite}}, base_unanswered=0,
        candidate_unanswered=0,
    ),
    decision=GateDecision(passed=True, reasons=[], checks=[], gate="test"),
)
for _ in range(2):  # the first one imports
    started = time.monotonic()
    publish(evaluation, {ALIAS!r}, settings)
    whole_s = time.monotonic() - started
    assert Registry(settings.models_dir).resolve({ALIAS!r}).model_id == {NEW!r}
    rollback({ALIAS!r}, settings)
draw = random.Random(int(sys.argv[2]))
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        publish(evaluation, {ALIAS!r}, settings)
        os._exit(0)
    time.sleep(draw.uniform(0, 0.9 * whole_s))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    meant = Registry(settings.models_dir).resolve({ALIAS!r}).model_id
    print(meant, flush=True)
    sys.stdin.readline()
    if meant == {NEW!r}:
        rollback({ALIAS!r}, settings)
"""


@pytest.fixture
def settings() -> Settings:
    """A home with two models, of which the alias means the first."""
    settings = get_settings()
    settings.models_dir.mkdir(parents=True)
    registry = Registry(settings.models_dir)
    for model_id in (OLD, NEW):
        path = settings.models_dir / f"{model_id[:4]}.gguf"
        shutil.copy(base.locate_base(), path)
        registry.add(
            ModelEntry(
                model_id=model_id,
                path=path.name,
                file_sha256=base.SHA256,
                base=base.NAME,
                quantisation=base.QUANTISATION,
                licence="Apache-2.0",
            )
        )
    registry.publish(ALIAS, OLD)
    return settings


@pytest.fixture
def client(settings: Settings) -> Iterator[RuntimeClient]:
    """A client of a running model runtime that serves the alias."""
    runtime = subprocess.Popen(
        [sys.executable, "-m", "securetag.serving.runtime", "--home", str(settings.home), "--slots", "2"]
    )
    client = RuntimeClient(None, run_dir=settings.run_dir, aliases=[ALIAS])
    try:
        wait_until(lambda: client.resolve().model_id == OLD)
        yield client
    finally:
        client.close()
        runtime.terminate()
        runtime.wait(30)


def wait_until(holds: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except ModelUnavailableError:
            pass  # it starts
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    "kills", [pytest.param(3, marks=pytest.mark.system), pytest.param(20, marks=pytest.mark.chaos)]
)
def test_a_publication_killed_at_random_leaves_a_model_that_answers(
    kills: int, settings: Settings, client: RuntimeClient, record_property: Callable[[str, object], None]
) -> None:
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    environment = os.environ | {"SECURETAG_HOME": str(settings.home)}
    with subprocess.Popen(
        [sys.executable, "-c", KILLS, str(kills), str(seed)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as publisher:
        assert publisher.stdin is not None
        assert publisher.stdout is not None
        kept = 0
        for _ in range(kills):
            meant = publisher.stdout.readline().strip()
            assert meant in {OLD, NEW}, "the registry is whole after a kill"
            kept += meant == OLD
            wait_until(lambda meant=meant: client.resolve().model_id == meant)  # type: ignore[misc]
            completion, _ = smoke.ask(client, settings.triage, timeout_s=120)
            assert completion.model_id == meant
            publisher.stdin.write("\n")
            publisher.stdin.flush()
        assert publisher.wait(60) == 0
    assert kept or kills < 20, "no kill came before the end of a publication"
    record_property("faults", [kills, f"kills of a publication, {kept} of which left the old model"])


@pytest.mark.parametrize(
    "rollbacks", [pytest.param(2, marks=pytest.mark.system), pytest.param(50, marks=pytest.mark.chaos)]
)
def test_no_triage_fails_while_models_are_rolled_back(
    rollbacks: int, settings: Settings, client: RuntimeClient, record_property: Callable[[str, object], None]
) -> None:
    registry = Registry(settings.models_dir)
    for number in range(rollbacks):
        registry.publish(ALIAS, (NEW, OLD)[number % 2])
    wait_until(lambda: client.resolve().model_id == registry.resolve(ALIAS).model_id)
    answers: list[str] = []
    failures: list[str] = []
    stop = threading.Event()

    def triage() -> None:
        while not stop.is_set():
            try:
                answers.append(smoke.ask(client, settings.triage, timeout_s=120)[0].model_id)
            except Exception as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=triage) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(rollbacks):
            done = len(answers)
            wait_until(lambda done=done: len(answers) > done or bool(failures))  # type: ignore[misc]
            rollback(ALIAS, settings)
            meant = registry.resolve(ALIAS).model_id
            wait_until(lambda meant=meant: meant in answers[-2:] or bool(failures))  # type: ignore[misc]
    finally:
        stop.set()
        for thread in threads:
            thread.join(180)
    assert failures == []
    assert set(answers) == {OLD, NEW}
    record_property("faults", [rollbacks, f"rollbacks under load, {len(answers)} triages, none failed"])
