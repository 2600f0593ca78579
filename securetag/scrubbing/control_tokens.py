"""Escape what a tokenizer takes for a control token, so that no text can end a turn or begin another.

A tokenizer looks for its added tokens before it splits the text: `<|im_end|>` in a document is the end of the
turn, and SmolLM2 has `<filename>`, which documents of commands are full of. Training escapes the tokens of
the base's tokenizer in its rows; a model's file carries the same tokens (`CONTROL_TOKENS_KEY`), and the
client escapes them in a live prompt, so that a model reads what it was trained on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

import msgspec

#: Under this key a model's file, and the server that has loaded it, name the model's control tokens.
CONTROL_TOKENS_KEY = "securetag.control_tokens"
#: A token of a template looks like a tag, though not every tokenizer marks it as special (`<tool_call>`).
_TAG = re.compile(r"[<\[].*[>\]]", re.DOTALL)


class _AddedToken(Protocol):
    @property
    def content(self) -> str: ...
    @property
    def special(self) -> bool: ...


class AddedToken(msgspec.Struct, frozen=True):
    """A token that a tokenizer looks for before it splits a text."""

    content: str
    special: bool


def list_control_tokens(added: Iterable[_AddedToken]) -> frozenset[str]:
    """Return the texts of a tokenizer's added tokens that steer it: the special ones, and those like tags.

    `added` are the values of the tokenizer's `added_tokens_decoder`.
    """
    return frozenset(
        token.content
        for token in added
        if _can_be_escaped(token.content) and (token.special or _TAG.fullmatch(token.content))
    )


def write_tokens(tokens: frozenset[str]) -> str:
    """Return the value of `CONTROL_TOKENS_KEY` that `read_tokens` reads."""
    return msgspec.json.encode(sorted(tokens)).decode()


def read_tokens(text: str) -> frozenset[str]:
    """Return the control tokens in a value of `CONTROL_TOKENS_KEY`. Raises ValueError for any other text."""
    return frozenset(token for token in msgspec.json.decode(text, type=list[str]) if _can_be_escaped(token))


def _can_be_escaped(token: str) -> bool:
    """Return whether a space behind the first character ends the token, whatever else is a token."""
    return len(token) > 1 and not any(character.isspace() for character in token)


def escape_tokens(text: str, tokens: frozenset[str]) -> str:
    """Return `text` with a space behind the first character of each control token: `< |im_end|>`.

    A reader still sees what was meant; a tokenizer sees ordinary text. A second call changes nothing.
    """
    if not tokens:
        return text
    pattern = _compile(tokens)
    while pattern.search(text):  # an escape may leave another token, of which it was a part
        text = pattern.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)
    return text


@lru_cache(maxsize=8)
def _compile(tokens: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(tokens, key=lambda token: (-len(token), token)))))
