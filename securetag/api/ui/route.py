"""What every page has in common: headers, the language that was chosen, errors as pages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from http import HTTPStatus
from urllib.parse import urlencode

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from securetag.api.ui.problems import describe_problem
from securetag.api.ui.rendering import HEADERS, LANG_COOKIE, LANGUAGES, choose_language, render
from securetag.api.ui.session import COOKIE_PATH, SignInError
from securetag.errors import SecuretagError, UnavailableError

log = logging.getLogger(__name__)

YEAR_SECONDS = 365 * 24 * 3600


class PageRoute(APIRoute):
    """A route whose errors are pages, and whose answers carry the headers of a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        handle = super().get_route_handler()

        async def handle_page(request: Request) -> Response:
            try:
                async with AsyncExitStack() as request.state.exits:
                    response = await handle(request)
            except SignInError:
                response = _ask_to_sign_in(request)
            except (RequestValidationError, HTTPException, SecuretagError) as error:
                response = explain(request, error)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            if (lang := request.query_params.get("lang", "")) in LANGUAGES:
                response.set_cookie(
                    LANG_COOKIE,
                    lang,
                    max_age=YEAR_SECONDS,
                    path=COOKIE_PATH,
                    httponly=True,
                    samesite="strict",
                )
            return response

        return handle_page


def explain(request: Request, error: Exception) -> Response:
    """Answer with a page that says what happened and what to do next."""
    status, what, hint = 422, "", ""
    if isinstance(error, SecuretagError):
        status = error.status
        if status not in {404, 503}:
            what, hint = str(error), error.hint if status in {403, 409, 422} else ""
        if isinstance(error, UnavailableError):
            log.warning("%s %s: %s", request.method, request.url.path, error)
    elif isinstance(error, HTTPException):
        status = error.status_code
    title = f"error_{status}" if status in {403, 404, 409, 422, 503} else "error_other"
    headers = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    problem = describe_problem(what, hint, choose_language(request))
    response = render(request, "error.html", status=status, title_key=title, problem=problem)
    response.headers.update(headers)
    return response


def _ask_to_sign_in(request: Request) -> Response:
    if request.headers.get("sec-fetch-site") == "cross-site" and request.method == "GET":
        # A browser withholds a SameSite=Strict cookie from a link in a mail or a chat: come again from here.
        return render(request, "again.html")
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    query = f"?{urlencode({'next': path})}" if request.method == "GET" else ""
    return RedirectResponse(f"/ui/sign-in{query}", 303)
