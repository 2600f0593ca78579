"""`securetag doctor --deployment` against a real model behind an authenticating proxy, and a real api."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import api_process
import pytest
from fake_ollama import FakeOllama
from model_proxy import ModelProxy
from postgres import Database
from small_models import MODEL_ID, VERSION, weights
from typer.testing import CliRunner

from securetag.cli import app
from securetag.records import JsonObject
from securetag.serving import base, ollama
from securetag.serving.runtime import Runtime
from securetag.settings import Settings, get_settings
from securetag.settings.sections import TriageSettings

pytestmark = [pytest.mark.sockets, pytest.mark.system]

KEY = "endpoint-key"


@pytest.fixture(scope="module")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real llama.cpp server over the embedded model, which it calls by its real id."""
    with Runtime(log_dir=tmp_path_factory.mktemp("model")) as runtime:
        yield runtime.serve(base.locate_base(), alias="securetag-v1", model_id=base.MODEL_ID, slots=1)


@pytest.fixture
def proxy(model_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelProxy]:
    with ModelProxy(model_server, api_key=KEY) as proxy:
        monkeypatch.setenv("SECURETAG_TRIAGE__URL", proxy.url)
        monkeypatch.setenv("SECURETAG_TRIAGE__API_KEY", KEY)
        get_settings.cache_clear()
        yield proxy


def diagnose(*options: str) -> tuple[int, dict[str, JsonObject]]:
    """The exit code, and the checks by name."""
    result = CliRunner().invoke(app, ["doctor", "--deployment", "--json", *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, {check["check"]: check for check in json.loads(result.stdout)}


def failure(checks: dict[str, JsonObject]) -> tuple[str, str]:
    """The one check of the model that failed, and its cause. Each failure says what to do next."""
    failed = [check for name, check in checks.items() if not check["ok"] and name not in {"api", "database"}]
    assert len(failed) == 1, failed
    assert len(failed[0]["next"]) > 20
    return failed[0]["check"], failed[0]["cause"]


def test_a_deployment_that_works_passes_every_check(
    proxy: ModelProxy, tmp_path: Path, pg_database: Database
) -> None:
    with api_process.running(tmp_path / "api", pg_database.dsn_api) as (_, url):
        code, checks = diagnose("--api", url, "--model-id", base.MODEL_ID)
        assert (code, [name for name, check in checks.items() if not check["ok"]]) == (0, [])
        assert list(checks) == [
            *("api", "database", "model endpoint", "key", "model"),
            *("schema", "latency", "log-probabilities"),
        ]
        lines = CliRunner().invoke(app, ["doctor", "--deployment", "--api", url]).stdout.splitlines()
        assert len(lines) == len(checks)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"api_key": "another"}, ("model endpoint", "wrong_key")),
        ({"page": b"<html>Please sign in</html>"}, ("model endpoint", "not_json")),
        ({"upstream": "http://127.0.0.1:9"}, ("model endpoint", "unreachable")),
        ({"loads_until": float("inf")}, ("model endpoint", "starting")),
        ({"delay_s": 0.5, "cut_s": 0.5}, ("schema", "proxy_timeout")),
        ({"ignored": {"grammar", "response_format"}}, ("schema", "schema_ignored")),
        ({"ignored": {"logprobs", "top_logprobs"}}, ("log-probabilities", "no_logprobs")),
        ({"is_open": True}, ("key", "open_endpoint")),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_failures_are_told_apart(
    proxy: ModelProxy, fault: dict[str, object], expected: tuple[str, str]
) -> None:
    for name, value in fault.items():
        setattr(proxy, name, value)
    code, checks = diagnose("--api", "http://127.0.0.1:9", "--patience", "3")
    assert code == 1
    assert failure(checks) == expected
    assert checks["api"]["cause"] == "unreachable"


def test_another_model_than_expected_is_named(proxy: ModelProxy) -> None:
    _, checks = diagnose("--model-id", "ab" * 32)
    assert failure(checks) == ("model", "wrong_model")
    assert base.MODEL_ID in checks["model"]["found"]
    assert checks["schema"]["ok"], "what else is wrong is looked at nevertheless"


def test_an_alias_that_is_not_served_is_named(proxy: ModelProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURETAG_TRIAGE__ALIASES", '["securetag-v9"]')
    get_settings.cache_clear()
    assert failure(diagnose()[1]) == ("model endpoint", "no_model")


def test_a_model_that_loads_is_waited_for(proxy: ModelProxy) -> None:
    proxy.loads_until = time.monotonic() + 4
    result = CliRunner().invoke(app, ["doctor", "--deployment", "--json", "--patience", "60"])
    checks = {check["check"]: check for check in json.loads(result.stdout)}
    assert all(check["ok"] for name, check in checks.items() if name != "api"), checks
    assert "waiting for the model" in result.stderr
    assert 503 in proxy.statuses


def test_a_model_slower_than_a_finding_may_take(proxy: ModelProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURETAG_TRIAGE__TIMEOUT_S", "1")
    get_settings.cache_clear()
    proxy.delay_s = 1.2
    assert failure(diagnose()[1]) == ("latency", "slow")


def test_an_api_that_is_something_else_and_one_without_its_database(
    proxy: ModelProxy, tmp_path: Path, pg_database: Database
) -> None:
    proxy.page, proxy.is_open = b"<html></html>", True
    assert diagnose("--api", proxy.url)[1]["api"]["cause"] == "not_json"
    away = pg_database.dsn_api.replace(pg_database.name, "nowhere")
    with api_process.running(tmp_path / "api", away) as (_, url):
        checks = diagnose("--api", url)[1]
    assert checks["api"]["ok"]
    assert checks["database"]["cause"] == "database_away"


def test_failures_of_an_ollama_are_told_apart(
    fake_ollama: FakeOllama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = weights(tmp_path / "m.gguf")
    ollama.publish(
        entry, "securetag-v1", Settings(ollama_host=fake_ollama.host, triage=TriageSettings(backend="ollama"))
    )
    assert VERSION in fake_ollama.models
    monkeypatch.setenv("SECURETAG_TRIAGE__BACKEND", "ollama")
    monkeypatch.setenv("OLLAMA_HOST", fake_ollama.host)
    monkeypatch.setenv("SECURETAG_TRIAGE__API_KEY", KEY)
    get_settings.cache_clear()
    fake_ollama.api_keys = {KEY}
    assert [name for name, check in diagnose("--model-id", MODEL_ID)[1].items() if not check["ok"]] == ["api"]
    assert failure(diagnose("--model-id", "ab" * 32)[1]) == ("model", "wrong_model")
    fake_ollama.version = "0.12.10"
    assert failure(diagnose()[1]) == ("log-probabilities", "no_logprobs")
    fake_ollama.api_keys = {"another"}
    assert failure(diagnose()[1]) == ("model endpoint", "wrong_key")
