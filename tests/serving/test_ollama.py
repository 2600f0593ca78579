"""Publishing to Ollama and chatting with it, against a fake that enforces the published contract."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from fake_ollama import FakeOllama
from small_models import LLAMA, MODEL_ID, VERSION, settings, weights

from securetag.errors import ConflictError, InputError, LicenceError, ModelUnavailableError
from securetag.pipeline.publish import rollback
from securetag.records import JsonObject, Message
from securetag.serving import modelfile, ollama
from securetag.serving.client import OllamaClient, connect
from securetag.serving.registry import ModelEntry, Registry

ASK = [Message("system", "Answer."), Message("user", "Well?")]


@pytest.mark.sockets
def test_published_once_uploaded_once_and_chatted_with(fake_ollama: FakeOllama, tmp_path: Path) -> None:
    entry = weights(tmp_path / "m.gguf")
    for _ in range(2):
        assert ollama.publish(entry, "securetag-v1", settings(fake_ollama.host)) == VERSION
    assert [path for verb, path in fake_ollama.requests if verb == "POST" and "blobs" in path] == [
        f"/api/blobs/sha256:{entry.file_sha256}"
    ]
    made = fake_ollama.models["securetag-v1:latest"]
    assert made["digest"] == fake_ollama.models[VERSION]["digest"]
    assert made["template"].endswith("<|im_start|>assistant\n")
    assert made["parameters"] == {"temperature": 0, "num_ctx": 1024, "stop": ["<|im_end|>"]}
    assert "Apache-2.0" in made["license"][0]
    assert "quantize" not in made
    client = connect(settings(fake_ollama.host))
    try:
        assert client.resolve().model_id == MODEL_ID
        got = client.chat(ASK, schema={"type": "object"}, max_tokens=24, timeout_s=10)
    finally:
        client.close()
    assert (got.text, got.model_id, got.alias) == (fake_ollama.answer, MODEL_ID, "securetag-v1")
    assert (got.prompt_tokens, got.completion_tokens) == (70, 18)


@pytest.mark.sockets
def test_control_tokens_of_the_published_file_are_escaped(fake_ollama: FakeOllama, tmp_path: Path) -> None:
    ollama.publish(weights(tmp_path / "m.gguf"), "securetag-v1", settings(fake_ollama.host))
    requests: list[JsonObject] = []

    def answer(request: JsonObject) -> str:
        requests.append(request)
        return "{}"

    fake_ollama.answer = answer
    client = connect(settings(fake_ollama.host))
    try:
        client.chat([Message("user", "open('<filename>')")], schema=None, max_tokens=24, timeout_s=10)
    finally:
        client.close()
    assert requests[0]["messages"] == [{"role": "user", "content": "open('< filename>')"}]


@pytest.mark.sockets
def test_a_rollback_reaches_the_server_or_leaves_the_alias_alone(
    fake_ollama: FakeOllama, tmp_path: Path
) -> None:
    home = settings(fake_ollama.host).model_copy(update={"home": tmp_path})
    registry = Registry(home.models_dir)
    for model_id in (MODEL_ID, "6f" * 32):
        entry = weights(tmp_path / f"{model_id[:2]}.gguf", model_id=model_id)
        registry.add(msgspec.structs.replace(entry, model_id=model_id))
        registry.publish("securetag-v1", model_id)
    away = home.model_copy(update={"ollama_host": "http://127.0.0.1:9"})
    with pytest.raises(ModelUnavailableError):
        rollback("securetag-v1", away)
    assert registry.resolve("securetag-v1").model_id == "6f" * 32
    assert rollback("securetag-v1", home).model_id == MODEL_ID
    client = connect(home)
    try:
        assert client.resolve().model_id == MODEL_ID
    finally:
        client.close()


@pytest.mark.sockets
def test_another_model_than_published_is_an_error(fake_ollama: FakeOllama, tmp_path: Path) -> None:
    entry = weights(tmp_path / "m.gguf", model_id="00" * 32)
    with pytest.raises(ConflictError):
        ollama.publish(entry, "securetag-v1", settings(fake_ollama.host))


@pytest.mark.sockets
def test_what_the_server_refuses_or_does_not_know_is_said(fake_ollama: FakeOllama, tmp_path: Path) -> None:
    entry = weights(tmp_path / "m.gguf")
    wrong = ModelEntry(
        **{name: getattr(entry, name) for name in entry.__struct_fields__} | {"file_sha256": "0" * 64}
    )
    (tmp_path / "m.gguf").write_bytes((tmp_path / "m.gguf").read_bytes())
    assert ollama.publish(wrong, "securetag-v1", settings(fake_ollama.host))  # its digest is computed anew
    client = OllamaClient(fake_ollama.host, aliases=["another"])
    try:
        with pytest.raises(ModelUnavailableError, match="serves none of another"):
            client.resolve()
    finally:
        client.close()


@pytest.mark.sockets
def test_an_absent_ollama_fails_within_the_deadline(tmp_path: Path) -> None:
    entry = weights(tmp_path / "m.gguf")
    with pytest.raises(ModelUnavailableError):
        ollama.publish(entry, "securetag-v1", settings("http://127.0.0.1:9"))
    client = OllamaClient("http://127.0.0.1:9", aliases=["securetag-v1"])
    began = time.monotonic()
    try:
        with pytest.raises(ModelUnavailableError):
            client.chat(ASK, schema=None, max_tokens=24, timeout_s=2)
    finally:
        client.close()
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("name", "public", "allowed"),
    [
        ("securetag-v1", False, True),
        ("securetag-v1", True, False),
        ("acme/securetag-v1", False, False),
        ("acme/Llama-3.1-Securetag-v1", True, True),
        ("Llama-3.1-Securetag-v1", True, True),
    ],
)
def test_a_distributed_llama_is_called_llama(name: str, public: bool, allowed: bool) -> None:
    if allowed:
        modelfile.check_name(name, LLAMA, public=public)
    else:
        with pytest.raises(LicenceError, match="may not be called"):
            modelfile.check_name(name, LLAMA, public=public)


def test_the_smollm_base_is_no_llama_and_a_llama_says_what_it_is_built_with(tmp_path: Path) -> None:
    modelfile.check_name("acme/anything", weights(tmp_path / "m.gguf"), public=True)
    text = modelfile.render(modelfile.choose_packaging(LLAMA, "<|start_header_id|>", ctx=4608), "./m.gguf")
    assert "Built with Llama" in text
    assert 'PARAMETER stop "<|eot_id|>"' in text
    assert text.startswith("FROM ./m.gguf\nTEMPLATE ")
    with pytest.raises(InputError, match="no Ollama template"):
        modelfile.choose_packaging(LLAMA, "[INST]", ctx=1)
