"""No code leaves for a model that is farther away than its tenant allows."""

from __future__ import annotations

import threading
from typing import ClassVar

import pytest
from fake_ollama import FakeOllama
from fake_queue import FakeApi
from rows import make_finding
from small_models import MODEL_ID, weights

from securetag.client.queue import QueueClient
from securetag.records import Finding, ModelLocation
from securetag.serving import ollama
from securetag.settings import Settings
from securetag.settings.sections import TriageSettings
from securetag.wire.queue import MODEL_POLICY, ModelMetrics, ResultRequest
from securetag.worker.model_policy import describe_refusal
from securetag.worker.runner import Runner
from securetag.worker.sandbox import Workspace
from securetag.worker.tasks.scan_task import ScanTask

FINDING = make_finding(
    severity="high", snippet="def f(q):\n    run(q)", snippet_line=1, start_line=2, end_line=2
)


class Scanned(ScanTask):
    """A scan that has already reported its findings."""

    limit_hint: ClassVar[str] = ""

    def scan(self) -> list[Finding]:
        return [FINDING]


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("location", "policy", "asks"),
    [
        pytest.param("third_party", "local", False, id="a third party's model, code that stays"),
        pytest.param("third_party", "operator", False, id="a third party's model, code for the operator's"),
        pytest.param("operator", "local", False, id="the operator's model, code that stays"),
        pytest.param("third_party", None, False, id="an api that knows no policy"),
        pytest.param("third_party", "third_party", True, id="a third party's model is allowed"),
        pytest.param("operator", "third_party", True, id="a nearer model than is allowed"),
        pytest.param("local", "local", True, id="a local model"),
        pytest.param(None, "local", True, id="an address on loopback"),
    ],
)
def test_a_prompt_leaves_only_where_the_tenant_allows_it(
    api: FakeApi,
    client: QueueClient,
    settings: Settings,
    location: ModelLocation | None,
    policy: str | None,
    asks: bool,
) -> None:
    with FakeOllama() as model:
        triage = TriageSettings(backend="ollama", location=location)
        settings = settings.model_copy(update={"ollama_host": model.host, "triage": triage})
        settings.home.mkdir(parents=True)
        ollama.publish(weights(settings.home / "m.gguf"), "securetag-v1", settings)
        model.requests.clear()
        api.enqueue(params={} if policy is None else {MODEL_POLICY: policy})
        with Workspace(settings.run_dir) as workspace:
            tasks = {"codeaudit": lambda attempt: Scanned(attempt).run()}
            Runner(client, settings, workspace, stop=threading.Event(), tasks=tasks).run(once=True)  # type: ignore[arg-type]
        requests = list(model.requests)
    (result,) = api.results
    assert isinstance(result, ResultRequest)
    (execution,) = result.tool_executions
    (triaged,) = result.findings
    assert isinstance(execution.metrics, ModelMetrics)
    assert result.outcome == "completed"
    if asks:
        assert ("POST", "/api/chat") in requests
        assert triaged.verdict is not None
        assert triaged.verdict.model_id == MODEL_ID
        assert execution.metrics.refusal == ""
    else:
        assert requests == []
        assert triaged.verdict is None
        assert f"`securetag tenant policy NAME {location}`" in execution.metrics.refusal
        assert "SECURETAG_TRIAGE__LOCATION" in execution.metrics.refusal


def test_nothing_is_refused_where_nothing_would_be_asked() -> None:
    assert describe_refusal("third_party", "local", 0) == ""


@pytest.mark.parametrize(
    ("triage", "host", "location"),
    [
        pytest.param({}, None, "local", id="the embedded runtime"),
        pytest.param({"url": "http://127.0.0.1:8000/v1"}, None, "local", id="loopback"),
        pytest.param({"url": "http://[::1]:8000/v1"}, None, "local", id="loopback of IPv6"),
        pytest.param({"url": "http://10.0.0.7:8000/v1"}, None, "third_party", id="another machine"),
        pytest.param({"url": "http://localhost.example.com/v1"}, None, "third_party", id="a name like it"),
        pytest.param({"url": "http://localhost@evil.example/v1"}, None, "third_party", id="user info"),
        pytest.param({"backend": "ollama"}, None, "local", id="Ollama's default address"),
        pytest.param({"backend": "ollama"}, "localhost:11434", "local", id="an address without a scheme"),
        pytest.param({"backend": "ollama"}, "https://x-11434.proxy.runpod.net", "third_party", id="a pod"),
        pytest.param(
            {"backend": "ollama", "location": "operator"}, "https://pod.example", "operator", id="the setting"
        ),
    ],
)
def test_an_address_is_a_third_partys_unless_it_is_loopback_or_the_setting_says_otherwise(
    triage: dict[str, str], host: str | None, location: ModelLocation
) -> None:
    settings = Settings(ollama_host=host, triage=TriageSettings.model_validate(triage))
    assert settings.model_location == location
