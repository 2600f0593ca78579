"""Tell whether a text that reached a sink does what only an attacker wants, by programs that read such texts.

Each judge gets the text of an honest request and that of a crafted one. A shell, SQLite and parsers of other
authors decide, so that no notion of the oracle's is repeated here.
"""

# ruff: noqa: E501  # statements of SQL and sentences of their own

from __future__ import annotations

import ast
import contextlib
import posixpath
import re
import sqlite3
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import httpx
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

#: The crafted inputs name this; whoever runs, reads or addresses it was led there.
MARK = "zqx7"
_SHELL = "PATH=/nonexistent; {mark}() {{ echo {mark}-ran >&2; }}\n{command}\n"
_SCHEMA = """
CREATE TABLE users(id, name, email, password, role, owner, page, hits, date, user, title, body, price);
INSERT INTO users(id, name, password) VALUES (1, 'alice', 'zqx7-secret'), (2, 'bob', 'zqx7-other');
"""


#: What loads constants, or is in every program.
_CONSTANT_OPCODES = frozenset(
    {"Init", "Trace", "String8", "Integer", "Int64", "Real", "Null", "Goto", "Transaction", "Halt"}
)


def runs_mark(honest: str, crafted: str) -> bool:
    """Whether a shell runs the command that the attacker named, and not for an honest request."""
    return _runs_mark(crafted) and not _runs_mark(honest)


def _runs_mark(command: str) -> bool:
    if "\0" in command or MARK not in command:
        return False
    script = _SHELL.format(mark=MARK, command=command)
    try:
        # No program is on its path, and it can write nowhere: builtins and the function of the mark run.
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            check=False,
            capture_output=True,
            timeout=2,
            env={"PATH": "/nonexistent"},
            cwd="/proc/self",
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return False
    return f"{MARK}-ran".encode() in done.stderr


def _read_statement(statement: str) -> list[object] | None:
    """Return the opcodes of the first statement as SQLite compiles it, without constants; None on an error."""
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        names = set(re.findall(r"(?i)\b(?:from|update|into|join)\s+(\w+)", statement)) - {"users"}
        database.executescript(_SCHEMA)
        columns = "id, name, email, password, role, owner, page, hits, date, user, title, body, price"
        for name in names:
            with contextlib.suppress(sqlite3.Error):
                database.execute(f"CREATE TABLE {name}({columns})")
        try:
            rows = database.execute(f"EXPLAIN {statement}").fetchall()
        except (sqlite3.Error, sqlite3.Warning, ValueError):  # a NUL, a surrogate
            return None
        return [row[1] for row in rows if row[1] not in _CONSTANT_OPCODES]


def changes_statement(honest: str, crafted: str) -> bool:
    """Whether SQLite compiles another program of the crafted statement than of the honest one, or several."""
    if honest == crafted or "\0" in crafted:
        return False
    usual = _read_statement(honest)
    if usual is None:
        return False
    if crafted.count(";") > honest.count(";"):
        parts = crafted.split(";")
        for end in range(1, len(parts)):
            first, rest = ";".join(parts[:end]), ";".join(parts[end:])
            if (
                sqlite3.complete_statement(first + ";")
                and MARK in rest
                and _read_statement(first) is not None
            ):
                word = re.match(r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(\w+)", rest, re.S)
                if word and word[1].upper() in {"DROP", "DELETE", "UPDATE", "INSERT", "SELECT", "ATTACH"}:
                    return True
    made = _read_statement(crafted)
    return made is not None and made != usual and MARK in crafted.lower()


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append(tag)
        for name, value in attrs:
            self.parts.append(f"{tag}@{name}")
            plain = re.sub(r"[\x00-\x20]", "", value or "").lower()
            if name in {"href", "src", "action", "formaction"} and re.match(
                r"(?:javascript|vbscript|data):", plain
            ):
                self.parts.append("script-address")


def _list_parts(markup: str) -> list[str]:
    page = _Page()
    page.feed(markup)
    page.close()
    return page.parts


def adds_markup(honest: str, crafted: str) -> bool:
    """Whether the crafted page has an element, an attribute or a script's address that the honest one hasn't."""
    if set(_list_parts(crafted)) - set(_list_parts(honest)):
        return True
    scripts = [re.findall(r"(?is)<script[^>]*>(.*?)</script", text) for text in (honest, crafted)]
    return bool(scripts[1]) and _leaves_string(scripts[0], scripts[1])


def _leaves_string(honest: list[str], crafted: list[str]) -> bool:
    def strip(code: str) -> str:
        return re.sub(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`", "S", code)

    usual, made = strip("\n".join(honest)), strip("\n".join(crafted))
    return MARK in made and MARK not in usual


def leaves_folder(honest: str, crafted: str) -> bool:
    """Whether a path leads out of the folder that honest values stay in."""
    if "\0" in crafted:
        return False
    base = posixpath.dirname(posixpath.normpath(posixpath.join("/srv/app", honest)))
    path = posixpath.normpath(posixpath.join("/srv/app", crafted))
    return not f"{path}/".startswith(f"{base}/") and not path.startswith(base)


def read_host(address: str) -> str | None:
    """Return the host to which a browser goes from https://site.test/a/, by the URL standard; None for script."""
    text = re.sub(r"[\t\n\r]", "", address.strip("".join(map(chr, range(33)))))
    scheme = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*):", text)
    if scheme and scheme[1].lower() not in {"http", "https"}:
        return None if scheme[1].lower() in {"javascript", "data", "vbscript"} else f"{scheme[1].lower()}:"
    rest = text[scheme.end() :] if scheme else text
    rest = rest.replace("\\", "/")
    if not rest.startswith("//") and not scheme:
        return "site.test"
    if scheme and not rest.startswith("/") and scheme[1].lower() == "https":
        return "site.test"
    authority = re.split(r"[/?#]", rest.lstrip("/"), maxsplit=1)[0]
    return unquote(authority.rpartition("@")[2]).partition(":")[0].lower()


def leads_elsewhere(honest: str, crafted: str) -> bool:
    """Whether a browser is sent to the attacker's host, or runs his script."""
    if read_host(honest) is None:
        return False
    host = read_host(crafted)
    return host is None or host.endswith(f"{MARK}.test")


def _fetches(read: Callable[[str], str | None], honest: str, crafted: str) -> bool:
    if crafted == honest or any(ord(char) < 32 for char in crafted):
        return False
    if not re.match(r"(?i)https?://", crafted):
        return False
    try:
        host = (read(crafted) or "").lower().strip("[]")
    except (ValueError, LocationParseError, httpx.InvalidURL):
        return False
    return host.endswith(f"{MARK}.test") or host in {
        "127.0.0.1",
        "169.254.169.254",
        "localhost",
        "0.0.0.0",
        "::1",
    }


def fetches_by_requests(honest: str, crafted: str) -> bool:
    """Whether Requests, which reads an address with urllib3, asks the attacker's host or one inside."""
    return _fetches(lambda address: parse_url(address).host, honest, crafted)


def fetches_by_httpx(honest: str, crafted: str) -> bool:
    """Whether HTTPX asks the attacker's host or one inside."""
    return _fetches(lambda address: httpx.URL(address).host, honest, crafted)


def fetches_elsewhere(honest: str, crafted: str) -> bool:
    """Whether a client that reads addresses as `urlsplit` does asks the attacker's host or one inside."""
    return _fetches(lambda address: urlsplit(address).hostname, honest, crafted)


def calls_mark(honest: str, crafted: str) -> bool:
    """Whether Python code does something that the honest code doesn't."""
    try:
        usual, made = ({type(n).__name__ for n in ast.walk(ast.parse(text))} for text in (honest, crafted))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return bool((made - usual) & {"Call", "Attribute", "Import", "Lambda"})


Judge = Callable[[str, str], bool]
JUDGES: dict[str, Judge] = {
    "CWE-78": runs_mark,
    "CWE-89": changes_statement,
    "CWE-79": adds_markup,
    "CWE-22": leaves_folder,
    "CWE-601": leads_elsewhere,
    "CWE-94": calls_mark,
    "CWE-95": calls_mark,
}


def judge_of(cwe: str, code: str) -> Judge:
    """Return the judge of a class; of requests to other hosts that of the client which the code calls."""
    if cwe != "CWE-918":
        return JUDGES[cwe]
    if "requests.get(" in code:
        return fetches_by_requests
    return fetches_by_httpx if "httpx.get(" in code else fetches_elsewhere
