"""What a text means to the thing that reads it: SQL, a shell, a file system, a browser, Python.

`meaning` reduces what reached a sink to a value that equals another's exactly when the two do the
same thing with other data. Untrusted text that changes it has taken control. For paths and
addresses the question is simpler: does it leave the base folder, does it leave the known hosts?

The readers are small models, not the real programs: standard SQL (a quote is doubled, a backslash
is a character), a POSIX shell without globs, a file system without symbolic links, HTML as
`html.parser` sees it, and a browser's address parsing where it is laxer than Python's.
"""

from __future__ import annotations

import ast
import posixpath
import re
from functools import lru_cache
from html.parser import HTMLParser
from urllib.parse import urlsplit

import httpx

BASE = "/srv/files"
#: Hosts that the imagined application talks to and sends its users to.
HOSTS = frozenset({"cdn.example.com", "api.example.com", "shop.example.com"})

Meaning = tuple[object, ...]
#: What leaves the permitted place. It equals no honest text's meaning.
OUTSIDE: Meaning = ("outside",)
INSIDE: Meaning = ("inside",)

#: The same payloads reach a sink from thousands of functions: two of three readings are repeated.
_remembered = lru_cache(maxsize=1 << 16)

_SQL = re.compile(
    r"(?P<space>\s+)|(?P<comment>--[^\n]*|/\*.*?(?:\*/|$))|(?P<string>'(?:[^']|'')*')|(?P<open>'.*)"
    r'|(?P<quoted>"[^"]*"?)|(?P<word>[\w.]+)|(?P<other>.)',
    re.DOTALL,
)
_KEYWORDS = frozenset(
    (  # noqa: SIM905
        "select from where and or order by union all delete drop table update set insert into values limit "
        "case when then end like in is not null desc asc exists having group"
    ).split()
)


@_remembered
def sql(statement: str) -> Meaning:
    """The kinds of a statement's tokens; keywords and operators by name, data only by kind."""
    facts: list[str] = []
    for match in _SQL.finditer(statement):
        kind, text = str(match.lastgroup), match.group()
        if kind == "space":
            continue
        if kind == "word":
            number = re.fullmatch(r"\d+(\.\d+)?|\.\d+", text)
            kind = "number" if number else "keyword:" + text.lower() if text.lower() in _KEYWORDS else "name"
        elif kind == "other":
            kind = text
        # `id = -4`: the sign is the number's, unless something stands before it to take it from.
        if kind == "number" and facts[-1:] in (["-"], ["+"]) and _is_sign(facts[:-1]):
            facts.pop()
        facts.append(kind)
    return tuple(facts)


def _is_sign(before: list[str]) -> bool:
    """Does what comes before a plus or minus leave nothing to add to or take from?"""
    return not before or before[-1].startswith("keyword:") or before[-1] in {"=", "<", ">", "(", ","}


@_remembered
def shell(command: str) -> Meaning:
    """Words and operators of a command line; a `$` or backtick that the shell expands is marked."""
    facts: list[str] = []
    word, quote, at = False, "", 0
    while at < len(command):
        c = command[at]
        if quote == "'":
            quote = "" if c == "'" else quote
        elif c == "\\":
            at, word = at + 1, True
        elif c == "`" or (c == "$" and re.match(r"\$[\w({]", command[at : at + 2])):
            facts.append("expansion")
            word = True
        elif quote == '"':
            quote = "" if c == '"' else quote
        elif c in "'\"":
            quote, word = c, True
        elif c in ";&|<>()\n" or c in " \t":
            if word:
                facts.append("word")
            word = False
            if c not in " \t" and not (c == "\n" and not command[at:].strip()):
                facts.append(c)
        else:
            word = True
        at += 1
    if word:
        facts.append("word")
    return (*facts, "unclosed") if quote else tuple(facts)


def path(name: str) -> Meaning:
    """Does it resolve inside the base folder? Raises ValueError on NUL, as `open` does."""
    if "\0" in name:
        raise ValueError("embedded null byte")
    resolved = posixpath.normpath(posixpath.join("/srv/app", name))
    inside = resolved == BASE or resolved.startswith(BASE + "/")
    return INSIDE if inside else OUTSIDE


@_remembered
def fetch_requests(address: str) -> Meaning:
    """`fetch` as Requests reads an address: a backslash ends the host, as it does for a browser."""
    scheme, mark, rest = address.lstrip().partition("://")
    authority = re.split(r"[/\\?#]", rest, maxsplit=1)[0]
    return fetch(f"{scheme}{mark}{authority}")


@_remembered
def fetch_httpx(address: str) -> Meaning:
    """`fetch` as HTTPX reads an address. Raises ValueError where it refuses one."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as problem:
        raise ValueError("no address for HTTPX") from problem
    return fetch(f"{url.scheme}://{url.host}")


def fetch(address: str, *, schemes: frozenset[str] = frozenset({"http", "https"})) -> Meaning:
    """Is the host that a client connects to one of HOSTS? Raises ValueError where a client would."""
    parts = urlsplit(address)
    if parts.scheme not in schemes:
        raise ValueError("no connection adapter for this address")
    if not parts.hostname or parts.port == 0:  # an invalid port raises, too
        raise ValueError("no host in this address")
    return INSIDE if parts.hostname in HOSTS else OUTSIDE


@_remembered
def redirect(location: str) -> Meaning:
    """Where a browser on shop.example.com goes (https://url.spec.whatwg.org/#concept-basic-url-parser).

    It strips controls and spaces, reads `\\` as `/`, and takes any run of slashes for the start of a host.
    """
    text = re.sub(r"[\t\r\n]", "", location.strip("".join(map(chr, range(33)))))
    prefix = re.match(r"([A-Za-z][A-Za-z0-9+.\-]*):", text)
    scheme = prefix.group(1).lower() if prefix else ""
    rest = text[prefix.end() :].replace("\\", "/") if prefix else text.replace("\\", "/")
    if scheme and scheme not in {"http", "https"}:
        return OUTSIDE
    if scheme == "https" and not rest.startswith("//"):
        return INSIDE  # the page's own scheme without an authority: relative to the page
    if not scheme and not rest.startswith("//"):
        return INSIDE
    authority = re.split(r"[/?#]", rest.lstrip("/"), maxsplit=1)[0]
    host = authority.rpartition("@")[2].split(":")[0].lower()
    return INSIDE if host in HOSTS or not host else OUTSIDE


class _Page(HTMLParser):
    """Collects elements, attribute names, dangerous addresses and the tokens of scripts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[object] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._script = tag == "script"
        names = tuple(sorted(name for name, _ in attrs))
        self.found.append((tag, names))
        for name, value in attrs:
            if name in {"href", "src"} and re.match(r"(?i)\s*(javascript|data|vbscript):", value or ""):
                self.found.append("script address")

    def handle_endtag(self, tag: str) -> None:
        self._script = False
        self.found.append("/" + tag)

    def handle_comment(self, data: str) -> None:  # noqa: ARG002
        self.found.append("comment")

    def handle_data(self, data: str) -> None:
        if self._script:
            self.found += script(data)


_JS = re.compile(
    r"(?P<space>[^\S\n]+)|(?P<string>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')|(?P<word>[\w$]+)|(?P<other>.|\n)",
    re.DOTALL,
)


def script(text: str) -> list[str]:
    """Kinds of JavaScript tokens; strings and names only by kind."""
    kinds: list[str] = []
    for match in _JS.finditer(text):
        kind = str(match.lastgroup)
        if kind != "space":
            kinds.append(match.group() if kind == "other" else kind)
    return kinds


@_remembered
def page(markup: str) -> Meaning:
    """Elements, attribute names and script tokens of a page."""
    parser = _Page()
    parser.feed(markup)
    parser.close()
    return tuple(parser.found)


@_remembered
def code(text: str) -> Meaning:
    """Node types of a Python program, numbers and strings alike. Raises SyntaxError."""
    kinds: list[str] = []
    for node in ast.walk(ast.parse(text.lstrip(" \t"))):
        if isinstance(node, (ast.Call, ast.Name)):
            inner = node.func if isinstance(node, ast.Call) else node
            kinds.append(f"{type(node).__name__}:{getattr(inner, 'id', '')}")
        elif isinstance(node, (ast.Attribute, ast.Lambda, ast.comprehension, ast.Subscript, ast.Import)):
            kinds.append(type(node).__name__)
    return tuple(kinds)
