"""Dangerous operations by class, each with the context that untrusted text lands in.

A sink's text is a literal with one `§` where the value goes; `literal` turns it into an expression
in one of several spellings. `carrier` is the call around it; classes 79 and 601 take theirs from
the framework.
"""

# ruff: noqa: E501  # a table: one entry a line reads better than one word a line

from __future__ import annotations

from random import Random

import msgspec


class Sink(msgspec.Struct, frozen=True, kw_only=True):
    """One place where text gains meaning."""

    cwe: str
    name: str
    #: The literal around the value; `§` alone hands the value over as it is.
    text: str
    #: The call; `{v}` is the expression. Empty: the framework's page or redirect.
    carrier: str
    #: Values that an honest user sends here; guards that name values take the first two.
    benign: tuple[str, ...]
    #: Appears in test rows only.
    unseen: bool = False


_WORDS = ("alice", "bob", "carol7")
_NUMBERS = ("7", "42")
_COLUMNS = ("name", "date", "2")
_FILES = ("report.txt", "notes.txt", "a1")
_HOSTS = ("cdn.example.com", "api.example.com")
_URLS = ("https://cdn.example.com/a.png", "https://api.example.com/v1")
_PAGES = ("/home", "/cart", "https://shop.example.com/cart")

SINKS: tuple[Sink, ...] = (
    # CWE-89: the meaning of a statement is its token structure.
    Sink(cwe="CWE-89", name="sql-quoted", text="SELECT * FROM users WHERE name = '§'",
         carrier="cur.execute({v})", benign=_WORDS),
    Sink(cwe="CWE-89", name="sql-number", text="SELECT * FROM orders WHERE id = §",
         carrier="db.execute({v})", benign=_NUMBERS),
    Sink(cwe="CWE-89", name="sql-order", text="SELECT * FROM items ORDER BY §",
         carrier="conn.execute({v})", benign=_COLUMNS),
    Sink(cwe="CWE-89", name="sql-delete", text="DELETE FROM carts WHERE owner = '§'",
         carrier="cursor.execute({v})", benign=_WORDS),
    Sink(cwe="CWE-89", name="sql-script", text="UPDATE stats SET hits = hits + 1 WHERE page = '§'",
         carrier="cur.executescript({v})", benign=_WORDS, unseen=True),
    # CWE-78: the meaning of a command line is its words and operators.
    Sink(cwe="CWE-78", name="shell-system", text="ping -c1 §", carrier="os.system({v})", benign=("db1", "web2")),
    Sink(cwe="CWE-78", name="shell-popen", text="whois §", carrier="os.popen({v}).read()", benign=("db1", "web2")),
    Sink(cwe="CWE-78", name="shell-run", text="du -s /srv/§",
         carrier="subprocess.run({v}, shell=True)", benign=("a1", "b2")),
    Sink(cwe="CWE-78", name="shell-single-quoted", text="grep '§' app.log",
         carrier="subprocess.check_output({v}, shell=True)", benign=_WORDS),
    Sink(cwe="CWE-78", name="shell-call", text="tar -xf §", carrier="subprocess.call({v}, shell=True)",
         benign=("a.tar", "b.tar"), unseen=True),
    # CWE-22: the meaning of a path is where it resolves to.
    Sink(cwe="CWE-22", name="path-open", text="/srv/files/§", carrier="open({v}).read()", benign=_FILES),
    Sink(cwe="CWE-22", name="path-join", text="§",
         carrier='open(os.path.join("/srv/files", {v})).read()', benign=_FILES),
    Sink(cwe="CWE-22", name="path-send", text="/srv/files/§", carrier="send_file({v})", benign=_FILES),
    Sink(cwe="CWE-22", name="path-pathlib", text="/srv/files/§", carrier="Path({v}).read_text()", benign=_FILES),
    Sink(cwe="CWE-22", name="path-remove", text="/srv/files/§", carrier="os.remove({v})", benign=_FILES,
         unseen=True),
    # CWE-918: the meaning of an outgoing request is its host.
    Sink(cwe="CWE-918", name="fetch-requests", text="§", carrier="requests.get({v})", benign=_URLS),
    Sink(cwe="CWE-918", name="fetch-urlopen", text="§", carrier="urllib.request.urlopen({v})", benign=_URLS),
    Sink(cwe="CWE-918", name="fetch-host", text="https://§/status", carrier="requests.get({v})", benign=_HOSTS),
    Sink(cwe="CWE-918", name="fetch-suffix", text="https://api.example.com§", carrier="requests.get({v})",
         benign=("/v1", "/v2")),
    Sink(cwe="CWE-918", name="fetch-httpx", text="§", carrier="httpx.get({v})", benign=_URLS, unseen=True),
    # CWE-79: the meaning of a page is its elements, attributes and scripts.
    Sink(cwe="CWE-79", name="html-text", text="<p>Hello §</p>", carrier="", benign=_WORDS),
    Sink(cwe="CWE-79", name="html-quoted", text='<input value="§">', carrier="", benign=_WORDS),
    Sink(cwe="CWE-79", name="html-unquoted", text="<img alt=§>", carrier="", benign=_WORDS),
    Sink(cwe="CWE-79", name="html-script", text='<script>var q = "§"</script>', carrier="", benign=_WORDS),
    Sink(cwe="CWE-79", name="html-heading", text="<h1>§</h1>", carrier="", benign=_WORDS, unseen=True),
    # CWE-601: the meaning of a redirect is the host that a browser goes to.
    Sink(cwe="CWE-601", name="redirect-whole", text="§", carrier="", benign=_PAGES),
    Sink(cwe="CWE-601", name="redirect-slash", text="/§", carrier="", benign=("home", "cart")),
    Sink(cwe="CWE-601", name="redirect-host", text="https://§/", carrier="",
         benign=("shop.example.com", "cdn.example.com")),
    Sink(cwe="CWE-601", name="redirect-suffix", text="https://shop.example.com§", carrier="",
         benign=("/home", "/cart"), unseen=True),
    # CWE-94: the meaning of an expression is the nodes that it parses to.
    Sink(cwe="CWE-94", name="code-eval", text="§", carrier="eval({v})", benign=_NUMBERS),
    Sink(cwe="CWE-94", name="code-eval-term", text="§ * 2", carrier="eval({v})", benign=_NUMBERS),
    Sink(cwe="CWE-94", name="code-exec", text="size = §", carrier="exec({v})", benign=_NUMBERS),
    Sink(cwe="CWE-94", name="code-exec-call", text="resize(§)", carrier="exec({v})", benign=_NUMBERS,
         unseen=True),
)  # fmt: skip

_BY_NAME = {sink.name: sink for sink in SINKS}
CLASSES: tuple[str, ...] = tuple(dict.fromkeys(sink.cwe for sink in SINKS))


def sink_named(name: str) -> Sink:
    """Return the sink of this name. Raises ValueError where there is none."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise ValueError(f"no sink is called {name}") from None


def quote(text: str) -> str:
    """A Python string literal of `text`, double-quoted where that needs no escape."""
    mark = "'" if '"' in text else '"'
    if mark in text:
        return '"' + text.replace('"', '\\"') + '"'
    return f"{mark}{text}{mark}"


#: Spellings of a literal with a value inside.
SPELLINGS = ("concat", "fstring", "percent", "format")


def make_literal(text: str, variable: str, spelling: str) -> str:
    """The expression that puts `variable` at the `§` of `text`."""
    before, _, after = text.partition("§")
    if not before and not after:
        return variable
    if spelling == "fstring":
        return "f" + quote(f"{before}{{{variable}}}{after}")
    if spelling == "percent" and "%" not in text:
        return f"{quote(before + '%s' + after)} % {variable}"
    if spelling == "format":
        return f"{quote(before + '{}' + after)}.format({variable})"
    parts = [quote(before)] if before else []
    parts.append(variable)
    if after:
        parts.append(quote(after))
    return " + ".join(parts)


def choose_spelling(rng: Random) -> str:
    """One of SPELLINGS; f-strings and concatenation are what people write most."""
    return rng.choices(SPELLINGS, weights=(3, 4, 1, 1))[0]
