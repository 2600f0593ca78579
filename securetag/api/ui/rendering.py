"""Templates, texts and static files of the page.

Everything that a template prints is escaped, and characters that a reader can't see (bidi controls, escape
sequences, zero-width characters) are printed as their code points: code from outside can't look like
something that it isn't.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

import yaml
from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import URL
from starlette.responses import HTMLResponse

from securetag.records import Lang
from securetag.system.extras import find_package_file

FOLDER = Path(__file__).parent
LANG_COOKIE = "securetag_lang"
LANGUAGES: dict[str, Lang] = {"en": "en", "es": "es"}
#: No script or style inside a page, nothing from elsewhere, no page in a frame.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
#: Name → (media type, where it lies). htmx comes from an installed package, which is not imported.
STATIC: dict[str, tuple[str, Callable[[], Path | None]]] = {
    "ui.css": ("text/css", lambda: FOLDER / "static/ui.css"),
    "icon.svg": ("image/svg+xml", lambda: FOLDER / "static/icon.svg"),
    "ui.js": ("text/javascript", lambda: FOLDER / "static/ui.js"),
    "htmx.js": (
        "text/javascript",
        lambda: find_package_file("django_htmx", "static/django_htmx/htmx-2.min.js"),
    ),
    "sse.js": (
        "text/javascript",
        lambda: find_package_file("django_htmx", "static/django_htmx/ext/hx-sse-2.min.js"),
    ),
}


@cache
def load_texts() -> dict[str, dict[Lang, str]]:
    """Return key → language → text: every text of the page."""
    texts: dict[str, dict[Lang, str]] = {}
    for path in sorted(FOLDER.glob("texts*.yaml")):
        texts |= yaml.safe_load(path.read_text("utf-8"))
    return texts


def translate(key: str, lang: Lang, **values: object) -> str:
    """Return the text of this key in this language, `{name}` replaced by the values."""
    text = load_texts()[key][lang]
    return text.format(**values) if values else text


def choose_language(request: Request) -> Lang:
    """Return what the address asks for, else what was chosen before, else the browser's first of ours."""
    header = request.headers.get("accept-language", "")
    wanted = [request.query_params.get("lang", ""), request.cookies.get(LANG_COOKIE, "")]
    wanted += [part.split(";")[0].strip()[:2].lower() for part in header.split(",")]
    return next((LANGUAGES[lang] for lang in wanted if lang in LANGUAGES), "en")


def show_hidden(value: object) -> object:
    """Return a text with its invisible characters as code points; anything else as it is."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(
        character if character.isprintable() or character in "\n\t" else f"⟨U+{ord(character):04X}⟩"
        for character in value
    )


def format_time(moment: datetime | None) -> str:
    """Return a time in UTC to the minute; empty for None."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if moment is not None else ""


@cache
def load_static(name: str) -> tuple[bytes, str] | None:
    """Return the content and the media type of a static file; None where there is none."""
    media_type, locate = STATIC.get(name, ("", lambda: None))
    path = locate()
    return (path.read_bytes(), media_type) if path is not None else None


@cache
def _address(name: str) -> str:
    """The address of a static file, which changes with its content."""
    loaded = load_static(name)
    version = hashlib.sha256(loaded[0]).hexdigest()[:12] if loaded is not None else "none"
    return f"/ui/static/{name}?v={version}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=show_hidden,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = format_time
    environment.globals["static"] = _address
    return environment


def render_text(request: Request, template: str, *, address: str | None = None, **context: object) -> str:
    """Return a template as text, in the language that the request asks for.

    `address` is the page's own, where the request has another.
    """
    lang = choose_language(request)
    url = URL(address) if address is not None else request.url
    addresses = {code: url.include_query_params(lang=code) for code in LANGUAGES}
    return (
        _environment()
        .get_template(template)
        .render(
            t=partial(translate, lang=lang),
            lang=lang,
            here=url.path + (f"?{url.query}" if url.query else ""),
            languages={code: f"{item.path}?{item.query}" for code, item in addresses.items()},
            **{"visitor": None, **context},
        )
    )


def render(
    request: Request, template: str, *, status: int = 200, address: str | None = None, **context: object
) -> HTMLResponse:
    """Answer with a template, in the language that the request asks for; `address` as in `render_text`."""
    return HTMLResponse(render_text(request, template, address=address, **context), status)
