"""How nine Python web frameworks spell a handler, a source of untrusted text, and a refusal.

Only spellings live here. What they do when run is in `stage`, which answers for all of them.
"""

from __future__ import annotations

import msgspec


class Framework(msgspec.Struct, frozen=True, kw_only=True):
    """One framework's idiom. `{k}` stands for the parameter's name, `{f}` for the function's."""

    name: str
    #: The line that opens a handler.
    header: str
    #: Kind of source → expression of type str.
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

#: Appears in test rows only.
UNSEEN_FRAMEWORK = "falcon"
