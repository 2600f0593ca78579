"""Reading the replies of an OpenAI-compatible server, bounded, and the errors that say what was wrong.

Needs httpx alone, so that a worker rests small.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx

from securetag.records import JsonObject

#: Bytes of any reply beyond which a server talks nonsense.
MAX_REPLY = 4 << 20


class HttpStatusError(ValueError):
    """A reply with an error's status."""

    def __init__(self, status_code: int, reason: str) -> None:
        super().__init__(f"HTTP {status_code}: {reason}")
        self.status_code = status_code


class NotServedError(ValueError):
    """The server serves none of the wanted models."""


class Reply:
    """A chat completion as it is streamed."""

    def __init__(self) -> None:
        self.text = ""
        self.model = ""
        self.finished = False
        self.prompt_tokens = 0
        self.completion_tokens = 0
        #: Each token with its log-probability, where they were asked for and the server has them.
        self.logprobs: list[tuple[str, float]] = []
        #: For each of them the likeliest tokens in its place.
        self.top_logprobs: list[list[tuple[str, float]]] = []

    def add(self, event: JsonObject) -> None:
        """Take in one event. Raises ValueError, TypeError or KeyError for one that makes no sense."""
        if "error" in event:
            raise ValueError(f"the server reports {event['error']}")
        self.model = str(event.get("model") or self.model)
        for choice in event.get("choices") or ():
            content = choice["delta"].get("content")
            if content is not None and not isinstance(content, str):
                raise TypeError("a piece of the answer is no text")
            self.text += content or ""
            for token in (choice.get("logprobs") or {}).get("content") or ():
                self.logprobs.append((str(token["token"]), float(token["logprob"])))
                likeliest = token.get("top_logprobs") or ()
                self.top_logprobs.append([(str(t["token"]), float(t["logprob"])) for t in likeliest])
            self.finished = self.finished or bool(choice.get("finish_reason"))
        if usage := event.get("usage"):
            self.prompt_tokens = int(usage["prompt_tokens"])
            self.completion_tokens = int(usage["completion_tokens"])


async def check_status(response: httpx.Response) -> None:
    """Raise HttpStatusError, with the server's reason, for anything but success."""
    if not response.is_success:
        raise HttpStatusError(response.status_code, _reason(await read_body(response)))


async def read_events(response: httpx.Response) -> AsyncIterator[JsonObject]:
    """Yield the JSON of each server-sent event, up to `[DONE]`."""
    size, rest = 0, b""
    # Not `aiter_lines`: a line without an end would grow there unseen.
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > MAX_REPLY:
            raise ValueError("the answer has no end")
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            kind, _, data = line.strip().partition(b":")
            if kind not in {b"data", b"error"}:
                continue
            if data.strip() == b"[DONE]":
                return
            event = json.loads(data)
            if not isinstance(event, dict):
                raise TypeError("an event is no JSON object")
            yield {"error": event} if kind == b"error" else event


async def read_body(response: httpx.Response) -> bytes:
    """Read the whole body, up to MAX_REPLY bytes. Raises ValueError beyond."""
    body = b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_REPLY:
            raise ValueError("the reply has no end")
    return body


def _reason(body: bytes) -> str:
    """Return the message of an error reply, shortened."""
    try:
        return str(json.loads(body)["error"]["message"])[:300]
    except (ValueError, TypeError, KeyError):
        return body[:300].decode(errors="replace")
