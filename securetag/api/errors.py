"""Every error leaves as an RFC 9457 problem document (https://www.rfc-editor.org/rfc/rfc9457).

Business errors carry status, slug and hint themselves (`securetag.errors`), so this module maps
only what the framework raises: validation, routing, malformed bodies, and the unforeseen. What a
client sent is never echoed back: it may hold a secret, and it is the client's to know.
"""

from __future__ import annotations

import errno
import json
import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic_core import ErrorDetails
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Scope

from securetag.api.nouns import NOUNS
from securetag.api.schemas import refer_to
from securetag.db.engine import AWAY_HINT
from securetag.errors import PROBLEM_TYPE, LimitError, SecuretagError, UnavailableError
from securetag.records import JsonObject

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
#: Seconds after which a client may repeat a call that met a service that is away.
RETRY_AFTER_S = 1

#: What to do next, where the framework raised the error and knows no hint.
_HINTS = {
    404: "Check the path; the api's own list of paths is at /docs.",
    405: "The `Allow` header names the methods that this path takes.",
    413: "Send less, or have the operator raise the limit (SECURETAG_API__MAX_UPLOAD and its like).",
    422: "Correct the fields that `errors` names and send it again.",
    500: "Nothing that you can correct: tell the operator the request id.",
}
#: Hints that speak to the command line → what a client of the api is told instead.
_CLIENT_HINTS = {AWAY_HINT: "Repeat the call with the same Idempotency-Key."}


class ProblemField(BaseModel):
    """What is wrong with one field of a request."""

    where: str
    what: str


class Problem(BaseModel):
    """The body of every answer of 400 and above, as the OpenAPI document shows it."""

    #: `urn:securetag:problem:<slug>`; stable, so clients may match on it.
    type: str
    title: str
    status: int
    #: What happened, in one sentence.
    detail: str
    #: What to do next; may be empty.
    hint: str = ""
    #: Path of the call.
    instance: str = ""
    #: Of the call, also in the X-Request-ID header and in the log.
    request_id: str = ""
    #: Where a request doesn't have the right form.
    errors: list[ProblemField] | None = None


def describe_error(title: str) -> JsonObject:
    """Return what OpenAPI says of an answer that is a problem document."""
    return {"description": title, "content": {MEDIA_TYPE: {"schema": refer_to(Problem)}}}


_TITLES = {
    401: "No API key, or one that isn't known",
    403: "The key lacks a scope",
    404: "No such thing, or not yours",
    409: "The state of the thing forbids it",
    413: "Too large",
    422: "The request can't be accepted as it is",
    429: "Too many requests",
    503: "A service is away; the same call may work later",
}

#: `responses=` of every router: what any call may answer.
RESPONSES: dict[int | str, JsonObject] = {status: describe_error(title) for status, title in _TITLES.items()}


def problem_response(
    status: int,
    slug: str,
    detail: str,
    *,
    hint: str = "",
    instance: str = "",
    request_id: str = "",
    errors: Sequence[Mapping[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document; 401 and 503 get the headers that HTTP asks of them."""
    body: JsonObject = {
        "type": PROBLEM_TYPE + slug,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "hint": hint,
        "instance": instance,
        "request_id": request_id,
    }
    if errors is not None:
        body["errors"] = list(errors)
    extra = dict(headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        extra.setdefault("WWW-Authenticate", 'ApiKey header="X-API-Key"')
    if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        extra.setdefault("Retry-After", str(RETRY_AFTER_S))
    # Hostile text (a lone surrogate in a file's name) must not turn the answer into a 500.
    content = json.dumps(body, ensure_ascii=True).encode("ascii")
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=extra)


def request_id_of(request: Request) -> str:
    return str(request.scope.get("securetag.request_id", ""))


def _business(request: Request, error: Exception) -> Response:
    assert isinstance(error, SecuretagError)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        level = logging.WARNING if isinstance(error, UnavailableError) else logging.ERROR
        log.log(level, "%s %s: %s", request.method, request.url.path, error)
    return problem_response(
        error.status,
        error.slug,
        str(error),
        hint=_CLIENT_HINTS.get(error.hint, error.hint),
        instance=request.url.path,
        request_id=request_id_of(request),
        headers={"Retry-After": str(math.ceil(error.retry_after_s))} if error.retry_after_s else None,
    )


def _unstorable(request: Request, error: Exception) -> Response:
    """A value that passed every check and fits no column: a number of 70 bits, say."""
    log.info("%s %s: %s", request.method, request.url.path, type(error).__name__)
    return problem_response(
        422,
        "invalid-request",
        "a value can't be stored",
        hint="Numbers are 64-bit; text holds no NUL.",
        instance=request.url.path,
        request_id=request_id_of(request),
    )


def _no_space(request: Request, error: Exception) -> Response:
    """A disk or a quota of the file system is full; any other error of the system is unexpected."""
    if getattr(error, "errno", None) not in {errno.ENOSPC, errno.EDQUOT}:
        return handle_unexpected_error(request.scope, error)
    log.error("%s %s: no space is left", request.method, request.url.path)
    return problem_response(
        HTTPStatus.INSUFFICIENT_STORAGE,
        "insufficient-storage",
        "the api has no space left for this",
        hint="Tell the operator, and repeat the call with the same Idempotency-Key later.",
        instance=request.url.path,
        request_id=request_id_of(request),
    )


def _list_methods(request: Request) -> str:
    """Return the methods of every route that has this path; the framework names those of one."""
    methods: set[str] = set()
    for route in (route for noun in NOUNS.names() for route in NOUNS.get(noun).routes):
        if isinstance(route, APIRoute) and route.path_regex.fullmatch(request.url.path):
            methods |= route.methods or set()
    return ", ".join(sorted(methods))


def _hung_up(request: Request, _: Exception) -> Response:
    """The client went away in the middle of its body; nobody reads this."""
    log.info("%s %s: the client hung up", request.method, request.url.path)
    return problem_response(422, "invalid-request", "the body is cut off", instance=request.url.path)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # A body that is no UTF-8, or nested too deep for a parser, is as unacceptable as any other.
    unreadable = error.status_code == HTTPStatus.BAD_REQUEST
    status = HTTPStatus.UNPROCESSABLE_ENTITY if unreadable else HTTPStatus(error.status_code)
    slug = status.phrase.lower().replace(" ", "-")
    detail = str(error.detail)
    if status is HTTPStatus.NOT_FOUND:
        detail = "there is no such path"
    elif status is HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"this path doesn't take {request.method}"
    elif status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        slug = LimitError.slug
    elif unreadable:
        slug, detail = "invalid-request", "the body can't be read"
    headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED and (methods := _list_methods(request)):
        headers["Allow"] = methods
    return problem_response(
        status,
        slug,
        detail,
        hint=_HINTS.get(status, ""),
        instance=request.url.path,
        request_id=request_id_of(request),
        headers=headers,
    )


def handle_invalid_request(errors: Sequence[ErrorDetails]) -> list[dict[str, str]]:
    """Pydantic's errors as `{where, what}`, without the values that the client sent.

    At most 20: a hostile body may be wrong in a million places.
    """
    problems = []
    for error in errors[:20]:
        where = ".".join(str(part) for part in error["loc"])[:200]
        problems.append({"where": where or "body", "what": str(error["msg"])[:300]})
    return problems


def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = handle_invalid_request(error.errors())
    first = errors[0] if errors else {"where": "body", "what": "malformed"}
    return problem_response(
        422,
        "invalid-request",
        f"{first['where']}: {first['what']}",
        hint=_HINTS[422],
        instance=request.url.path,
        request_id=request_id_of(request),
        errors=errors,
    )


def handle_unexpected_error(scope: Scope, error: Exception) -> Response:
    """The answer to an error that nobody meant: its words stay in the log."""
    identity = str(scope.get("securetag.request_id", ""))
    log.error("%s %s failed (%s)", scope["method"], scope["path"], identity, exc_info=error)
    return problem_response(
        500,
        "internal",
        "the api failed on this call",
        hint=_HINTS[500],
        instance=scope["path"],
        request_id=identity,
    )


def add_error_handlers(app: FastAPI) -> None:
    """Register the handlers; `middleware.Observe` answers what none of them knows."""
    app.add_exception_handler(SecuretagError, _business)
    app.add_exception_handler(ClientDisconnect, _hung_up)
    app.add_exception_handler(OSError, _no_space)
    app.add_exception_handler(DataError, _unstorable)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
