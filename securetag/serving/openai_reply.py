"""Reading the replies of an OpenAI-compatible server, and the errors that say what was wrong.

Needs msgspec alone, so that a worker rests small.
"""

from __future__ import annotations

import msgspec


class NotServedError(ValueError):
    """The server serves none of the wanted models."""


class _Alternative(msgspec.Struct, frozen=True):
    token: str
    logprob: float


class _Token(_Alternative, frozen=True):
    top_logprobs: list[_Alternative] = []


class _Logprobs(msgspec.Struct, frozen=True):
    content: list[_Token] | None = None


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Details(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class ChatReply(msgspec.Struct, frozen=True):
    """A whole chat completion, of which the first choice counts."""

    model: str = ""
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: object = None

    @property
    def text(self) -> str:
        """What the model wrote."""
        return self.choices[0].message.content or ""

    @property
    def tokens(self) -> list[_Token]:
        """Each token with its log-probability, where they were asked for and the server has them."""
        logprobs = self.choices[0].logprobs
        return (logprobs.content if logprobs else None) or []

    @property
    def cached_tokens(self) -> int:
        """Tokens of the prompt that the server had computed before; 0 where it doesn't say."""
        details = self.usage.prompt_tokens_details if self.usage else None
        return (details.cached_tokens if details else None) or 0


def read_reply(body: bytes) -> ChatReply:
    """Read a chat completion. Raises ValueError for one that makes no sense or was not finished.

    The reply comes in one piece: as a stream, with an event a token, a call took 22 ms of CPU instead of
    4, and nobody shows a verdict while it is written.
    """
    try:
        reply = msgspec.json.decode(body, type=ChatReply)
    except msgspec.DecodeError as error:
        raise ValueError(f"the reply is no chat completion: {error}") from error
    if reply.error:
        raise ValueError(f"the server reports {reply.error}")
    if not reply.choices or not reply.choices[0].finish_reason:
        raise ValueError("the answer broke off")
    return reply
