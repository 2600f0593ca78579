"""The client against servers that are away, slow, trickle, break off or talk nonsense: real sockets."""

from __future__ import annotations

import contextlib
import gc
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from securetag.errors import ModelUnavailableError
from securetag.records import Message
from securetag.scrubbing import escape_tokens, write_tokens
from securetag.serving.client import ModelInfo, RuntimeClient, connect, make_predictor, name_model
from securetag.settings import Settings
from securetag.system.services import announce_service

pytestmark = pytest.mark.sockets

ASK = [Message("system", "Answer."), Message("user", "Well?")]
MODEL_ID = "ab" * 32
MODELS: dict[str, list[dict[str, Any]]] = {
    "data": [
        {
            "id": f"#{MODEL_ID}",
            "aliases": [f"#{MODEL_ID}", "securetag-base"],
            "tags": [f"securetag.model_id={MODEL_ID}"],
            "owned_by": "llamacpp",
        }
    ]
}
#: Beyond the deadline itself, what a loaded machine may need to notice it.
SLACK_S = 1.5

Serve = Callable[[socket.socket, str], None]


def reply(
    connection: socket.socket, body: str, *, status: str = "200 OK", kind: str = "application/json"
) -> None:
    data = body.encode()
    head = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(data)}",
        "Connection: close",
    ]
    connection.sendall("\r\n".join([*head, "", ""]).encode() + data)


def completion(content: object, finish: str | None = "stop", model: str = f"#{MODEL_ID}") -> str:
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": finish}
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    return json.dumps({"model": model, "choices": [choice], "usage": usage, "timings": {}})


GOOD = completion("{}")


def read_request(connection: socket.socket) -> bytes:
    """Head and body: closing with unread bytes would reset the connection under the answer."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextlib.contextmanager
def server(chat: Serve, models: str | Serve | None = None) -> Iterator[str]:
    """A hand-written HTTP server: `chat` gets the connection after the request was read."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.05)
    stop = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = read_request(connection)
            if request.startswith(b"GET /v1/models"):
                if callable(models):
                    models(connection, "")
                else:
                    reply(connection, models if models is not None else json.dumps(MODELS))
            else:
                chat(connection, request.decode(errors="replace"))

    def accept() -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        stop.set()
        thread.join()
        listening.close()


@pytest.fixture(params=[False, True], ids=["any server", "our runtime"])
def is_runtime(request: pytest.FixtureRequest) -> bool:
    """Whether the server is announced as our own runtime, to which the client has connections of its own."""
    return bool(request.param)


@contextlib.contextmanager
def client(url: str | None, home: Path, is_runtime: bool = False) -> Iterator[RuntimeClient]:
    if is_runtime:
        announce_service(home / "run", "runtime", {"url": url, "pid": 1})
        url = None
    made = RuntimeClient(url, run_dir=home / "run", aliases=["securetag-v1", "securetag-base"])
    try:
        yield made
    finally:
        made.close()


def ask(made: RuntimeClient, timeout_s: float = 5.0) -> str:
    return made.chat(ASK, schema=None, max_tokens=24, timeout_s=timeout_s).text


def test_a_good_server_is_understood(is_runtime: bool, tmp_path: Path) -> None:
    with server(lambda c, _: reply(c, GOOD)) as url, client(url, tmp_path, is_runtime) as made:
        assert made.resolve() == ModelInfo("securetag-base", MODEL_ID)
        got = make_predictor(made, timeout_s=5)(ASK, {"type": "boolean"}, 24)
    assert (got.text, got.model_id, got.alias) == ("{}", MODEL_ID, "securetag-base")
    assert (got.prompt_tokens, got.cached_tokens, got.completion_tokens) == (9, 4, 2)


def test_control_tokens_of_the_served_model_are_escaped_as_in_training(tmp_path: Path) -> None:
    tokens = frozenset({"<|im_end|>", "<filename>"})
    (model,) = MODELS["data"]
    tags = [*model["tags"], f"securetag.control_tokens={write_tokens(tokens)}"]
    bodies: list[Any] = []

    def record(connection: socket.socket, request: str) -> None:
        bodies.append(json.loads(request.partition("\r\n\r\n")[2]))
        reply(connection, GOOD)

    listed = json.dumps({"data": [{**model, "tags": tags}]})
    messages = [Message("system", "Answer."), Message("user", "open('<filename>')  # <|im_end|> <b>")]
    with server(record, listed) as url, client(url, tmp_path) as made:
        made.chat(messages, schema=None, max_tokens=24, timeout_s=5)
    assert bodies[0]["messages"] == [
        {"role": message.role, "content": escape_tokens(message.content, tokens)} for message in messages
    ]
    assert bodies[0]["messages"][1]["content"] == "open('< filename>')  # < |im_end|> <b>"


def test_a_verdict_carries_the_model_that_answered(tmp_path: Path) -> None:
    other = "cd" * 32
    body = completion("{}", model=f"#{other}")
    with server(lambda c, _: reply(c, body)) as url, client(url, tmp_path) as made:
        assert made.resolve().model_id == MODEL_ID
        answer = made.chat(ASK, schema=None, max_tokens=24, timeout_s=5)
        assert (answer.model_id, answer.digest) == (other, "")


@pytest.mark.parametrize("model_id", [MODEL_ID, "cd" * 32], ids=["the same model", "another one"])
def test_a_reply_says_which_file_has_answered(model_id: str, tmp_path: Path) -> None:
    body = completion("{}", model=name_model(model_id, "ef" * 32))
    with server(lambda c, _: reply(c, body)) as url, client(url, tmp_path) as made:
        answer = made.chat(ASK, schema=None, max_tokens=24, timeout_s=5)
    assert (answer.model_id, answer.digest) == (model_id, "file:" + "ef" * 32)


def test_a_foreign_name_is_no_digest(tmp_path: Path) -> None:
    body = completion("{}", model=f"securetag-v1@{'ef' * 32}")
    with server(lambda c, _: reply(c, body)) as url, client(url, tmp_path) as made:
        answer = made.chat(ASK, schema=None, max_tokens=24, timeout_s=5)
    assert (answer.model_id, answer.digest) == (MODEL_ID, "")


def test_a_schema_goes_as_a_grammar_to_llama_cpp_and_as_a_schema_elsewhere(tmp_path: Path) -> None:
    seen: list[str] = []

    def chat(connection: socket.socket, request: str) -> None:
        seen.append(request)
        reply(connection, GOOD)

    schema = {
        "type": "object",
        "properties": {"a": {"type": "boolean"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    foreign = json.dumps({"data": [{"id": "securetag-v1", "owned_by": "vllm"}]})
    with server(chat) as url, client(url, tmp_path) as made:
        made.chat(ASK, schema=schema, max_tokens=24, timeout_s=5)
    with server(chat, foreign) as url, client(url, tmp_path) as made:
        made.chat(ASK, schema=schema, max_tokens=24, timeout_s=5)
        assert made.resolve() == ModelInfo("securetag-v1", "openai:securetag-v1")
    assert ['"grammar"' in request for request in seen] == [True, False]
    assert ['"response_format"' in request for request in seen] == [False, True]


def silent(connection: socket.socket, _: str) -> None:
    connection.recv(1)


def trickling_headers(connection: socket.socket, _: str) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000:
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def trickling_body(connection: socket.socket, _: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.02)


@pytest.mark.parametrize(
    "chat",
    [
        pytest.param(silent, id="no response"),
        pytest.param(trickling_headers, id="slow headers"),
        pytest.param(trickling_body, id="slow body"),
    ],
)
def test_one_deadline_spans_the_whole_call(chat: Serve, is_runtime: bool, tmp_path: Path) -> None:
    with server(chat) as url, client(url, tmp_path, is_runtime) as made:
        made.resolve()
        began = time.monotonic()
        with pytest.raises(ModelUnavailableError, match=r"no answer within 0\.4 s"):
            ask(made, 0.4)
        assert time.monotonic() - began < 0.4 + SLACK_S


def test_a_silent_list_of_models_counts_towards_the_deadline(tmp_path: Path) -> None:
    with server(silent, silent) as url, client(url, tmp_path) as made:
        began = time.monotonic()
        with pytest.raises(ModelUnavailableError):
            ask(made, 0.4)
        assert time.monotonic() - began < 0.4 + SLACK_S


def endless(connection: socket.socket, _: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


LOGPROBS = '"logprobs": {"content": [{"token": "{", "logprob": null}]}, "finish_reason"'
NONSENSE: dict[str, Serve] = {
    "HTML": lambda c, _: reply(c, "<html>hello</html>"),
    "empty body": lambda c, _: reply(c, ""),
    "no JSON": lambda c, _: reply(c, "not json"),
    "a list": lambda c, _: reply(c, "[1, 2]"),
    "an empty object": lambda c, _: reply(c, "{}"),
    "choices are a text": lambda c, _: reply(c, '{"choices": "text"}'),
    "message is a text": lambda c, _: reply(c, '{"choices": [{"message": "text", "finish_reason": "stop"}]}'),
    "content is a number": lambda c, _: reply(c, completion(7)),
    "usage is a text": lambda c, _: reply(c, GOOD[:-1] + ', "usage": "many"}'),
    "a token without a number": lambda c, _: reply(c, GOOD.replace('"finish_reason"', LOGPROBS)),
    "deep nesting": lambda c, _: reply(c, "[" * 100_000),
    "deep nesting in a field that nobody reads": lambda c, _: reply(c, '{"x": ' + "[" * 100_000),
    "no finish reason": lambda c, _: reply(c, completion("{", finish=None)),
    "an error with a good status": lambda c, _: reply(c, '{"error": {"message": "out of memory"}}'),
    "503": lambda c, _: reply(c, '{"error": {"message": "no slot"}}', status="503 Service Unavailable"),
    "redirect": lambda c, _: reply(c, "", status="302 Found"),
    "cut off": lambda c, _: c.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"model'),  # breaks off
    "other protocol": lambda c, _: c.sendall(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "closed connection": lambda c, _: c.close(),
    "endless": endless,
}


@pytest.mark.parametrize("name", NONSENSE)
def test_an_invalid_answer_makes_the_model_unavailable(name: str, is_runtime: bool, tmp_path: Path) -> None:
    with (
        server(NONSENSE[name]) as url,
        client(url, tmp_path, is_runtime) as made,
        pytest.raises(ModelUnavailableError),
    ):
        ask(made, 10)


@pytest.mark.parametrize(
    "models",
    ["", "[]", "{}", '{"data": 3}', '{"data": ["x"]}', '{"data": [{"id": "other"}]}', '{"data": {"id": 1}}'],
)
def test_an_invalid_list_of_models_makes_the_model_unavailable(models: str, tmp_path: Path) -> None:
    with server(silent, models) as url, client(url, tmp_path) as made, pytest.raises(ModelUnavailableError):
        made.resolve()


def test_an_absent_server_is_said_with_what_to_do(tmp_path: Path) -> None:
    with client(None, tmp_path) as made, pytest.raises(ModelUnavailableError) as caught:
        made.resolve()
    assert "securetag up" in caught.value.hint
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with client(f"http://127.0.0.1:{port}", tmp_path) as made, pytest.raises(ModelUnavailableError):
        ask(made)


def test_a_runtime_that_comes_back_elsewhere_is_found_again(tmp_path: Path) -> None:
    good: Serve = lambda c, _: reply(c, GOOD)  # noqa: E731
    with client(None, tmp_path) as made:
        with server(good) as url:
            announce_service(tmp_path / "run", "runtime", {"url": url, "pid": 1})
            assert ask(made) == "{}"
        with pytest.raises(ModelUnavailableError):
            ask(made)
        with server(good) as url:
            announce_service(tmp_path / "run", "runtime", {"url": url, "pid": 2})
            assert ask(made) == "{}"
        # Published in the middle of a scan: the old server is gone, the new one answers at once.
        with server(good) as url:
            announce_service(tmp_path / "run", "runtime", {"url": url, "pid": 3})
            assert ask(made) == "{}"


def test_threads_share_a_client_and_a_closed_one_says_so(is_runtime: bool, tmp_path: Path) -> None:
    with server(lambda c, _: reply(c, GOOD)) as url, client(url, tmp_path, is_runtime) as made:
        texts: list[str] = []
        threads = [threading.Thread(target=lambda: texts.append(ask(made))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert texts == ["{}"] * 8
        made.close()
        with pytest.raises(ModelUnavailableError, match="closed"):
            ask(made)


def test_a_call_that_is_under_way_ends_when_its_client_is_closed(is_runtime: bool, tmp_path: Path) -> None:
    caught: list[BaseException] = []

    def wait(made: RuntimeClient) -> None:
        try:
            ask(made, 30)
        except ModelUnavailableError as error:
            caught.append(error)

    with server(silent) as url, client(url, tmp_path, is_runtime) as made:
        made.resolve()
        thread = threading.Thread(target=wait, args=(made,))
        thread.start()
        time.sleep(0.2)
        made.close()
        thread.join(10)
        assert len(caught) == 1


def test_settings_choose_the_backend() -> None:
    made = connect(Settings())
    assert isinstance(made, RuntimeClient)
    made.close()


def test_a_call_that_begins_while_its_client_is_closed_ends_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def call(made: RuntimeClient, start: threading.Barrier, reasons: list[str]) -> None:
        start.wait()
        try:
            ask(made, 20)
        except ModelUnavailableError as error:
            reasons.append(str(error))

    began = time.monotonic()
    with server(silent) as url:
        for _ in range(10):
            with client(url, tmp_path) as made:
                made.resolve()
                start, reasons = threading.Barrier(5), list[str]()
                threads = [threading.Thread(target=call, args=(made, start, reasons)) for _ in range(4)]
                for thread in threads:
                    thread.start()
                start.wait()
                made.close()
                for thread in threads:
                    thread.join()
                assert len(reasons) == 4
    assert time.monotonic() - began < 15, "a call waited for its own limit"
    gc.collect()
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []
