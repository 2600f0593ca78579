"""`deploy/e2e.sh` passes against a whole deployment, and names the step at which a broken one fails."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from securetag.cli.services.platform import USER_SCOPES, WORKER_SCOPES, Platform, make_tenant
from securetag.cli.services.supervise import Services, is_republished
from securetag.db.binaries import install_folder
from securetag.db.embedded import Cluster
from securetag.settings import Settings
from securetag.system.services import read_published

pytestmark = [pytest.mark.sockets, pytest.mark.slow, pytest.mark.system]

SCRIPT = Path(__file__).parents[2] / "deploy" / "e2e.sh"
STEPS = ["api", "database", "key", "upload", "queue", "worker", "result", "finding", "triage", "stored"]
STEPS += ["rows", "feedback", "consent", "harvest", "withdrawal"]
E2E_SCOPES = [*USER_SCOPES, "admin"]


@dataclass(frozen=True)
class Outcome:
    """The end of a run of the script."""

    code: int
    #: Step → `ok`, `skipped` or `FAILED`, in the order in which they were printed.
    steps: dict[str, str]
    text: str


def walk(url: str, key: str, **variables: str) -> Outcome:
    """Run the script with nothing in its environment but PATH and `variables`."""
    done = subprocess.run(
        [SCRIPT, url, key],
        env={"PATH": f"{install_folder() / 'bin'}:{os.environ['PATH']}", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    text = done.stdout + done.stderr
    return Outcome(
        done.returncode,
        {step: how for how, step in re.findall(r"^(ok|skipped|FAILED) +(\S+)", text, re.M)},
        text,
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("broken") / "home"
    return Settings(home=home, data=home / "data")


@pytest.fixture(scope="module")
def platform(settings: Settings) -> Iterator[Platform]:
    """PostgreSQL and the api: a deployment without a worker and without a model."""
    environment = {"SECURETAG_HOME": str(settings.home), "SECURETAG_DATA": str(settings.data)}
    try:
        with Services(settings.home, environment) as services:
            platform = Platform(settings, services)
            platform.postgres()
            platform.migrate()
            platform.api(0)
            yield platform
    finally:
        Cluster(settings.home).destroy()


@pytest.fixture(scope="module")
def key(platform: Platform) -> str:
    return make_tenant(platform.settings, "e2e", E2E_SCOPES).key


def test_an_address_without_an_api_fails_at_the_first_step(key: str) -> None:
    outcome = walk("http://127.0.0.1:1", key)
    assert (outcome.code, outcome.steps) == (1, {"api": "FAILED"})
    assert "127.0.0.1:1 doesn't answer" in outcome.text


@pytest.mark.parametrize(
    ("scopes", "says"),
    [
        pytest.param(None, "401", id="a key that nobody made"),
        pytest.param(["read", "scan", "feedback"], "admin", id="a key without admin"),
        pytest.param(["read", "scan", "admin"], "feedback", id="a key without feedback"),
    ],
)
def test_a_key_that_does_not_do_fails_before_anything_is_uploaded(
    platform: Platform, scopes: list[str] | None, says: str
) -> None:
    key = "stk_" + "a" * 12 + "_" + "b" * 43
    if scopes:
        key = make_tenant(platform.settings, "e2e", scopes).key
    outcome = walk(platform.api_url, key)
    assert (outcome.code, outcome.steps) == (1, {"api": "ok", "database": "ok", "key": "FAILED"})
    assert says in outcome.text
    assert "securetag key create" in outcome.text
    assert key not in outcome.text


def test_without_a_worker_the_waiting_ends_and_names_the_worker(platform: Platform, key: str) -> None:
    outcome = walk(platform.api_url, key, E2E_WAIT_S="3")
    assert (outcome.code, outcome.steps["queue"], outcome.steps["worker"]) == (1, "ok", "FAILED")
    assert "no worker has taken the task in 3 s (workers heard of lately: 0)" in outcome.text
    assert "SECURETAG_WORKER__API_KEY" in outcome.text


def test_without_a_model_the_triage_fails_unless_it_is_waived(platform: Platform, key: str) -> None:
    """The last test of these services: it starts the worker that the others lack."""
    platform.worker(make_tenant(platform.settings, "operator", WORKER_SCOPES).key)
    outcome = walk(platform.api_url, key)
    assert (outcome.code, list(outcome.steps.items())[-1]) == (1, ("triage", "FAILED")), outcome.text
    assert "OLLAMA_HOST" in outcome.text
    waived = walk(platform.api_url, key, E2E_WITHOUT_MODEL="1")
    assert waived.code == 0, waived.text
    assert list(waived.steps) == STEPS
    skipped = {step for step, how in waived.steps.items() if how == "skipped"}
    assert skipped == {"triage", "rows", "harvest"}
    assert "3 skipped" in waived.text


def test_a_database_without_a_schema_fails_at_the_second_step(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = Settings(home=home, data=tmp_path / "data")
    try:
        with Services(
            home, {"SECURETAG_HOME": str(home), "SECURETAG_DATA": str(tmp_path / "data")}
        ) as services:
            Platform(settings, services).postgres()
            services.start("api", ["-m", "securetag.api", "--port", "0"], ready=is_republished(home, "api"))
            outcome = walk(str(read_published(home / "run", "api")["url"]), "stk_none")
    finally:
        Cluster(home).destroy()
    assert (outcome.code, outcome.steps) == (1, {"api": "ok", "database": "FAILED"})
    assert "securetag db upgrade" in outcome.text


@pytest.mark.timeout(600)
def test_all_steps_pass_against_securetag_up(tmp_path: Path) -> None:
    home = tmp_path / "home"
    environment = os.environ | {"SECURETAG_HOME": str(home), "SECURETAG_DATA": str(tmp_path / "data")}
    code = "from securetag.cli import app; app()"
    log = tmp_path / "log"

    def securetag(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "up", "--port", "0", "--dagster-port", "0"],
            env=environment,
            stdout=sink,
            stderr=sink,
        )
    try:
        deadline = time.monotonic() + 200
        while "Ctrl-C" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.3)
        addresses = dict(re.findall(r"^(api|Dagster UI)  +(\S+)", log.read_text(), re.M))
        tenant = securetag("tenant", "create", "e2e")
        scopes = [word for scope in E2E_SCOPES for word in ("--scope", scope)]
        key = securetag("key", "create", "--tenant", tenant, "--name", "e2e", *scopes)
        cluster = Cluster(home)
        cluster.attach()
        outcome = walk(
            addresses["api"],
            key,
            DAGSTER_URL=addresses["Dagster UI"],
            DATABASE_URL=cluster.dsn("securetag", "postgres"),
        )
        assert outcome.code == 0, outcome.text
        assert outcome.steps == dict.fromkeys(STEPS, "ok")
        again = walk(addresses["api"], key, DATABASE_URL=cluster.dsn("securetag", "postgres"))
        assert again.code == 0, again.text
        assert "the harvest's role sees the verdict" in again.text
        assert "(it was false before)" in again.text, "the first run withdrew what it had granted"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()
            Cluster(home).destroy()
