"""What each framework writes into the `Location` header for an address that a handler hands over.

A browser reads the header, not the handler's text, and frameworks change the text on the way: Django and
Starlette percent-encode a tab and a backslash, Werkzeug takes a tab out and so turns `/`, tab, `/evil.net`
into `//evil.net`, Tornado refuses a line end, `http.server` sends whatever it is given. So the same check is
enough before the redirect of one framework and not before that of another.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from securetag.datasets.synthetic.frameworks import PACKAGE

#: What a header may not hold: Werkzeug's, Bottle's, and the WSGI servers' rules for Falcon.
_LINE_END = re.compile(r"[\r\n\0]")
#: `tornado.web.RequestHandler._VALID_HEADER_CHARS`.
_TORNADO = re.compile(r"[\x09\x20-\x7e\x80-\xff]*")
#: The page that answers; Bottle joins an address to it.
_PAGE = "http://shop.example.com/page"


def _check_header(text: str) -> str:
    if _LINE_END.search(text):
        raise ValueError("a header can't hold a line end")
    return text


def _flask(text: str) -> str:
    from werkzeug.urls import iri_to_uri

    return iri_to_uri(_check_header(text))


def _django(text: str) -> str:
    from django.http import HttpResponseRedirect

    return str(HttpResponseRedirect(text)["Location"])


def _starlette(text: str) -> str:
    return quote(text, safe=":/%#?=@[]!$&'()*+,;")


def _tornado(text: str) -> str:
    # The text's UTF-8 is read as Latin-1, of which every letter is permitted.
    if not _TORNADO.fullmatch(text.encode().decode("latin-1")):
        raise ValueError("unsafe header value")
    return text


def _bottle(text: str) -> str:
    return urljoin(_PAGE, _check_header(text))


def _aiohttp(text: str) -> str:
    # `yarl.URL`: tabs and line ends go, paths are encoded, a host can't have a backslash.
    parts = urlsplit(text)
    if "\\" in parts.netloc or parts.port == 0:
        raise ValueError("invalid host or port")
    path = quote(parts.path, safe="/%:=&~+!$,;'@()*[]")
    return urlunsplit(parts._replace(path=path))


def _unchanged(text: str) -> str:
    return text


_WRITERS: dict[str, Callable[[str], str]] = {
    "flask": _flask,
    "django": _django,
    "starlette": _starlette,
    "fastapi": _starlette,
    "tornado": _tornado,
    "bottle": _bottle,
    "aiohttp": _aiohttp,
    "falcon": _check_header,
    "http.server": _unchanged,
    PACKAGE: _django,
}


def load_libraries() -> None:
    """Import what the writers use: about 0.2 CPU-seconds. A sandbox, which opens no file, needs it before."""
    from django.conf import settings

    if not settings.configured:
        settings.configure()
    for write in _WRITERS.values():
        # A host of other letters needs a codec of its own.
        write("https://caf\u00e9.example.com/caf\u00e9")


def location_writer(framework: str) -> Callable[[str], str]:
    """Return the function from a handler's text to the header of `framework`.

    The function raises an exception where the framework refuses the text. Of an unknown framework the text is
    written as it is.
    """
    return partial(_write, framework)


@lru_cache(maxsize=1 << 16)
def _write(framework: str, text: str) -> str:
    return _WRITERS.get(framework, _unchanged)(text)
