"""Two web applications of our own on loopback: one with holes of many kinds, one without.

They are served by threads of the test's process. What a scanner sends reaches a real SQLite, a real shell
(in an empty environment, for two seconds at most), real files and a real XML parser.
"""

from __future__ import annotations

import html
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from lxml import etree

Query = dict[str, str]
#: What a handler returns: status, headers, body.
Page = tuple[int, dict[str, str], str]
HTML = {"Content-Type": "text/html; charset=utf-8"}


class Shop(ThreadingHTTPServer):
    """An application and what it was asked."""

    daemon_threads = True
    pages: dict[str, Callable[[Query, bytes], Page]]
    headers: dict[str, str]

    def __init__(
        self, pages: dict[str, Callable[[Query, bytes], Page]], headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages, self.headers = pages, headers or {}
        #: (method, path with query), in order.
        self.requests: list[tuple[str, str]] = []
        #: Their `Host` headers.
        self.hosts: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Shop
    server_version, sys_version = "Shop", ""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.server.requests.append((self.command, self.path))
        self.server.hosts.append(self.headers["Host"])
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        fields = url.query if self.command == "GET" else f"{url.query}&{body.decode('latin-1')}"
        query = {name: values[-1] for name, values in parse_qs(fields, keep_blank_values=True).items()}
        handler = self.server.pages.get(url.path)
        status, headers, text = handler(query, body) if handler else (404, HTML, "<p>nothing here</p>")
        content = text.encode("utf-8", "replace")
        self.send_response(status)
        for name, value in {**self.server.headers, **headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet: `Shop.requests` has it all."""


@contextmanager
def serve(shop: Shop) -> Iterator[Shop]:
    """The application, answering until the block ends."""
    thread = threading.Thread(target=shop.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield shop
    finally:
        shop.shutdown()
        shop.server_close()
        thread.join()


def _stock() -> sqlite3.Connection:
    stock = sqlite3.connect(":memory:", check_same_thread=False)
    stock.execute("CREATE TABLE item (id INTEGER, name TEXT)")
    stock.executemany("INSERT INTO item VALUES (?, ?)", [(1, "lamp"), (2, "chair")])
    return stock


def _page(body: str, **headers: str) -> Page:
    text = f"<!DOCTYPE html><html><head><title>Shop</title></head><body>{body}</body></html>"
    return 200, {**HTML, **headers}, text


def vulnerable_shop(folder: Path) -> Shop:
    """Each page has one hole; `folder` is where its texts lie."""
    (folder / "about.txt").write_text("We sell lamps.")
    stock, lock = _stock(), threading.Lock()

    def home(query: Query, body: bytes) -> Page:
        links = (
            "/search?q=lamp",
            "/item?id=1",
            "/text?file=about.txt",
            "/ping?host=localhost",
            "/go?to=/item",
            "/language?lang=en",
        )
        listed = "".join(f'<a href="{link}">{link}</a> ' for link in links)
        form = (
            '<form action="/feed" method="post"><textarea name="xml"></textarea><input type="submit"></form>'
        )
        return _page(listed + form, **{"Set-Cookie": "session=4711"})

    def search(query: Query, body: bytes) -> Page:
        return _page(f"<p>Results for {query.get('q', '')}</p>")

    def item(query: Query, body: bytes) -> Page:
        statement = f"SELECT name FROM item WHERE id = {query.get('id', '1')}"
        try:
            with lock:
                rows = stock.execute(statement).fetchall()
        except (sqlite3.Error, sqlite3.Warning) as error:
            return 500, HTML, f"<p>sqlite3.{type(error).__name__}: {error}</p>"
        return _page(f"<p>{html.escape(str(rows))}</p>")

    def text(query: Query, body: bytes) -> Page:
        try:
            content = (folder / query.get("file", "")).read_bytes()[:4_000].decode("latin-1")
        except (OSError, ValueError):
            return 404, HTML, "<p>no such text</p>"
        return _page(f"<pre>{html.escape(content)}</pre>")

    def ping(query: Query, body: bytes) -> Page:
        command = f"echo pinging {query.get('host', '')}".replace("\0", "")
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                env={"PATH": "/usr/bin:/bin"},
                cwd=folder,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=2,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return 504, HTML, "<p>no answer</p>"
        return _page(f"<pre>{html.escape(done.stdout.decode('latin-1'))}</pre>")

    def go(query: Query, body: bytes) -> Page:
        target = query.get("to", "/").replace("\r", "").replace("\n", "")
        return 302, {**HTML, "Location": quote(target, safe="/:?&=%#@")}, ""

    def language(query: Query, body: bytes) -> Page:
        return _page("<p>Chosen.</p>", **{"Content-Language": query.get("lang", "en")})

    def feed(query: Query, body: bytes) -> Page:
        parser = etree.XMLParser(resolve_entities=True, no_network=True)
        try:
            root = etree.fromstring(query.get("xml", "").encode(), parser)
        except (etree.XMLSyntaxError, ValueError):
            return 400, HTML, "<p>no XML</p>"
        return _page(f"<pre>{html.escape(''.join(root.itertext()))}</pre>")

    return Shop(
        {
            "/": home,
            "/search": search,
            "/item": item,
            "/text": text,
            "/ping": ping,
            "/go": go,
            "/language": language,
            "/feed": feed,
        }
    )


def clean_shop() -> Shop:
    """The same kinds of pages, done as they should be."""
    stock, lock = _stock(), threading.Lock()
    headers = {
        "Content-Security-Policy": "default-src 'none'; script-src 'none'; object-src 'none'; "
        "base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-XSS-Protection": "1; mode=block",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "Referrer-Policy": "no-referrer",
    }

    def home(query: Query, body: bytes) -> Page:
        links = ("/search?q=lamp", "/item?id=1", "/text?file=about.txt", "/go?to=item")
        cookie = "session=4711; Secure; HttpOnly; SameSite=Strict"
        return _page("".join(f'<a href="{link}">{link}</a> ' for link in links), **{"Set-Cookie": cookie})

    def search(query: Query, body: bytes) -> Page:
        return _page(f"<p>Results for {html.escape(query.get('q', ''))}</p>")

    def item(query: Query, body: bytes) -> Page:
        with lock:
            rows = stock.execute("SELECT name FROM item WHERE id = ?", (query.get("id", ""),)).fetchall()
        return _page(f"<p>{html.escape(str(rows))}</p>")

    def text(query: Query, body: bytes) -> Page:
        texts = {"about.txt": "We sell lamps."}
        return _page(f"<p>{texts.get(query.get('file', ''), 'no such text')}</p>")

    def go(query: Query, body: bytes) -> Page:
        return 302, {**HTML, "Location": "/item?id=1" if query.get("to") == "item" else "/"}, ""

    return Shop({"/": home, "/search": search, "/item": item, "/text": text, "/go": go}, headers)
