"""Parts of a route that a framework converts or checks before a handler gets them.

A scanner sees a parameter of the handler reach a sink. Whether that is a number or any text stands in the
route, in the parameter's annotation, or in a table of addresses. `delivery` does what the converters do.
"""

from __future__ import annotations

import msgspec

__all__ = ["ROUTES", "ROUTE_PAIRS", "Route", "list_frameworks"]


class Route(msgspec.Struct, frozen=True):
    """How a framework spells a handler of one parameter, `{k}`; `{f}` is the handler, `{u}` an address.

    `{a}` and `{b}` are the sink's honest values. An empty text: that line isn't there.
    """

    #: Line above the handler, its first line, and the statement that reads the parameter.
    decorator: str = ""
    header: str = ""
    source: str = ""
    #: Statement at the module's end, which names the handler.
    table: str = ""

    @property
    def guard(self) -> str:
        """The line that says what the parameter may be: `decorator`, `header` or `table`."""
        return (
            "table" if self.table else "header" if ": " in self.header.partition("(")[2][:-2] else "decorator"
        )


def _flask(part: str) -> Route:
    return Route(decorator=f'@bp.route("/{{u}}/{part}")', header="def {f}({k}):")


def _bottle(part: str) -> Route:
    return Route(decorator=f'@route("/{{u}}/{part}")', header="def {f}({k}):")


def _aiohttp(part: str) -> Route:
    return Route(
        decorator=f'@routes.get(r"/{{u}}/{part}")',
        header="async def {f}(request):",
        source='request.match_info["{k}"]',
    )


def _django(part: str) -> Route:
    return Route(header="def {f}(request, {k}):", table=f'urlpatterns = [path("{{u}}/{part}/", {{f}})]')


def _starlette(part: str) -> Route:
    return Route(
        header="async def {f}(request):",
        source='request.path_params["{k}"]',
        table=f'routes = [Route("/{{u}}/{part}", {{f}})]',
    )


def _fastapi(annotation: str, *, is_part: bool = True) -> Route:
    part = "/{{{k}}}" if is_part else ""
    return Route(decorator=f'@router.get("/{{u}}{part}")', header=f"async def {{f}}({{k}}: {annotation}):")


#: Framework → converter → spelling. Names of converters are those of `delivery`.
ROUTES: dict[str, dict[str, Route]] = {
    "flask": {
        "int": _flask("<int:{k}>"),
        "listed": _flask("<any({a}, {b}):{k}>"),
        "str": _flask("<{k}>"),
        "path": _flask("<path:{k}>"),
    },
    "bottle": {
        "int": _bottle("<{k}:int>"),
        "word": _bottle("<{k}:re:[a-z0-9]+>"),
        "str": _bottle("<{k}>"),
        "path": _bottle("<{k}:path>"),
    },
    "aiohttp": {
        "digits": _aiohttp(r"{{{k}:\d+}}"),
        "word": _aiohttp("{{{k}:[a-z0-9]+}}"),
        "str": _aiohttp("{{{k}}}"),
        "path": _aiohttp("{{{k}:.+}}"),
    },
    "django": {
        "int": _django("<int:{k}>"),
        "slug": _django("<slug:{k}>"),
        "str": _django("<str:{k}>"),
        "path": _django("<path:{k}>"),
    },
    "starlette": {
        "int": _starlette("{{{k}:int}}"),
        "str": _starlette("{{{k}}}"),
        "path": _starlette("{{{k}:path}}"),
    },
    "fastapi": {
        "int": _fastapi("int"),
        "listed": _fastapi('Literal["{a}", "{b}"]'),
        "str": _fastapi("str"),
        "word": _fastapi('Annotated[str, Query(pattern="^[a-z0-9]+$")]', is_part=False),
        "beginning": _fastapi('Annotated[str, Query(pattern="^[a-z0-9]+")]', is_part=False),
        "any": _fastapi("str", is_part=False),
    },
}
#: Name of a guard → what was meant, and mistakes.
ROUTE_PAIRS: dict[str, tuple[str, tuple[str, ...]]] = {
    "int-part": ("int", ("str", "path")),
    "digits-part": ("digits", ("str", "path")),
    "word-part": ("word", ("str", "path", "beginning", "any")),
    "slug-part": ("slug", ("str", "path")),
    "listed-part": ("listed", ("str",)),
}


def list_frameworks(name: str) -> list[str]:
    """Return the frameworks in which a guard of ROUTE_PAIRS and one of its mistakes can be spelled."""
    meant, mistakes = ROUTE_PAIRS[name]
    return [
        framework
        for framework, routes in ROUTES.items()
        if meant in routes and any(mistake in routes for mistake in mistakes)
    ]


def choose_converter(name: str, framework: str, mode: str, weak: int) -> str:
    """Return the converter of a guard's mode `sound`, or of its `weak`-th mistake."""
    meant, mistakes = ROUTE_PAIRS[name]
    if mode == "sound":
        return meant
    spelled = [mistake for mistake in mistakes if mistake in ROUTES[framework]]
    return spelled[weak % len(spelled)]
