"""The import statements that a module needs for the names that it uses."""

from __future__ import annotations

import re
from collections import defaultdict

from securetag.datasets.synthetic.frameworks import PACKAGE

#: Modules that are imported by their own name.
_MODULES = frozenset(
    (  # noqa: SIM905
        "base64 hashlib html httpx json logging markupsafe os re requests shlex string subprocess time "
        "unicodedata uuid zlib falcon"
    ).split()
)
#: Name → module that it is imported from; a framework's own come before.
_NAMES = {
    "Annotated": "typing",
    "Any": "typing",
    "Decimal": "decimal",
    "Enum": "enum",
    "Environment": "jinja2",
    "Literal": "typing",
    "Markup": "markupsafe",
    "Path": "pathlib",
    "cur": "app.database",
    "cursor": "app.database",
    "conn": "app.database",
    "db": "app.database",
    "dataclass": "dataclasses",
    "date": "datetime",
    "escape": "django.utils.html",
    "format_html": "django.utils.html",
    "iri_to_uri": "django.utils.encoding",
    "lru_cache": "functools",
    "mark_safe": "django.utils.safestring",
    "parse_qs": "urllib.parse",
    "quote": "urllib.parse",
    "quote_plus": "urllib.parse",
    "render_template_string": "flask",
    "safe_join": "werkzeug.security",
    "saxutils": "xml.sax",
    "secure_filename": "werkzeug.utils",
    "select_autoescape": "jinja2",
    "send_file": "flask",
    "strip_spaces_between_tags": "django.utils.html",
    "strip_tags": "django.utils.html",
    "unquote": "urllib.parse",
    "unquote_plus": "urllib.parse",
    "url_has_allowed_host_and_scheme": "django.utils.http",
    "urljoin": "urllib.parse",
    "urlparse": "urllib.parse",
    "urlsplit": "urllib.parse",
    "wraps": "functools",
}
_FRAMEWORKS: dict[str, dict[str, str]] = {
    "flask": dict.fromkeys(
        ("Blueprint", "Flask", "abort", "jsonify", "make_response", "redirect", "request", "send_file"),
        "flask",
    )
    | {"MethodView": "flask.views", "login_required": "flask_login"},
    "django": {
        "Http404": "django.http",
        "HttpResponse": "django.http",
        "HttpResponseBadRequest": "django.http",
        "HttpResponseRedirect": "django.http",
        "JsonResponse": "django.http",
        "View": "django.views",
        "login_required": "django.contrib.auth.decorators",
        "path": "django.urls",
        "require_GET": "django.views.decorators.http",
        "require_http_methods": "django.views.decorators.http",
    },
    "starlette": {
        "HTMLResponse": "starlette.responses",
        "HTTPEndpoint": "starlette.endpoints",
        "HTTPException": "starlette.exceptions",
        "JSONResponse": "starlette.responses",
        "RedirectResponse": "starlette.responses",
        "Response": "starlette.responses",
        "Route": "starlette.routing",
        "requires": "starlette.authentication",
    },
    "fastapi": {
        "APIRouter": "fastapi",
        "Depends": "fastapi",
        "HTTPException": "fastapi",
        "HTMLResponse": "fastapi.responses",
        "JSONResponse": "fastapi.responses",
        "RedirectResponse": "fastapi.responses",
        "Query": "fastapi",
        "Request": "fastapi",
        "Response": "fastapi",
    },
    "tornado": {"HTTPError": "tornado.web", "RequestHandler": "tornado.web"},
    "bottle": dict.fromkeys(("HTTPResponse", "abort", "redirect", "request", "route"), "bottle"),
    "aiohttp": {"web": "aiohttp"},
    "falcon": {"HTTPFound": "falcon", "HTTPInvalidParam": "falcon"},
    "http.server": {"BaseHTTPRequestHandler": "http.server"},
    PACKAGE: {"HttpResponseRedirect": "django.http"},
}

#: A name that no attribute access precedes; what a string holds may count too, at the cost of an import.
_NAME = re.compile(r"(?<![\w.\"'])[A-Za-z_]\w*")


def list_imports(code: str, framework: str) -> list[str]:
    """Return the statements that import what `code` uses: modules, then names by their module."""
    used = set(_NAME.findall(code))
    sources = _NAMES | _FRAMEWORKS[framework]
    by_module: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(used & sources.keys()):
        by_module[sources[name]].append(name)
    plain = [f"import {name}" for name in sorted(used & _MODULES - sources.keys())]
    if "urllib" in used:
        plain.append("import urllib.request")
    return [
        *plain,
        *(f"from {module} import {', '.join(names)}" for module, names in sorted(by_module.items())),
    ]


def importable_names() -> set[str]:
    """Return all names that a module may import: no definition of its own may hide one."""
    return {*_MODULES, *_NAMES, *(name for names in _FRAMEWORKS.values() for name in names)}
