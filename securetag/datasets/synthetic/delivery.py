"""What a handler gets of a text that an attacker sends, by framework and kind of source.

A query, a form, a cookie and a JSON body carry any text, percent-encoded, escaped or quoted. A header
doesn't: its value ends at a line end, is read as Latin-1, and blanks around it are no part of it (RFC 9110,
5.5).
Tornado turns control characters of a parameter into blanks and takes blanks off its ends
(`RequestHandler._get_arguments`). What can't be carried is left out of a text, so that each input is still
one that an attacker can send.

A source `route:` with a converter's name is a part of a route, or a parameter with an annotation: what it
refuses doesn't get to the handler. A number may have any script's digits, and a text is read as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["ROUTE", "deliver"]

#: Begins the name of a source that a framework converts.
ROUTE = "route:"

_NO_HEADER = re.compile(r"[\r\n\0]|[^\x00-\xff]")
#: `tornado.web.RequestHandler._remove_control_chars_regex`.
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f]")


def deliver(framework: str, source: str, text: str) -> object:
    """Return what a parameter holds after `text` was sent as it; an unknown source carries any text.

    Raises ValueError where the framework answers by itself.
    """
    if source.startswith(ROUTE):
        return _convert(source.removeprefix(ROUTE), text)
    carry = _BY_FRAMEWORK.get(framework) or _BY_SOURCE.get(source)
    return carry(text) if carry is not None else text


def _carry_header(text: str) -> str:
    return _NO_HEADER.sub("", text).strip(" \t")


def _carry_tornado(text: str) -> str:
    return _CONTROLS.sub(" ", text).strip()


def _convert(converter: str, text: str) -> object:
    name, *listed = converter.split("|")
    if name == "listed":
        if text not in listed:
            raise ValueError("none of the listed texts")
        return text
    if name == "int":
        return int(_match(r"\d+", text))
    return _match(_PARTS[name], text)


def _match(pattern: str, text: str) -> str:
    if re.fullmatch(pattern, text, re.DOTALL) is None:
        raise ValueError("no part of this route")
    return text


#: Converter → what it accepts, as a whole. An annotation's pattern is Rust's, whose `$` is the text's end.
_PARTS = {
    "str": "[^/]+",
    "path": "[^/].*",
    "slug": "[-a-zA-Z0-9_]+",
    "digits": r"\d+",
    "word": "[a-z0-9]+",
    "beginning": "[a-z0-9]+.*",
    "any": ".*",
}
_BY_SOURCE: dict[str, Callable[[str], str]] = {"header": _carry_header}
_BY_FRAMEWORK: dict[str, Callable[[str], str]] = {"tornado": _carry_tornado}
