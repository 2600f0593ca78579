"""What a handler gets of a text that an attacker sends, by framework and kind of source.

A query, a form, a cookie and a JSON body carry any text, percent-encoded, escaped or quoted. A header
doesn't: its value ends at a line end, is read as Latin-1, and blanks around it are no part of it (RFC 9110,
5.5).
Tornado turns control characters of a parameter into blanks and takes blanks off its ends
(`RequestHandler._get_arguments`). What can't be carried is left out of a text, so that each input is still
one that an attacker can send.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["deliver"]

_NO_HEADER = re.compile(r"[\r\n\0]|[^\x00-\xff]")
#: `tornado.web.RequestHandler._remove_control_chars_regex`.
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f]")


def deliver(framework: str, source: str, text: str) -> str:
    """Return what a parameter holds after `text` was sent as it; an unknown source carries any text."""
    carry = _BY_FRAMEWORK.get(framework) or _BY_SOURCE.get(source)
    return carry(text) if carry is not None else text


def _carry_header(text: str) -> str:
    return _NO_HEADER.sub("", text).strip(" \t")


def _carry_tornado(text: str) -> str:
    return _CONTROLS.sub(" ", text).strip()


_BY_SOURCE: dict[str, Callable[[str], str]] = {"header": _carry_header}
_BY_FRAMEWORK: dict[str, Callable[[str], str]] = {"tornado": _carry_tornado}
