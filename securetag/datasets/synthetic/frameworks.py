"""How nine Python web frameworks, and packages, spell a handler, a source of untrusted text, and a refusal.

Only spellings live here. What they do when run is in `stage`, which answers for all of them.
"""

from __future__ import annotations

import msgspec


class Framework(msgspec.Struct, frozen=True, kw_only=True):
    """One framework's idiom. `{k}` stands for the parameter's name, `{f}` for the function's.

    In a package `{r}` is the object that holds what comes from outside, `{o}` a comma and the other name.
    """

    name: str
    #: The line that opens a handler.
    header: str
    #: Kind of source → expression of type str; empty where the function's own parameter is the source.
    sources: dict[str, str]
    #: Statements that end the handler without reaching the sink.
    refusals: tuple[str, ...]
    #: How a page is answered: `{v}` is the expression of the markup.
    page: str
    #: How the browser is sent elsewhere: `{v}` is the expression of the address.
    redirect: str
    #: The line that opens a handler of a class-based view, and the class's parent; empty: there are none.
    view_header: str = ""
    view_parent: str = ""
    #: The line of a loop that the handler's body is in.
    loop: str = ""

    def as_view(self) -> Framework:
        """Return the framework with its class-based view as the handler."""
        return msgspec.structs.replace(self, header=self.view_header)


FRAMEWORKS: tuple[Framework, ...] = (
    Framework(
        name="flask",
        header="def {f}():",
        sources={
            "query": 'request.args.get("{k}", "")',
            "form": 'request.form["{k}"]',
            "cookie": 'request.cookies.get("{k}", "")',
            "json": 'request.json["{k}"]',
        },
        refusals=("abort(400)", 'return "bad request", 400'),
        page="return make_response({v})",
        redirect="return redirect({v})",
        view_header="def get(self):",
        view_parent="(MethodView)",
    ),
    Framework(
        name="django",
        header="def {f}(request):",
        sources={
            "query": 'request.GET.get("{k}", "")',
            "form": 'request.POST["{k}"]',
            "cookie": 'request.COOKIES.get("{k}", "")',
            "header": 'request.META.get("{k}", "")',
        },
        refusals=("return HttpResponseBadRequest()", "raise Http404"),
        page="return HttpResponse({v})",
        redirect="return HttpResponseRedirect({v})",
        view_header="def get(self, request):",
        view_parent="(View)",
    ),
    Framework(
        name="starlette",
        header="async def {f}(request):",
        sources={
            "query": 'request.query_params["{k}"]',
            "path": 'request.path_params["{k}"]',
            "cookie": 'request.cookies.get("{k}", "")',
        },
        refusals=("raise HTTPException(400)", "return Response(status_code=400)"),
        page="return HTMLResponse({v})",
        redirect="return RedirectResponse({v})",
        view_header="async def get(self, request):",
        view_parent="(HTTPEndpoint)",
    ),
    Framework(
        name="tornado",
        header="def get(self):",
        sources={
            "query": 'self.get_query_argument("{k}")',
            "form": 'self.get_argument("{k}", "")',
        },
        refusals=("raise HTTPError(400)", "return self.send_error(400)"),
        page="self.write({v})",
        redirect="self.redirect({v})",
    ),
    Framework(
        name="bottle",
        header="def {f}():",
        sources={
            "query": 'request.query.get("{k}", "")',
            "form": 'request.forms.get("{k}", "")',
        },
        refusals=('abort(400, "no")', "raise HTTPResponse(status=400)"),
        page="return HTTPResponse({v})",
        redirect="return redirect({v})",
    ),
    Framework(
        name="aiohttp",
        header="async def {f}(request):",
        sources={
            "query": 'request.query["{k}"]',
            "form": '(await request.post())["{k}"]',
        },
        refusals=("raise web.HTTPBadRequest()", "return web.Response(status=400)"),
        page='return web.Response(text={v}, content_type="text/html")',
        redirect="return web.HTTPFound({v})",
    ),
    Framework(
        name="falcon",
        header="def on_get(self, req, resp):",
        sources={
            "query": 'req.get_param("{k}")',
            "path": 'req.params["{k}"]',
        },
        refusals=("raise falcon.HTTPBadRequest()", "raise HTTPInvalidParam()"),
        page="resp.text = {v}",
        redirect="raise HTTPFound({v})",
    ),
    Framework(
        name="fastapi",
        header="async def {f}(request: Request):",
        sources={
            "query": 'request.query_params.get("{k}", "")',
            "path": 'request.path_params["{k}"]',
            "header": 'request.headers.get("{k}", "")',
        },
        refusals=(
            "raise HTTPException(status_code=400)",
            'return JSONResponse({"error": "invalid"}, status_code=400)',
        ),
        page="return HTMLResponse(content={v})",
        redirect="return RedirectResponse(url={v})",
    ),
    Framework(
        name="http.server",
        header="def do_GET(self):",
        sources={
            "query": 'parse_qs(urlparse(self.path).query).get("{k}", [""])[0]',
            "header": 'self.headers.get("{k}", "")',
        },
        refusals=("return self.send_error(400)", "return self.send_response(400)"),
        page="return self.wfile.write(({v}).encode())",
        redirect='return self.send_header("Location", {v})',
    ),
)

#: Name of every idiom of PACKAGES.
PACKAGE = "package"
_REFUSALS = (
    'raise ValueError("unsupported value")',
    "return None",
    'raise PermissionError("not allowed")',
    "return",
    "raise NotImplementedError",
)


def _package(header: str, sources: dict[str, str], *, page: str = "return {v}", loop: str = "") -> Framework:
    return Framework(
        name=PACKAGE,
        header=header,
        sources=sources,
        refusals=_REFUSALS,
        page=page,
        redirect="return HttpResponseRedirect({v})",
        loop=loop,
    )


#: Functions and methods of packages, which get what comes from outside from whoever calls them.
PACKAGES: tuple[Framework, ...] = (
    _package("def {f}({k}{o}):", {"parameter": ""}),
    _package("def {f}(self, {k}{o}):", {"parameter": ""}, page="return Markup({v})"),
    _package(
        "def {f}(self):",
        {"attribute": "self.{k}", "private-attribute": "self._{k}"},
        page="return mark_safe({v})",
    ),
    _package(
        "def {f}({r}):",
        {
            "item": '{r}["{k}"]',
            "attribute": "{r}.{k}",
            "json": 'json.loads({r})["{k}"]',
            "text": 'str({r}["{k}"])',
        },
    ),
    _package(
        "def {f}(self, {r}):",
        {
            "item": '{r}["{k}"]',
            "attribute": "{r}.{k}",
            "removed": '{r}.pop("{k}")',
            "named-attribute": 'getattr({r}, "{k}")',
        },
        page="return Markup({v})",
    ),
    _package(
        "def {f}(self, {r}s):",
        {"row": '{r}["{k}"]', "element": "{r}.{k}"},
        page="return mark_safe({v})",
        loop="for {r} in {r}s:",
    ),
)
#: Names of the object that holds what comes from outside. A plan's variables are never called so.
RECORDS = (
    "record",
    "row",
    "item",
    "entry",
    "message",
    "payload",
    "element",
    "node",
    "job",
    "task",
    "spec",
    "meta",
)

#: Appears in test rows only.
UNSEEN_FRAMEWORK = "falcon"
