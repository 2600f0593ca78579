"""Our api's client: errors are those that the api raised, pages are followed, and what may be is repeated."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID

import httpx
import pytest

from securetag.client import http
from securetag.client.api import ApiClient
from securetag.errors import (
    PROBLEM_TYPE,
    AuthenticationError,
    ConflictError,
    DatabaseUnavailableError,
    FencedError,
    InputError,
    LimitError,
    NotFoundError,
    ReleaseError,
    SecuretagError,
    UnavailableError,
)

TASK = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
PROJECT = {"id": str(TASK), "name": "shop", "created_at": "2026-11-27T10:00:00Z"}
Answer = httpx.Response | httpx.HTTPError


class ScriptedApi:
    """A transport: answers in order, and what was asked. The real api is in `tests/test_end_to_end.py`."""

    def __init__(self, *answers: Answer) -> None:
        self.answers: Iterator[Answer] = iter(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = next(self.answers)
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return answer

    def client(self) -> ApiClient:
        return ApiClient("http://api", "key", transport=httpx.MockTransport(self))


def problem(status: int, slug: str = "", **headers: str) -> httpx.Response:
    body = {"type": PROBLEM_TYPE + slug, "detail": "what happened", "hint": "what to do"}
    return httpx.Response(status, json=body, headers=headers)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses between tries, which are not waited for."""
    seconds: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", seconds.append)
    return seconds


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(problem(401, "unauthenticated"), AuthenticationError, id="by its type"),
        pytest.param(problem(409, FencedError.slug), FencedError, id="a child's type"),
        pytest.param(problem(500, ReleaseError.slug), ReleaseError, id="type before status"),
        pytest.param(problem(409, "invented-later"), ConflictError, id="an unknown type goes by its status"),
        pytest.param(httpx.Response(413, text="<html>"), LimitError, id="a proxy's page goes by its status"),
        pytest.param(httpx.Response(422, json=["no problem"]), InputError, id="JSON that is no problem"),
        pytest.param(httpx.Response(418), SecuretagError, id="any other refusal"),
        pytest.param(httpx.Response(502), UnavailableError, id="any other failure"),
    ],
)
def test_a_refusal_is_the_error_that_the_api_raised(answer: httpx.Response, kind: type[Exception]) -> None:
    with ScriptedApi(answer).client() as client, pytest.raises(SecuretagError) as refused:
        client.cancel(TASK)
    assert type(refused.value) is kind
    assert f"the api refused ({answer.status_code})" in str(refused.value)
    assert refused.value.hint or answer.status_code in {413, 418, 502}


def test_the_words_are_those_of_the_problem() -> None:
    client = ScriptedApi(problem(401, "unauthenticated")).client()
    with client, pytest.raises(AuthenticationError) as refused:
        client.cancel(TASK)
    assert str(refused.value) == "the api refused (401): what happened"
    assert refused.value.hint == "what to do"


def test_all_pages_are_read() -> None:
    pages = [
        {"items": [PROJECT, PROJECT], "next_cursor": str(TASK)},
        {"items": [PROJECT], "next_cursor": None},
    ]
    api = ScriptedApi(*(httpx.Response(200, json=page) for page in pages))
    with api.client() as client:
        projects = list(client.projects())
    assert [project.name for project in projects] == ["shop"] * 3
    assert [request.url.params.get("cursor") for request in api.requests] == [None, str(TASK)]


def test_what_may_be_repeated_is_tried_again_where_the_api_is_away(pauses: list[float]) -> None:
    away = problem(503, DatabaseUnavailableError.slug, **{"Retry-After": "2"})
    page = httpx.Response(200, json={"items": [], "next_cursor": None})
    api = ScriptedApi(httpx.ConnectError("refused"), away, page)
    with api.client() as client:
        assert list(client.projects()) == []
    assert len(api.requests) == 3
    low, high = http.PAUSE_S
    assert low <= pauses[0] <= high
    assert 2 + low <= pauses[1] <= 2 + high


@pytest.mark.parametrize("seconds", ["99999", "-1", "nan", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_no_api_makes_a_client_wait_for_ever(seconds: str, pauses: list[float]) -> None:
    answers = [problem(503, "unavailable", **{"Retry-After": seconds}) for _ in range(http.TRIES)]
    with ScriptedApi(*answers).client() as client, pytest.raises(UnavailableError):
        client.tools()
    assert len(pauses) == http.TRIES - 1
    assert max(pauses) <= http.MAX_RETRY_AFTER_S + http.PAUSE_S[1]


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda client: client.cancel(TASK), id="a call without an idempotency key"),
        pytest.param(lambda client: client.send("POST", "/keys"), id="any call by itself"),
    ],
)
def test_what_might_happen_twice_is_sent_once(call: Callable[[ApiClient], object]) -> None:
    api = ScriptedApi(httpx.ReadTimeout("no answer"))
    with api.client() as client, pytest.raises(UnavailableError, match="does not answer: no answer"):
        call(client)
    assert len(api.requests) == 1


def test_a_refusal_is_not_repeated() -> None:
    api = ScriptedApi(problem(404, "not-found"))
    with api.client() as client, pytest.raises(SecuretagError):
        client.scan(TASK)
    assert len(api.requests) == 1


@pytest.mark.parametrize("body", ["", "<html>", "[]", json.dumps({"items": 3})], ids=repr)
def test_an_answer_of_something_else_says_so(body: str) -> None:
    client = ScriptedApi(httpx.Response(200, text=body)).client()
    with client, pytest.raises(UnavailableError, match="answers /projects with something else") as error:
        list(client.projects())
    assert "Securetag api" in error.value.hint


def test_an_answer_may_gain_fields() -> None:
    page = {"items": [{**PROJECT, "color": "red"}], "next_cursor": None, "total": 1}
    with ScriptedApi(httpx.Response(200, json=page)).client() as client:
        (project,) = client.projects()
    assert project.name == "shop"


@pytest.mark.sockets
def test_the_environments_proxy_is_used_but_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{proxy.server_port}"
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for url in ("http://securetag.example", address):
            with ApiClient(url, "key") as client, pytest.raises(NotFoundError):
                client.scan(TASK)
        proxy.shutdown()
        thread.join()
    assert asked == [f"http://securetag.example/scans/{TASK}", f"/scans/{TASK}"]
