"""`securetag cloud` against fakes of both clouds: from nothing to a verified triage and back to nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from local_droplet import LocalDroplet, read_user_data, worker_environment
from model_proxy import ModelProxy
from postgres import Database
from rented import Rental

from securetag.cloud import RunPod
from securetag.errors import InputError
from securetag.records import JsonObject
from securetag.serving import base
from securetag.serving.registry import GatePass, Registry
from securetag.serving.runtime import Runtime

pytestmark = [pytest.mark.sockets, pytest.mark.slow, pytest.mark.system]

OLD, NEW = "01" * 32, "02" * 32


@pytest.fixture(scope="module")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real llama.cpp server over the embedded model."""
    with Runtime(log_dir=tmp_path_factory.mktemp("model")) as runtime:
        alias = f"securetag-v1-{base.MODEL_ID[:12]}"
        yield runtime.serve(base.locate_base(), alias=alias, model_id=base.MODEL_ID, slots=1)


@pytest.fixture
def droplet(rental: Rental, tmp_path: Path, clean_database: Database) -> LocalDroplet:
    """Droplets are a real api and a real worker."""
    droplet = LocalDroplet(tmp_path / "droplets", clean_database.dsn_api, rental.api_port)
    rental.digitalocean.boot = droplet.boot
    return droplet


def ask(server: str) -> Callable[[JsonObject], str]:
    """A function that answers Ollama's chat requests with the real model."""

    def answer(asked: JsonObject) -> str:
        body = {
            # Ollama's client leaves an empty text out, which Ollama reads as one.
            "messages": [{"content": ""} | message for message in asked["messages"]],
            "max_tokens": asked["options"]["num_predict"],
            "temperature": 0,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": asked["format"], "strict": True},
            },
        }
        reply = httpx.post(f"{server}/v1/chat/completions", json=body, timeout=60, trust_env=False).json()
        assert "choices" in reply, reply
        # This model's tokens for blanks would not leave room for the whole answer.
        content = str(reply["choices"][0]["message"]["content"])
        try:
            return json.dumps(json.loads(content), separators=(",", ":"))
        except ValueError:
            return '{"evidence":[1],"verdict":"needs_review"}'

    return answer


def test_from_nothing_to_a_verified_triage_by_a_real_model_and_back(
    rental: Rental, droplet: LocalDroplet, model_server: str
) -> None:
    rental.publish(OLD)
    rental.ollama.answer = ask(model_server)
    code, output = rental.deploy()
    assert code == 0, output
    assert "✓ verified triage" in output
    assert (len(rental.runpod.created), len(rental.digitalocean.created)) == (1, 1)
    code, output = rental.deploy()
    assert code == 0, output
    assert (len(rental.runpod.created), len(rental.digitalocean.created)) == (1, 1), "nothing is rented twice"
    listed = json.loads(rental.run("list", "--json")[1])
    assert [row["kind"] for row in listed] == ["pod", "droplet"]
    assert {row["name"] for row in listed} == {"securetag-shop"}
    assert rental.run("destroy", "shop")[0] == 0
    assert rental.rented == 2, "without --yes nothing is deleted"
    assert rental.run("destroy", "shop", "--yes")[0] == 0
    assert rental.rented == 0
    assert not list((rental.home / "cloud").glob("*.json"))


def test_a_serverless_endpoint_with_a_real_model_behind_a_proxy_that_cuts(
    rental: Rental, droplet: LocalDroplet, model_server: str
) -> None:
    rental.registry.models_dir.mkdir(parents=True)
    rental.registry.publish("securetag-v1", rental.registry.add(base.entry()).model_id)
    with ModelProxy(model_server, api_key="endpoint-key") as proxy:
        proxy.cut_s = 10.0  # of 100 s
        rental.environment |= {
            "SECURETAG_CLOUD__MODEL": "serverless",
            "SECURETAG_CLOUD__ENDPOINT_URL": f"{proxy.url}/v1",
            "SECURETAG_CLOUD__ENDPOINT_KEY": "endpoint-key",
            "SECURETAG_CLOUD__HUB_MODEL": "acme/Llama-3.1-Securetag-v1",
        }
        code, output = rental.deploy()
        assert code == 0, output
        assert "✓ verified triage" in output
        assert rental.run("destroy", "shop", "--yes")[0] == 0
    assert rental.rented == 0


def test_a_first_deployment_that_fails_its_verification_is_torn_down(rental: Rental) -> None:
    rental.publish(OLD)
    rental.ollama.version = "0.12.10"  # without log-probabilities
    code, output = rental.deploy()
    assert code == 1
    assert "log-probabilities" in output
    assert rental.runpod.created
    assert rental.rented == 0


def test_a_new_model_that_fails_gives_way_to_the_last_verified_one(
    rental: Rental, droplet: LocalDroplet
) -> None:
    rental.publish(OLD)
    assert rental.deploy()[0] == 0
    rental.publish(NEW)
    assert rental.deploy()[0] == 0
    code, output = rental.run("rollback", "shop")
    assert (code, output.strip()) == (0, f"shop serves {OLD[:12]} again")
    assert OLD in str(rental.ollama.models["securetag-v1:latest"]["info"])
    rental.ollama.version = "0.12.10"
    code, output = rental.deploy()
    assert code == 1
    assert "serving the model that was verified last" in output
    assert OLD in str(rental.ollama.models["securetag-v1:latest"]["info"])
    assert rental.rented == 2, "what served before goes on"


def test_a_dry_run_says_what_it_would_do_and_cost(rental: Rental) -> None:
    rental.publish(OLD)
    code, output = rental.run("deploy", "shop")
    assert code == 0, output
    assert "0.461" in output  # 0.39 + 0.07143 an hour
    assert "332.70" in output  # 0.39 * 730 + 48 a month
    assert "Nothing was done" in output
    assert not rental.runpod.created + rental.digitalocean.created


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("SECURETAG_CLOUD__MAX_PRICE_PER_HOUR", "0.4", "more than the ceiling of $0.40"),
        ("SECURETAG_CLOUD__MONTHLY_BUDGET", "300", "more than the budget of $300.00"),
        ("SECURETAG_CLOUD__POD_IMAGE", "", "SECURETAG_CLOUD__POD_IMAGE is not set"),
        ("SECURETAG_CLOUD__DROPLET_REGION", "mars1", "no s-4vcpu-8gb in mars1"),
        ("SECURETAG_CLOUD__GPU", "NVIDIA Abacus", "no GPU NVIDIA Abacus"),
        ("RUNPOD_API_KEY", "wrong", "answers 401"),
        ("DIGITALOCEAN_TOKEN", "", "DIGITALOCEAN_TOKEN is not set"),
    ],
)
def test_what_is_too_dear_or_incomplete_is_refused_before_anything_is_rented(
    rental: Rental, variable: str, value: str, reason: str
) -> None:
    rental.publish(OLD)
    rental.environment[variable] = value
    code, output = rental.deploy()
    assert code == 1
    assert reason in output
    assert "next:" in output
    assert not rental.runpod.created + rental.digitalocean.created


def test_machines_whose_secrets_are_lost_are_left_to_a_person(rental: Rental) -> None:
    rental.publish(OLD)
    body = {
        "name": "securetag-shop",
        "image": "i",
        "gpu": {"id": "NVIDIA L4"},
        "disk": 20,
        "ports": [],
        "env": {},
    }
    client = RunPod(rental.runpod.url, "rp-key")
    client.create_pod(body | {"env": {"MODEL_API_KEY": "lost"}})
    code, output = rental.deploy()
    assert code == 1
    assert "doesn't know their secrets" in output
    assert rental.run("destroy", "shop", "--yes")[0] == 0
    assert rental.rented == 0
    with pytest.raises(InputError, match="bogus"):
        client.create_pod(body | {"bogus": 1})
    client.close()


def test_the_user_data_gives_the_worker_its_model_and_hides_the_key(
    rental: Rental, droplet: LocalDroplet, tmp_path: Path
) -> None:
    rental.publish(OLD)
    seen: list[dict[str, Any]] = []
    boot = droplet.boot

    def note(machine: dict[str, Any]) -> Callable[[], None]:
        seen.append(machine)
        return boot(machine)

    rental.digitalocean.boot = note
    gate_pass = GatePass(gate="production", release="r", base_id="b", at="2026-11-28T00:00:00Z")
    (model,) = rental.registry.list()
    rental.registry.record_gate(model.model_id, gate_pass)
    assert rental.deploy()[0] == 0
    override, files = read_user_data(seen[0]["_user_data"])
    copied = Registry(tmp_path, file=Path(next(droplet.folder.glob("*/registry.json"))))
    served = json.loads((rental.registry.models_dir / "registry.json").read_text())["served"]
    assert [copied.find_gate(digest, model_id) for digest, model_id in served.items()] == ["production"]
    environment = worker_environment(override, files)
    state = json.loads((rental.home / "cloud" / "shop.json").read_text())
    assert environment["OLLAMA_HOST"] == rental.ollama.host
    assert environment["SECURETAG_TRIAGE__API_KEY"] == state["model_key"]
    assert state["model_key"] not in json.dumps(override), "secrets are files of their own"
    assert (rental.home / "cloud" / "shop.json").stat().st_mode & 0o777 == 0o600
