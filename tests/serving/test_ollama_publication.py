"""Versions, verification and interruption of a publication, against a fake that holds no model.

The last test runs the real thing where `ollama` is on PATH.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fake_ollama import FakeOllama, Stop
from pytest_socket import enable_socket
from small_models import LLAMA, MODEL_ID, VERSION, settings, weights

from securetag.errors import ConflictError, InputError, LicenceError, ModelUnavailableError, TriageError
from securetag.serving import base, gguf, ollama
from securetag.serving.client import connect
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings
from securetag.settings.sections import TriageSettings
from securetag.system.processes import ChildProcess

OLD_ID = "01" * 32


@pytest.fixture
def home(fake_ollama: FakeOllama, tmp_path: Path) -> Settings:
    """A home with two models, the first of which is published."""
    home = settings(fake_ollama.host).model_copy(update={"home": tmp_path / "home"})
    home.models_dir.mkdir(parents=True)
    registry = Registry(home.models_dir)
    for model_id in (OLD_ID, MODEL_ID):
        registry.add(entry(home.models_dir / f"{model_id[:4]}.gguf", model_id))
    ollama.publish(registry.get(OLD_ID), "securetag-v1", home)
    return home


def entry(path: Path, model_id: str) -> ModelEntry:
    from msgspec.structs import replace

    return replace(weights(path, model_id=model_id), model_id=model_id)


def served(fake: FakeOllama) -> str:
    return str(fake.models["securetag-v1:latest"]["info"][gguf.MODEL_ID_KEY])


PUBLISH = f"""
from securetag.serving import ollama
from securetag.serving.registry import Registry
from securetag.settings import get_settings

settings = get_settings()
ollama.publish(Registry(settings.models_dir).get({MODEL_ID!r}), "securetag-v1", settings)
"""
#: The requests of a publication, in their order.
STEPS = {
    "look for the blob": ("HEAD", "/api/blobs/", 0),
    "upload": ("POST", "/api/blobs/", 0),
    "create": ("POST", "/api/create", 0),
    "show": ("POST", "/api/show", 0),
    "triage": ("POST", "/api/chat", 0),
    "alias": ("POST", "/api/copy", 0),
    "verify the alias": ("GET", "/api/tags", 1),
}


@pytest.mark.sockets
@pytest.mark.system
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_publication_killed_at_any_step_leaves_the_alias_and_the_next_one_finishes(
    fake_ollama: FakeOllama, home: Settings, step: str, when: str
) -> None:
    method, path, passing = STEPS[step]
    stop = fake_ollama.stop = Stop(method, path, when, passing)
    environment = os.environ | {
        "SECURETAG_HOME": str(home.home),
        "SECURETAG_TRIAGE__BACKEND": "ollama",
        "OLLAMA_HOST": fake_ollama.host,
    }
    child = subprocess.Popen([sys.executable, "-c", PUBLISH], env=environment)
    try:
        assert stop.reached.wait(60), "the publication didn't come to this step"
    finally:
        child.kill()
        child.wait()
        stop.go_on.set()
        fake_ollama.stop = None
    is_moved = step == "verify the alias" or (step, when) == ("alias", "after")
    assert served(fake_ollama) == (MODEL_ID if is_moved else OLD_ID)
    assert ollama.publish(Registry(home.models_dir).get(MODEL_ID), "securetag-v1", home) == VERSION
    assert served(fake_ollama) == MODEL_ID
    assert child.returncode == -signal.SIGKILL


@pytest.mark.sockets
def test_a_model_that_answers_nonsense_never_gets_the_alias(fake_ollama: FakeOllama, home: Settings) -> None:
    fake_ollama.answer = "I would say that this is a true positive."
    with pytest.raises(TriageError, match=f"{VERSION} does not answer"):
        ollama.publish(Registry(home.models_dir).get(MODEL_ID), "securetag-v1", home)
    assert served(fake_ollama) == OLD_ID


@pytest.mark.sockets
def test_a_template_that_the_server_replaced_is_noticed(fake_ollama: FakeOllama, home: Settings) -> None:
    fake_ollama.template = "{{ .Prompt }}"
    with pytest.raises(ConflictError, match="another template"):
        ollama.publish(Registry(home.models_dir).get(MODEL_ID), "securetag-v1", home)
    assert served(fake_ollama) == OLD_ID


@pytest.mark.sockets
def test_old_versions_go_and_the_setting_says_how_many_stay(fake_ollama: FakeOllama, home: Settings) -> None:
    home = home.model_copy(update={"publish": home.publish.model_copy(update={"keep_versions": 2})})
    fake_ollama.models["securetag-v1:by-hand"] = fake_ollama.models["securetag-v1:latest"]
    ids = [f"{number:02}" * 32 for number in range(10, 14)]
    for model_id in ids:
        ollama.publish(entry(home.models_dir / f"{model_id[:4]}.gguf", model_id), "securetag-v1", home)
    kept = [f"securetag-v1:{model_id[:12]}" for model_id in ids[-2:]]
    assert sorted(fake_ollama.models) == sorted([*kept, "securetag-v1:by-hand", "securetag-v1:latest"])


@pytest.mark.sockets
def test_an_upload_reports_its_progress_to_the_last_byte(fake_ollama: FakeOllama, home: Settings) -> None:
    path = home.models_dir / "large.gguf"
    large = entry(path, "77" * 32)
    path.write_bytes(path.read_bytes() + bytes(3 << 20))
    reports: list[tuple[str, int, int]] = []
    ollama.publish(large, "securetag-v1", home, progress=lambda *report: reports.append(report))
    size = path.stat().st_size
    assert len(reports) > 3
    assert reports[-1] == ("upload", size, size)


@pytest.mark.sockets
def test_a_key_is_sent_and_a_wrong_one_is_refused(fake_ollama: FakeOllama, home: Settings) -> None:
    fake_ollama.api_keys = {"let-me-in"}
    with pytest.raises(ModelUnavailableError, match="401") as refused:
        ollama.publish(Registry(home.models_dir).get(MODEL_ID), "securetag-v1", home)
    assert "SECURETAG_TRIAGE__API_KEY" in refused.value.hint
    triage = TriageSettings(backend="ollama", api_key="let-me-in")  # type: ignore[arg-type]
    home = home.model_copy(update={"triage": triage})
    ollama.publish(Registry(home.models_dir).get(MODEL_ID), "securetag-v1", home)
    client = connect(home)
    try:
        assert client.resolve().model_id == MODEL_ID
    finally:
        client.close()


def test_an_adapter_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(tmp_path / "a.gguf", arch="llama")
    writer.add_type("adapter")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    adapter = entry(tmp_path / "m.gguf", MODEL_ID)
    (tmp_path / "m.gguf").write_bytes((tmp_path / "a.gguf").read_bytes())
    with pytest.raises(InputError, match="is an adapter"):
        ollama.publish(adapter, "securetag-v1", settings("http://127.0.0.1:9"))


def test_a_public_name_of_a_llama_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(LicenceError, match="may not be called acme/securetag-v1"):
        ollama.publish(LLAMA, "acme/securetag-v1", settings("http://127.0.0.1:9"))


@pytest.fixture
def real_ollama(tmp_path: Path) -> Iterator[str]:
    """The address of a real server with a folder of its own."""
    program = shutil.which("ollama")
    if program is None:
        pytest.skip("`ollama` is not on PATH: the publication was tried against the fake only")
    enable_socket()
    host = "http://127.0.0.1:11439"
    environment = os.environ | {"OLLAMA_HOST": host, "OLLAMA_MODELS": str(tmp_path / "ollama")}
    with ChildProcess([program, "serve"], env=environment):
        deadline = time.monotonic() + 60
        while True:
            try:
                if httpx.get(host, timeout=2).is_success:
                    break
            except httpx.TransportError:
                assert time.monotonic() < deadline, "ollama doesn't answer"
            time.sleep(0.2)
        yield host


@pytest.mark.sockets
def test_the_embedded_model_published_to_a_real_ollama(real_ollama: str) -> None:
    home = settings(real_ollama)
    version = ollama.publish(base.entry(), "securetag-v1", home)
    assert version == f"securetag-v1:{base.MODEL_ID[:12]}"
