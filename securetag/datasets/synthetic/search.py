"""A guided search for an input that a guard lets through and that does harm.

The listed attacks of `payloads` are what people think of. The search begins where they end: it changes
inputs that reached the sink, again and again, by pieces of the class's grammar, by what the function's own
checks compare with, by separators, control characters, digits and blanks of other scripts, encodings and
length. An input that reaches the sink with a text that wasn't seen there before becomes a parent of others.

Everything is a function of the sink, the function's text and the seed, so that a label doesn't depend on
what else was run.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from itertools import product
from random import Random
from urllib.parse import quote

import msgspec

from securetag.datasets.synthetic.payloads import OPENERS, list_payloads
from securetag.datasets.synthetic.sinks import Sink

#: Inputs that a function is tried with before it is called safe, the listed attacks among them. Of 834
#: functions that the listed attacks leave safe, 1,000 inputs changed none and 3,000 inputs six, at 5.6 and
#: 26 milliseconds of CPU a function.
MIN_INPUTS = 2_000
#: Inputs that are changed further; the oldest goes when one more comes.
MAX_PARENTS = 48
#: One in so many inputs is two of the texts that the function compares with.
OPENINGS_SHARE = 8
#: Characters of an input.
MAX_CHARS = 240

#: The pieces that texts of a class are made of.
_GRAMMAR: dict[str, tuple[str, ...]] = {
    "CWE-89": (
        "'",
        "''",
        "\\'",
        '"',
        "`",
        ";",
        "--",
        "#",
        "/*",
        "*/",
        "(",
        ")",
        ",",
        "=",
        "||",
        " OR ",
        " or ",
        " AND ",
        " UNION ",
        "SELECT ",
        " 1 ",
        "1=1",
        " LIKE ",
        " DESC",
        " IN (",
        "0x31",
        "1e0",
        "@@x",
        "name",
        "NULL",
    ),
    "CWE-78": (
        ";",
        "&",
        "&&",
        "|",
        "||",
        "\n",
        "`",
        "$(",
        ")",
        "${",
        "}",
        "$x",
        ">",
        "<",
        "'",
        '"',
        "\\",
        "\\'",
        " ",
        "\t",
        "id",
        "*",
        "~",
        "#",
        "\r",
    ),
    "CWE-22": (
        "..",
        "../",
        "/",
        "//",
        "./",
        "....//",
        "..\\",
        "\\",
        "/..",
        "/../",
        "etc/passwd",
        "%2e",
        "%2f",
        "\n",
        "~",
        "files-old",
        "/srv/files",
        "/srv",
        "a.txt",
        ".png",
        "..;/",
        "/../srv/files/",
    ),
    "CWE-918": (
        "http://",
        "https://",
        "HTTP://",
        "//",
        "/",
        "\\",
        "@",
        "#",
        "?",
        ":",
        "evil.net",
        ".evil.net",
        "127.0.0.1",
        "[::1]",
        ":80",
        "%2f",
        "%40",
        ".",
        "\t",
        "\n",
        "file://",
        "ftp://",
        "x:y@",
        ";",
    ),
    "CWE-79": (
        "<",
        ">",
        "</",
        "/>",
        "'",
        '"',
        "`",
        "=",
        "<b>",
        "<script>",
        "</script>",
        "<!--",
        "-->",
        "<svg",
        " onload=x",
        "/onload=x",
        "javascript:",
        "&lt;",
        "&#60;",
        "&quot;",
        "\\",
        "\\u003c",
        ";",
        "+",
        "(",
        ")",
        "\n",
        "\x0c",
        "<img src=x>",
        "{{",
        "x",
    ),
    "CWE-601": (
        "//",
        "/",
        "\\",
        "/\\",
        "\\/",
        "http://",
        "https://",
        "https:",
        "javascript:",
        "data:",
        "evil.net",
        ".evil.net",
        "@",
        "@evil.net",
        "#",
        "?",
        ":",
        "\t",
        "\n",
        "\r",
        " ",
        "%2f",
        "%5c",
        ".",
        "HTTPS://",
        ";",
        "\0",
        "/\t//",
        "/\n//",
    ),
    "CWE-94": (
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ".",
        ",",
        ";",
        ":",
        "\n",
        "+",
        "*",
        "or ",
        " or x",
        "x",
        "x()",
        "exit()",
        "lambda: 1",
        "__class__",
        "'",
        '"',
        "#",
        "\\",
        "=",
        " if x else 1",
        "f'{x}'",
        "@",
    ),
}

#: What any check may have forgotten: blanks, ends of lines, controls, digits, letters and marks of other
#: scripts, some of which normalization or lower-casing turns into ASCII.
_ANY = (
    " ",
    "\t",
    "\n",
    "\r\n",
    "\x0b",
    "\x1c",
    "\x85",
    "\xa0",
    "\u2028",
    "\u3000",
    "\0",
    "\x7f",
    "\ufeff",
    "\u200b",
    "7",
    "\u0667",
    "\uff17",
    "\u00b2",
    "a",
    "A",
    "\u00e9",
    "\u0130",
    "\u017f",
    "\ufb00",
    "_",
    "-",
    ".",
    ",",
    "/",
    "%",
    "+",
    "\uff07",
    "\uff1c",
    "\uff0f",
    "\uff1b",
    "\u2024",
    "a" * 70,
    "7" * 70,
    "%00",
    "%0a",
    "%27",
    "&#39;",
    "\\x27",
)

#: What a browser or a client reads as another host, where a check looks for a host of its own: before an `@`,
#: at the beginning of the host, in path, query and fragment.
_ADDRESSES = (
    "https://{host}@evil.net/",
    "https://{host}:x@evil.net/",
    "https://{host}.evil.net/",
    "//{host}@evil.net/",
    "//{host}.evil.net/",
    "https://evil.net/{host}",
    "https://evil.net?{host}",
    "https://evil.net#{host}",
    "https://evil.net\\@{host}/",
)
_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)+")
_LITERAL = re.compile(r"\"([^\"\n]{1,40})\"|'([^'\n]{1,40})'")

#: (input, what every other parameter holds) → (the texts that reached the sink, did one do harm?)
Attempt = Callable[[str, str], tuple[list[str], bool]]


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """An input that did harm."""

    payload: str
    other: str


def search_witness(
    attempt: Attempt, sink: Sink, code: str, *, count: int, uses_others: bool
) -> tuple[Witness | None, int]:
    """Try `count` inputs at most; return the first that does harm, or None, and how many were tried."""
    rng = Random(f"{sink.name}/{code}")
    literals = tuple(sorted({text for pair in _LITERAL.findall(code) for text in pair if text}))
    pieces = (*_GRAMMAR[sink.cwe], *literals)
    parents = [*sink.benign, *literals][:MAX_PARENTS]
    payloads = list_payloads(sink)
    others = (*sink.benign, *OPENERS, *literals)
    seen: set[tuple[str, ...]] = set()
    # What a check compares with, two pieces together: often the way past a check that asks for both.
    openings = [first + second for first, second in product(literals, repeat=2)]
    rng.shuffle(openings)
    openings = openings[: count // OPENINGS_SHARE]
    if sink.cwe in {"CWE-601", "CWE-918"}:
        hosts = [text for text in literals if _HOST.fullmatch(text)]
        openings += [form.format(host=host) for host in hosts for form in _ADDRESSES]
    for tried in range(1, count + 1):
        if openings:
            payload = openings.pop()
        else:
            parent = rng.choice(parents if rng.random() < 0.5 else parents[-8:])
            payload = _mutated(rng, parent, pieces, payloads)
        other = sink.benign[0]
        if uses_others:
            other = payload if rng.random() < 0.3 else rng.choice(others)
            if rng.random() < 0.2:
                payload, other = rng.choice(sink.benign), payload
        texts, is_harmful = attempt(payload, other)
        if is_harmful:
            return Witness(payload=payload, other=other), tried
        key = tuple(texts)
        if texts and key not in seen:
            seen.add(key)
            parents.append(payload)
            if len(parents) > MAX_PARENTS:
                # The honest values stay: what is made of them alone reaches most sinks.
                del parents[len(sink.benign)]
    return None, count


def _mutated(rng: Random, parent: str, pieces: tuple[str, ...], payloads: tuple[str, ...]) -> str:
    text = parent
    for _ in range(rng.choice((1, 1, 2, 3))):
        text = _changed(rng, text, pieces, payloads)
    return text[:MAX_CHARS]


def _changed(rng: Random, text: str, pieces: tuple[str, ...], payloads: tuple[str, ...]) -> str:
    """One change. Most add a piece at the start, at the end or somewhere within."""
    choice = rng.random()
    if choice < 0.7:
        at = rng.choice((0, len(text), rng.randint(0, len(text))))
        return text[:at] + _piece(rng, pieces, payloads) + text[at:]
    if choice < 0.8 and text:
        first = rng.randrange(len(text))
        last = min(len(text), first + rng.randint(1, 4))
        return text[:first] + (rng.choice(pieces) if choice < 0.75 else "") + text[last:]
    if choice < 0.86:
        return rng.choice(payloads) + rng.choice(("", " ", "\n", "/", ".", "#", "?", ",")) + text
    if choice < 0.9:
        return text + text
    return rng.choice(_ENCODERS)(text)


def _piece(rng: Random, pieces: tuple[str, ...], payloads: tuple[str, ...]) -> str:
    choice = rng.random()
    if choice < 0.45:
        return rng.choice(pieces) * rng.choice((1, 1, 1, 2, 4))
    if choice < 0.65:
        return rng.choice(_ANY)
    payload = rng.choice(payloads)
    return payload if choice < 0.85 else rng.choice(_ENCODERS)(payload)


_ENCODERS: tuple[Callable[[str], str], ...] = (
    lambda text: quote(text, safe=""),
    lambda text: quote(quote(text, safe=""), safe=""),
    html.escape,
    str.upper,
    str.swapcase,
    lambda text: text.replace("'", "\uff07").replace("<", "\uff1c").replace("/", "\uff0f"),
    lambda text: text[::-1],
    lambda text: "".join(f"\\u{ord(each):04x}" if not each.isalnum() else each for each in text),
)
