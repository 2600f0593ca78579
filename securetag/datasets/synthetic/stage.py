"""The world that a synthetic function runs in: requests that an attacker wrote, sinks that record.

Names resolve to the real thing wherever that is pure (`re`, `html`, Werkzeug's `safe_join`,
Django's `escape` and `url_has_allowed_host_and_scheme`), so that a label comes from the helper
itself. What touches the machine is replaced: sinks record their argument, path functions know no
symbolic links, the working folder is always `/srv/app`.
"""

from __future__ import annotations

import builtins
import importlib
import json
import posixpath
from collections.abc import Callable, Iterator
from enum import Enum
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NoReturn

import jinja2

from securetag.datasets.synthetic import meaning, standins
from securetag.datasets.synthetic.frameworks import RECORDS
from securetag.datasets.synthetic.imports import importable_names
from securetag.datasets.synthetic.locations import load_libraries, location_writer
from securetag.datasets.synthetic.meaning import Meaning


class Refused(Exception):
    """The handler ended the request itself."""


class Answer:
    """What a handler returns or raises for the browser: markup, or an address to go to."""

    def __init__(self, read: Callable[[str], Meaning], content: object) -> None:
        self.read, self.content = read, str(content)


class AnswerRaised(Exception):
    """An answer that leaves the handler as an exception does."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("answered")
        self.answer = answer


class Recorder:
    """Meanings of what reached a sink, in order."""

    def __init__(self) -> None:
        self.meanings: list[Meaning] = []
        #: What was read, text by text, beside the meanings.
        self.texts: list[str] = []

    def take(self, read: Callable[[str], Meaning], text: str) -> None:
        """Note a text and what it means."""
        self.meanings.append(read(text))
        self.texts.append(text)

    def sink(self, read: Callable[[str], Meaning]) -> Callable[..., Any]:
        """A function that records what its first argument means, and returns something harmless."""

        def call(value: object, *_: object, **__: object) -> Any:
            self.take(read, value if isinstance(value, str) else str(value))
            return _Result()

        return call

    def answered(self, value: object) -> None:
        """Take note of what a handler returned."""
        if isinstance(value, Answer):
            self.take(value.read, value.content)


class _Result:
    """What a sink returns: it can be read, fetched and iterated."""

    def read(self) -> str:
        return ""

    def fetchall(self) -> list[str]:
        return []


class Values(dict[str, object]):
    """Request parameters: the guarded variable holds the payload, every other one `other`."""

    def __init__(self) -> None:
        super().__init__()
        self.variable = ""
        self.payload: object = ""
        self.other: object = ""
        #: Keys that were asked for; a handler that is made begins anew.
        self.read: set[str] = set()

    def __missing__(self, key: str) -> object:
        self.read.add(key)
        return self.payload if key == self.variable else self.other

    def get(self, key: str, default: object = None) -> object:  # noqa: ARG002
        return self[key]


class _Lists:
    """What `parse_qs` returns: each parameter's values in a list. Any text can be sent percent-encoded."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def get(self, key: str, _: object = None) -> list[object]:
        return [self._values[key]]


#: Attributes under which the frameworks keep a request's parameters.
_PARAMETERS = (
    "args",
    "form",
    "values",
    "cookies",
    "headers",
    "json",
    "GET",
    "POST",
    "COOKIES",
    "META",
    "query_params",
    "path_params",
    "match_info",
    "query",
    "forms",
    "params",
)


class _Request:
    """Every framework's request at once; each attribute is the same set of parameters."""

    def __init__(self, values: Values) -> None:
        for name in _PARAMETERS:
            setattr(self, name, values)
        self._values = values

    async def post(self) -> Values:
        return self._values

    def get_param(self, key: str) -> object:
        return self._values[key]


class _Outside:
    """What a package's function is given: a record, an object, rows of them. All is the attacker's."""

    def __init__(self, values: Values) -> None:
        self.__values = values

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        # An attribute for the class's own use holds what was given under the name.
        return self.__values[name.lstrip("_")]

    def __getitem__(self, key: str) -> object:
        return self.__values[key]

    def __iter__(self) -> Iterator[_Outside]:
        yield self

    def pop(self, key: str) -> object:
        return self.__values[key]


class _Handler:
    """The `self` of Tornado, of `http.server`, and of Falcon, whose answers lie in `resp`."""

    #: What is asked for is in the parameters: `parse_qs` looks there.
    path = "/?"

    def __init__(self, values: Values, recorder: Recorder, locate: Callable[[str], str]) -> None:
        self.get_argument = self.get_query_argument = values.get
        self.headers = values
        self.write = recorder.sink(meaning.page)
        page, record = recorder.sink(meaning.page), recorder.sink(meaning.redirect)

        def redirect(address: object) -> None:
            record(locate(str(address)))

        self.redirect = redirect
        self.wfile = SimpleNamespace(write=lambda content: page(content.decode()))
        self.send_header = lambda name, value: redirect(value) if name == "Location" else None

    def send_error(self, _: int) -> None:
        return None

    send_response = send_error


def _refuse(*_: object, **__: object) -> NoReturn:
    raise Refused


def _page(content: object = "", *_: object, **keywords: object) -> Answer:
    return Answer(meaning.page, keywords.get("text", keywords.get("content", content)))


def _load_json(text: object) -> object:
    """The standard library's, but that what a package's function is given is read already."""
    return text if isinstance(text, _Outside) else json.loads(str(text))


def _urlopen(recorder: Recorder) -> Callable[..., Any]:
    return recorder.sink(
        lambda address: meaning.fetch(address, schemes=frozenset({"http", "https", "ftp", "file"}))
    )


class _Environment:
    """Jinja's, of which a module uses the escaping; what is compiled once stays compiled."""

    def __init__(self, *, autoescape: bool | Callable[[str | None], bool] = False) -> None:
        self._escapes = autoescape if isinstance(autoescape, bool) else autoescape(None)

    def from_string(self, text: str) -> jinja2.Template:
        return _compile_template(text, self._escapes)


@lru_cache(maxsize=1_024)
def _compile_template(text: str, escapes: bool) -> jinja2.Template:
    return jinja2.Environment(autoescape=escapes).from_string(text)


def _render_template_string(text: str, **values: object) -> str:
    """Flask's, which escapes what a template that isn't a file shows."""
    return _compile_template(text, escapes=True).render(values)


def flat_realpath(name: Any, *, strict: bool = False) -> str:  # noqa: ARG001
    """`os.path.realpath` on a machine without symbolic links, working in `/srv/app`."""
    return posixpath.normpath(posixpath.join("/srv/app", str(name)))


#: Names that don't touch the machine: modules, and attributes by their path.
_MODULES = (
    "base64",
    "hashlib",
    "html",
    "json",
    "markupsafe",
    "re",
    "shlex",
    "string",
    "unicodedata",
    "uuid",
    "zlib",
)
_ATTRIBUTES = {
    "datetime": ("date",),
    "decimal": ("Decimal",),
    "pathlib": ("Path",),
    "urllib.parse": ("quote", "quote_plus", "unquote", "unquote_plus", "urljoin", "urlparse", "urlsplit"),
    "jinja2": ("select_autoescape",),
    "markupsafe": ("Markup",),
    "django.utils.encoding": ("iri_to_uri",),
    "django.utils.html": ("escape", "format_html", "strip_spaces_between_tags", "strip_tags"),
    "django.utils.http": ("url_has_allowed_host_and_scheme",),
    "django.utils.safestring": ("mark_safe",),
    "werkzeug.security": ("safe_join",),
    "werkzeug.utils": ("secure_filename",),
}


def _remembered_enum(name: str, members: list[str]) -> type[Enum]:
    """`Enum(name, members)`, made once."""
    return _enum(name, tuple(members))


@lru_cache(maxsize=256)
def _enum(name: str, members: tuple[str, ...]) -> type[Enum]:
    return Enum(name, members)  # type: ignore[return-value]


def _pure_names() -> dict[str, Any]:
    """The real modules and helpers. Imports Werkzeug and Django."""
    load_libraries()
    names_by_spelling: dict[str, Any] = {name: importlib.import_module(name) for name in _MODULES}
    for module, names in _ATTRIBUTES.items():
        imported = importlib.import_module(module)
        names_by_spelling |= {name: getattr(imported, name) for name in names}
    # A submodule that its package doesn't import: reached by its own path.
    # Making the class takes 0.5 ms, and its guards make it anew in every call.
    names_by_spelling["Enum"] = _remembered_enum
    names_by_spelling["Environment"] = _Environment
    names_by_spelling["render_template_string"] = _render_template_string
    # The first template imports what the sandbox wouldn't let it.
    _render_template_string("{% autoescape false %}{{ x or 'y' }}{% endautoescape %}", x="")
    names_by_spelling["saxutils"] = importlib.import_module("xml.sax.saxutils")
    return names_by_spelling


class Stage:
    """One process's world: set `values`, call a handler, read `recorder`."""

    def __init__(self) -> None:
        self.values, self.recorder = Values(), Recorder()
        self.response = SimpleNamespace(text=None)
        #: What the handler's framework makes of an address in a `Location` header.
        self.write_location = location_writer("")
        request = _Request(self.values)
        self._given: dict[str, Any] = {
            "request": request,
            "self": _Handler(self.values, self.recorder, self._locate),
            "req": request,
            "resp": self.response,
        }
        outside = _Outside(self.values)
        self._given_to_package = {
            "self": outside,
            **{name: outside for record in RECORDS for name in (record, f"{record}s")},
        }
        #: Is the function a package's, which gets what comes from outside from its caller?
        self.is_package = False
        self._names = {
            **_pure_names(),
            **_sinks(self.recorder),
            **_answers(self._locate),
            "request": request,
        }
        self._names["Path"] = _recording_path(self._names["Path"], self.recorder.sink(meaning.path))
        self._names["json"] = SimpleNamespace(**vars(json) | {"loads": _load_json})
        self._names["parse_qs"] = lambda _: _Lists(self.values)
        # A module may lack its imports: a snippet of a file often does.
        self._names = standins.provide(importable_names()) | self._names
        self._names["__builtins__"] = {**vars(builtins), "__import__": standins.importer(self._names)}

    def _locate(self, address: str) -> str:
        return self.write_location(address)

    def names(self) -> dict[str, Any]:
        """Globals for one function, its own copy."""
        return dict(self._names)

    def argument(self, name: str) -> object:
        """What a handler's parameter gets: the request, the handler itself, or a part of the route."""
        given = self._given_to_package if self.is_package else self._given
        return given[name] if name in given else self.values[name]

    def reset(self, variable: str, payload: object, other: object) -> None:
        """Begin a new request."""
        self.values.variable, self.values.payload, self.values.other = variable, payload, other
        self.recorder.meanings = []
        self.recorder.texts = []
        self.response.text = None


def _sinks(recorder: Recorder) -> dict[str, Any]:
    sql, shell = recorder.sink(meaning.sql), recorder.sink(meaning.shell)
    path = recorder.sink(meaning.path)
    code = recorder.sink(meaning.code)
    cursor = SimpleNamespace(execute=sql, executescript=sql)
    pure_path = {
        name: getattr(posixpath, name)
        for name in ["join", "basename", "dirname", "normpath", "split", "commonpath", "commonprefix"]
    }
    return {
        "cur": cursor,
        "db": cursor,
        "conn": cursor,
        "cursor": cursor,
        "os": SimpleNamespace(
            path=SimpleNamespace(**pure_path, realpath=flat_realpath, abspath=flat_realpath),
            system=shell,
            popen=shell,
            remove=path,
        ),
        "subprocess": SimpleNamespace(run=shell, check_output=shell, call=shell),
        "requests": SimpleNamespace(get=recorder.sink(meaning.fetch_requests)),
        "httpx": SimpleNamespace(get=recorder.sink(meaning.fetch_httpx)),
        "urllib": SimpleNamespace(request=SimpleNamespace(urlopen=_urlopen(recorder))),
        "open": path,
        "send_file": path,
        "eval": code,
        "exec": code,
    }


def _answers(locate: Callable[[str], str]) -> dict[str, Any]:
    """The frameworks' ways to answer. A call of `_refuse` in a `raise` refuses before the raise."""

    def redirect(address: object = "", *_: object, **keywords: object) -> Answer:
        return Answer(meaning.redirect, locate(str(keywords.get("url", address))))

    def raised_redirect(address: object) -> AnswerRaised:
        return AnswerRaised(redirect(address))

    return {
        "make_response": _page,
        "HttpResponse": _page,
        "HTMLResponse": _page,
        "Response": _answer_or_refusal,
        "HTTPResponse": _BottleResponse,
        "web": SimpleNamespace(
            RouteTableDef=standins.Standin(),
            Response=_answer_or_refusal,
            HTTPFound=redirect,
            HTTPBadRequest=Refused,
        ),
        "redirect": redirect,
        "HttpResponseRedirect": redirect,
        "RedirectResponse": redirect,
        "HTTPFound": raised_redirect,
        "abort": _refuse,
        "HttpResponseBadRequest": lambda: None,
        "HTTPException": _refuse,
        "HTTPError": _refuse,
        "Http404": Refused,
        "HTTPInvalidParam": _refuse,
        "falcon": SimpleNamespace(HTTPBadRequest=_refuse),
        "log": standins.Standin(),
        "JSONResponse": lambda *_, **__: None,
    }


def _answer_or_refusal(content: object = "", **keywords: object) -> Answer | None:
    if keywords.get("status") == 400 or keywords.get("status_code") == 400:
        return None
    return _page(content, **keywords)


class _BottleResponse(Answer, Exception):
    """Bottle's HTTPResponse is returned with a page or raised with a status."""

    def __init__(self, content: object = "", status: int = 200) -> None:
        Answer.__init__(self, meaning.page, content if status == 200 else "")
        self.refusal = status != 200


def _recording_path(real: Any, record: Callable[..., Any]) -> Any:
    class Recorded(type(real("/"))):  # type: ignore[misc]
        """A path whose content is a sink; everything else about it is pathlib's."""

        def read_text(self, *_: object, **__: object) -> str:
            record(str(self))
            return ""

        def resolve(self, strict: bool = False) -> Any:  # noqa: ARG002
            return type(self)(flat_realpath(self))

    return Recorded
