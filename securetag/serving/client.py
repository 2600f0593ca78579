"""One client interface over the embedded llama.cpp server and Ollama.

A server that is absent, slow, trickles bytes, breaks off or talks nonsense ends in
ModelUnavailableError, at the latest when `timeout_s` has passed: one deadline spans name
resolution, connection, headers and body, which the per-read timeouts of an HTTP client don't.

Imports nothing but the floors below, h11, httpx, ollama and this package's stdlib-only modules, so that
a worker rests small. Knows no finding and no prompt.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Protocol, TypeVar

import h11
import httpx
import msgspec

from securetag.calibration import TOP_LOGPROBS
from securetag.errors import ModelUnavailableError
from securetag.records import JsonObject, Message
from securetag.scrubbing import CONTROL_TOKENS_KEY, escape_tokens, read_tokens
from securetag.serving.connections import (
    MAX_REPLY,
    Connections,
    LoopbackConnections,
    RemoteConnections,
)
from securetag.serving.grammar import gbnf
from securetag.serving.openai_reply import ChatReply, NotServedError, read_reply
from securetag.serving.registry import FILE_DIGEST, OLLAMA_DIGEST
from securetag.settings import Settings
from securetag.system.services import read_services
from securetag.triage import Completion, Predictor

T = TypeVar("T")

#: Where an Ollama server listens, unless OLLAMA_HOST says otherwise.
OLLAMA_HOST = "http://127.0.0.1:11434"
#: Seconds in which a server must say which models it serves.
RESOLVE_TIMEOUT_S = 5.0
#: Seconds that the event loop may lag behind a deadline on a busy machine.
_GRACE_S = 2.0
#: What our own runtime puts before the model_id in the tags of `/v1/models`, and in the name that
#: every reply carries (llama.cpp echoes the first alias in byte order, and `#` sorts first).
MODEL_ID_TAG = "securetag.model_id="
MODEL_ID_NAME = "#"
#: What comes before the sha256 of the served file, which our own runtime has computed: in a tag, and in that
#: name after the model_id.
FILE_SHA256_TAG = "securetag.file_sha256="
FILE_SHA256_NAME = "@"
#: What comes before the model's control tokens, as `securetag.scrubbing.write_tokens` writes them.
CONTROL_TOKENS_TAG = f"{CONTROL_TOKENS_KEY}="
#: Everything that an absent, broken or hostile server can cause while its reply is read.
_FAILURES = (
    h11.ProtocolError,
    httpx.HTTPError,
    httpx.InvalidURL,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
    TimeoutError,
)


class ModelInfo(msgspec.Struct, frozen=True):
    """A served model: the alias that it was found by, and what it is."""

    alias: str
    #: 64 hex digits; `openai:<name>` or `ollama:<digest>` for a model that isn't ours.
    model_id: str
    #: What its server shows of the bytes: `file:<sha256>` from our own runtime, `ollama:<digest>`; empty
    #: where a server shows nothing. A name can be given to any model, a digest can't.
    digest: str = ""


class ModelClient(Protocol):
    """A chat model behind HTTP. Safe to use from several threads at once."""

    def resolve(self) -> ModelInfo:
        """Return the first of the wanted aliases that is served now. Raises ModelUnavailableError."""

    def chat(
        self,
        messages: Sequence[Message],
        *,
        schema: JsonObject | None,
        max_tokens: int,
        timeout_s: float,
        temperature: float = 0.0,
        seed: int = 0,
        logprobs: bool = False,
    ) -> Completion:
        """Return what the model answers, under a JSON schema where one is given.

        With `logprobs` the completion carries those of its tokens, where the server has them.
        Raises ModelUnavailableError on any failure, at the latest after `timeout_s` seconds.
        """

    def close(self) -> None:
        """Give connections back. A closed client raises ModelUnavailableError."""


def connect(settings: Settings) -> ModelClient:
    """Return the client that the settings name. Opens no connection yet."""
    wanted = settings.triage.aliases
    api_key = settings.triage.api_key.get_secret_value() if settings.triage.api_key else None
    if settings.triage.backend == "ollama":
        return OllamaClient(settings.ollama_host, aliases=wanted, api_key=api_key)
    return RuntimeClient(settings.triage.url, run_dir=settings.run_dir, aliases=wanted, api_key=api_key)


def bearer(api_key: str | None) -> dict[str, str]:
    """Return the header that carries a key; none without a key."""
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


class _Deadlines:
    """An event loop in a thread of its own: where a whole call can be canceled at its deadline.

    Callers stay synchronous, and may themselves run inside another event loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        #: Held while work is handed over, so that none comes after the loop's last turn.
        self._lock = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="model-client", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        """Run the loop until it is stopped, then end what still runs in it."""
        self._loop.run_forever()
        while tasks := asyncio.all_tasks(self._loop):
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def run(self, work: Coroutine[object, None, T], timeout_s: float) -> T:
        """Return the result of `work`; raise TimeoutError after `timeout_s`."""

        async def bounded() -> T:
            async with asyncio.timeout(timeout_s):
                return await work

        with self._lock:
            if self._is_closed:
                work.close()
                raise ModelUnavailableError("the model client is closed")
            future = asyncio.run_coroutine_threadsafe(bounded(), self._loop)
        try:
            return future.result(timeout_s + _GRACE_S)
        except CancelledError as error:
            work.close()  # where it hadn't begun
            raise ModelUnavailableError("the model client was closed meanwhile") from error
        finally:
            future.cancel()

    def close(self, last: Coroutine[object, None, None]) -> None:
        """Run `last`, end what still runs, and stop. A second call does nothing."""

        async def finish() -> None:
            try:
                async with asyncio.timeout(_GRACE_S):
                    await last
            finally:
                self._loop.stop()

        with self._lock:
            if self._is_closed:
                last.close()
                return
            self._is_closed = True
            future = asyncio.run_coroutine_threadsafe(finish(), self._loop)
        with contextlib.suppress(CancelledError, TimeoutError, httpx.HTTPError, OSError):
            future.result(2 * _GRACE_S)
        self._thread.join(_GRACE_S)


class RuntimeClient:
    """An OpenAI-compatible server: our own runtime, found through `services.json`, or any `url`."""

    def __init__(
        self,
        url: str | None,
        *,
        run_dir: Path,
        aliases: Sequence[str],
        api_key: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport` stands for the network to a `url`."""
        self._url, self._run_dir, self._aliases = url, run_dir, list(aliases)
        self._deadlines = _Deadlines()
        headers = bearer(api_key)
        self._connections: Connections = (
            LoopbackConnections(headers) if url is None else RemoteConnections(headers, transport)
        )
        self._served: _Served | None = None

    def resolve(self) -> ModelInfo:
        return self._resolve(RESOLVE_TIMEOUT_S).info

    def chat(
        self,
        messages: Sequence[Message],
        *,
        schema: JsonObject | None,
        max_tokens: int,
        timeout_s: float,
        temperature: float = 0.0,
        seed: int = 0,
        logprobs: bool = False,
    ) -> Completion:
        began = time.monotonic()
        # A rented server may load its model first, which only the caller's own limit bounds.
        served = self._served or self._resolve(timeout_s)
        body: JsonObject = {
            "model": served.info.alias,
            "messages": _escape(messages, served.control_tokens),
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
            "stream": False,
        }
        if logprobs:
            body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        if schema is not None:
            body |= _constraint(schema, grammar=served.takes_grammar)
        left = max(0.001, timeout_s - (time.monotonic() - began))
        try:
            reply = self._deadlines.run(self._post(served.url, body), left)
        except _FAILURES as error:
            self._served = None
            left = timeout_s - (time.monotonic() - began)
            if left > 0 and self._base() != served.url:
                # A publish has moved the runtime under us; the finding must not pay for it.
                return self.chat(
                    messages,
                    schema=schema,
                    max_tokens=max_tokens,
                    timeout_s=left,
                    temperature=temperature,
                    seed=seed,
                    logprobs=logprobs,
                )
            raise _unavailable(served.url, error, timeout_s) from error
        info, (model_id, digest) = served.info, _read_name(reply.model)
        if model_id and model_id != info.model_id:
            # Republished between resolve and chat: the verdict carries the model that answered.
            self._served = None
            info = ModelInfo(info.alias, model_id, digest)
        return Completion(
            text=reply.text,
            model_id=info.model_id,
            alias=info.alias,
            digest=digest,
            prompt_tokens=reply.usage.prompt_tokens if reply.usage else 0,
            cached_tokens=reply.cached_tokens,
            completion_tokens=reply.usage.completion_tokens if reply.usage else 0,
            logprobs=[(token.token, token.logprob) for token in reply.tokens],
            top_logprobs=[
                [(other.token, other.logprob) for other in token.top_logprobs] for token in reply.tokens
            ],
            duration_ms=round((time.monotonic() - began) * 1000),
        )

    def close(self) -> None:
        self._deadlines.close(self._connections.aclose())

    def _base(self) -> str:
        url = self._url or read_services(self._run_dir).get("runtime", {}).get("url")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise ModelUnavailableError(
                "no model runtime is running",
                hint="Start one with `securetag up`, or set SECURETAG_TRIAGE__URL.",
            )
        return url.rstrip("/").removesuffix("/v1")

    def _resolve(self, timeout_s: float) -> _Served:
        url = self._base()
        try:
            listed = self._deadlines.run(self._get(f"{url}/v1/models"), timeout_s)
            self._served = _first_served(url, listed, self._aliases)
        except _FAILURES as error:
            raise _unavailable(url, error, timeout_s) from error
        return self._served

    async def _get(self, url: str) -> JsonObject:
        listed: JsonObject = json.loads(await self._connections.request("GET", url))
        return listed

    async def _post(self, url: str, body: JsonObject) -> ChatReply:
        content = msgspec.json.encode(body)
        return read_reply(await self._connections.request("POST", f"{url}/v1/chat/completions", content))


class OllamaClient:
    """Ollama's native API, through its official client."""

    def __init__(self, host: str | None, *, aliases: Sequence[str], api_key: str | None = None) -> None:
        import ollama

        self._host, self._aliases = host or OLLAMA_HOST, list(aliases)
        self._deadlines = _Deadlines()
        self._ollama = ollama.AsyncClient(host=self._host, follow_redirects=False, headers=bearer(api_key))
        self._info: ModelInfo | None = None
        self._control_tokens: frozenset[str] = frozenset()

    def resolve(self) -> ModelInfo:
        self._info = self._run(self._resolve(), RESOLVE_TIMEOUT_S)
        return self._info

    def chat(
        self,
        messages: Sequence[Message],
        *,
        schema: JsonObject | None,
        max_tokens: int,
        timeout_s: float,
        temperature: float = 0.0,
        seed: int = 0,
        logprobs: bool = False,
    ) -> Completion:
        began = time.monotonic()
        options = {"temperature": temperature, "seed": seed, "num_predict": max_tokens}

        async def ask() -> Completion:
            info = self._info = self._info or await self._resolve()
            parts: list[str] = []
            tokens: list[tuple[str, float]] = []
            likeliest: list[list[tuple[str, float]]] = []
            last = None
            # Read to its end: a stream that is left early is closed by nobody.
            async for part in await self._ollama.chat(
                model=info.alias,
                messages=_escape(messages, self._control_tokens),
                format=schema,
                options=options,
                stream=True,
                logprobs=logprobs or None,
                top_logprobs=TOP_LOGPROBS if logprobs else None,
            ):
                parts.append(part.message.content or "")
                tokens += [(token.token, token.logprob) for token in part.logprobs or ()]
                likeliest += [
                    [(other.token, other.logprob) for other in token.top_logprobs or ()]
                    for token in part.logprobs or ()
                ]
                if sum(map(len, parts)) > MAX_REPLY:
                    raise ValueError("the answer has no end")
                last = part if part.done else last
            if last is None:
                raise ValueError("the answer broke off")
            return Completion(
                text="".join(parts),
                model_id=info.model_id,
                alias=info.alias,
                prompt_tokens=last.prompt_eval_count or 0,
                completion_tokens=last.eval_count or 0,
                logprobs=tokens,
                top_logprobs=likeliest,
                duration_ms=round((time.monotonic() - began) * 1000),
            )

        return self._run(ask(), timeout_s)

    def close(self) -> None:
        close: Callable[[], Coroutine[object, None, None]] = self._ollama.close
        self._deadlines.close(close())

    def _run(self, work: Coroutine[object, None, T], timeout_s: float) -> T:
        import ollama

        failures = (*_FAILURES, ollama.ResponseError, ollama.RequestError)
        try:
            return self._deadlines.run(work, timeout_s)
        except failures as error:
            self._info = None
            raise _unavailable(self._host, error, timeout_s) from error

    async def _resolve(self) -> ModelInfo:
        listed = {str(model.model): str(model.digest) for model in (await self._ollama.list()).models}
        for alias in self._aliases:
            name = alias if ":" in alias else f"{alias}:latest"
            if name in listed:
                shown = (await self._ollama.show(alias)).modelinfo or {}
                digest = f"{OLLAMA_DIGEST}{listed[name]}"
                self._control_tokens = read_tokens(str(shown.get(CONTROL_TOKENS_KEY) or "[]"))
                return ModelInfo(alias, str(shown.get("securetag.model_id") or digest), digest)
        raise NotServedError(f"it serves none of {', '.join(self._aliases)}")


class _Served(msgspec.Struct, frozen=True):
    url: str
    info: ModelInfo
    #: llama.cpp's server, which takes a grammar beside a JSON schema.
    takes_grammar: bool
    #: What the model's tokenizer takes for more than text; empty where a server doesn't say.
    control_tokens: frozenset[str]


def _escape(messages: Sequence[Message], tokens: frozenset[str]) -> list[JsonObject]:
    """Return the messages as a request carries them, with the control tokens in their texts escaped."""
    return [{"role": message.role, "content": escape_tokens(message.content, tokens)} for message in messages]


def _constraint(schema: JsonObject, *, grammar: bool) -> JsonObject:
    """Return the request fields that constrain an answer to `schema`, without whitespace where possible."""
    if grammar:
        with contextlib.suppress(ValueError):
            return {"grammar": gbnf(schema)}
    answer = {"name": "answer", "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": answer}}


def _first_served(url: str, listed: JsonObject, aliases: Sequence[str]) -> _Served:
    """Return the first wanted alias in a reply of `/v1/models`. Raises ValueError, TypeError or KeyError."""
    for alias in aliases:
        for model in listed["data"]:
            if alias == model["id"] or alias in (model.get("aliases") or ()):
                tags = [str(tag) for tag in model.get("tags") or ()]
                file_sha256 = _find_tag(tags, FILE_SHA256_TAG)
                digest = f"{FILE_DIGEST}{file_sha256}" if file_sha256 else ""
                info = ModelInfo(alias, _find_tag(tags, MODEL_ID_TAG) or f"openai:{model['id']}", digest)
                control_tokens = read_tokens(_find_tag(tags, CONTROL_TOKENS_TAG) or "[]")
                return _Served(url, info, model.get("owned_by") == "llamacpp", control_tokens)
    raise NotServedError(f"it serves none of {', '.join(aliases)}")


def name_model(model_id: str, file_sha256: str | None) -> str:
    """Return the name that our own runtime's replies carry."""
    return MODEL_ID_NAME + model_id + (FILE_SHA256_NAME + file_sha256 if file_sha256 else "")


def _read_name(name: str) -> tuple[str, str]:
    """Return the model_id and the digest that `name_model` has written; both empty in another name."""
    if not name.startswith(MODEL_ID_NAME):
        return "", ""
    model_id, _, file_sha256 = name.removeprefix(MODEL_ID_NAME).partition(FILE_SHA256_NAME)
    return model_id, FILE_DIGEST + file_sha256 if file_sha256 else ""


def _find_tag(tags: Sequence[str], prefix: str) -> str:
    """Return what follows `prefix` in the first tag that has it; empty where none has."""
    return next((tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)), "")


def _unavailable(where: str, error: Exception, timeout_s: float) -> ModelUnavailableError:
    reason = f"no answer within {timeout_s:g} s" if isinstance(error, TimeoutError) else str(error)
    return ModelUnavailableError(
        f"the model at {where} is not available: {reason or type(error).__name__}",
        hint="Look at the runtime's log in <home>/logs, or at `securetag model list`.",
    )


def make_predictor(client: ModelClient, *, timeout_s: float, logprobs: bool = False) -> Predictor:
    """Return the client as a predictor; each completion may take `timeout_s` seconds."""

    def predict(messages: Sequence[Message], schema: JsonObject | None, max_tokens: int) -> Completion:
        return client.chat(
            messages, schema=schema, max_tokens=max_tokens, timeout_s=timeout_s, logprobs=logprobs
        )

    return predict
