"""`/ui/sign-in` and `/ui/sign-out`: an API key for a session."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from securetag.api.auth import read_principal
from securetag.api.services import Services
from securetag.api.ui.forms import read_form
from securetag.api.ui.rendering import render
from securetag.api.ui.route import PageRoute
from securetag.api.ui.session import COOKIE, VISIT_COOKIE, end_session, start_session, start_visit
from securetag.errors import AuthenticationError

router = APIRouter(prefix="/ui", route_class=PageRoute)


@router.get("/sign-in")
async def show_sign_in(request: Request, services: Services, next: str = "/ui/") -> Response:  # noqa: A002
    """The form that takes a key."""
    response = Response()
    token = start_visit(response, request, services)
    page = render(request, "sign_in.html", csrf=token, target=local_path(next), fault="")
    page.raw_headers.extend(header for header in response.raw_headers if header[0] == b"set-cookie")
    return page


@router.post("/sign-in")
async def sign_in(request: Request, services: Services) -> Response:
    """Begin a session with the key, which is not kept."""
    form = await read_form(request, services, VISIT_COOKIE)
    target = local_path(form.get("next", ""))
    fault = "sign_in_unknown"
    try:
        caller = await read_principal(services, form.get("key", "").strip())
    except AuthenticationError:
        caller = None
    if caller is not None and not caller.may("read"):
        caller, fault = None, "sign_in_no_read"
    if caller is None:
        token = start_visit(Response(), request, services)
        return render(request, "sign_in.html", status=401, csrf=token, target=target, fault=fault)
    response = RedirectResponse(target, 303)
    start_session(response, request, services, caller)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, services: Services) -> Response:
    """End the session."""
    await read_form(request, services, COOKIE)
    response = RedirectResponse("/ui/sign-in", 303)
    end_session(response)
    return response


def local_path(target: str) -> str:
    """Return an address within the page; the beginning for any other, so that no link leads elsewhere."""
    allowed = target.startswith("/ui/") and target.isprintable() and "\\" not in target
    return target if allowed else "/ui/"
