"""The embedded runtime with the real base model: real servers, real switches, real kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from securetag import triage
from securetag.errors import ModelUnavailableError
from securetag.records import Finding, JsonObject
from securetag.serving import base
from securetag.serving.client import ModelInfo, RuntimeClient
from securetag.serving.registry import ModelEntry, Registry
from securetag.serving.runtime import Runtime
from securetag.system.extras import explain_package
from securetag.system.services import announce_service, read_services

pytestmark = pytest.mark.sockets

T = TypeVar("T")
FINDING = Finding(
    tool="semgrep",
    rule_id="sql",
    cwe="CWE-89",
    title="SQL injection",
    message="m",
    severity="high",
    confidence="high",
    language="python",
    path="a.py",
    start_line=3,
    end_line=3,
    snippet_line=1,
    scope="f",
    snippet="def f(request):\n    name = request.args['n']\n    return db.execute('SELECT ' + name)",
    fingerprint="v1:0",
)


def eventually(holds: Callable[[], T], seconds: float = 60) -> T:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := holds():
                return found
        except ModelUnavailableError:
            pass  # not yet
        assert time.monotonic() < deadline
        time.sleep(0.1)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_constrained_answers_fit_and_carry_the_model(tmp_path: Path) -> None:
    prompt = triage.render(FINDING, profile="compact")
    with Runtime(log_dir=tmp_path) as runtime:
        url = runtime.serve(base.locate_base(), alias="candidate", model_id="ab" * 32, slots=1)
        client = RuntimeClient(url, run_dir=tmp_path, aliases=["candidate"])
        try:
            assert client.resolve() == ModelInfo("candidate", "ab" * 32)
            got = client.chat(
                prompt.messages,
                schema=triage.schema(prompt),
                max_tokens=triage.MAX_ANSWER_TOKENS["compact"],
                timeout_s=60,
            )
        finally:
            client.close()
    assert triage.parse(got.text, prompt).verdict
    assert " " not in got.text
    assert got.model_id == "ab" * 32
    assert 0 < got.completion_tokens <= triage.MAX_ANSWER_TOKENS["compact"]


def test_without_the_extra_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with Runtime(log_dir=tmp_path) as runtime, pytest.raises(ModuleNotFoundError) as missing:
        runtime.serve(tmp_path / "model.gguf", alias="a", model_id="0" * 64)
    assert explain_package(missing.value) == (
        "the package xllamacpp is not installed",
        "pip install 'securetag[serving]'",
    )


def test_a_file_that_is_no_model_is_said_with_the_log(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(64))
    with Runtime(log_dir=tmp_path) as runtime, pytest.raises(ModelUnavailableError) as caught:
        runtime.serve(tmp_path / "bad.gguf", alias="bad", model_id="0" * 64)
    assert "did not start" in str(caught.value)
    assert (tmp_path / "bad.log").read_text()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "securetag.serving.runtime", "--home", str(tmp_path), "--slots", "1"]
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.system
def test_the_daemon_follows_the_registry_and_outlives_its_server(
    daemon: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    client = RuntimeClient(None, run_dir=tmp_path / "run", aliases=["securetag-v1", "securetag-base"])
    registry = Registry(tmp_path / "models")

    def served() -> JsonObject:
        return read_services(tmp_path / "run").get("runtime", {})

    try:
        assert eventually(client.resolve).alias == "securetag-base"
        first = served()

        # A published model is served under its name; the one before is stopped.
        shutil.copy(base.locate_base(), tmp_path / "models" / "tuned.gguf")
        tuned = ModelEntry(
            model_id="cd" * 32,
            path="tuned.gguf",
            file_sha256=base.SHA256,
            base="b",
            quantisation="Q4_1",
            licence="Apache-2.0",
        )
        registry.publish("securetag-v1", registry.add(tuned).model_id)
        eventually(lambda: client.resolve() == ModelInfo("securetag-v1", "cd" * 32))
        eventually(lambda: not running(first["server_pid"]))

        # One that can't be loaded leaves the old one in place.
        (tmp_path / "models" / "bad.gguf").write_bytes(base.locate_base().read_bytes()[:8_000_000])
        broken = ModelEntry(
            model_id="ef" * 32,
            path="bad.gguf",
            file_sha256="0" * 64,
            base="b",
            quantisation="q",
            licence="Apache-2.0",
        )
        registry.publish("securetag-v1", registry.add(broken).model_id)
        log = tmp_path / "logs" / "model-runtime.log"
        eventually(lambda: "bad.gguf" in log.read_text(errors="replace"))
        assert client.resolve().model_id == "cd" * 32
        registry.rollback("securetag-v1")

        # A server that dies comes back; a daemon that dies takes its server along.
        second = served()
        os.kill(second["server_pid"], signal.SIGKILL)
        eventually(lambda: served()["server_pid"] != second["server_pid"] and client.resolve())
        third = served()
        daemon.kill()
        eventually(lambda: not running(third["server_pid"]))
    finally:
        client.close()


def test_a_stopped_daemon_withdraws_its_address(daemon: subprocess.Popen[bytes], tmp_path: Path) -> None:
    eventually(lambda: read_services(tmp_path / "run"))
    server = read_services(tmp_path / "run")["runtime"]["server_pid"]
    announce_service(tmp_path / "run", "api", {"url": "http://127.0.0.1:1", "pid": 1})
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(20) == 0
    assert list(read_services(tmp_path / "run")) == ["api"]
    assert not running(server)
    assert json.loads((tmp_path / "models" / "registry.json").read_text())["aliases"]["securetag-base"]
