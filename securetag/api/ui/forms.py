"""Forms that browsers send: small, urlencoded, and only from a page of the same session."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import Request

from securetag.api.services import ApiServices
from securetag.api.ui.session import check_csrf
from securetag.errors import InputError, PermissionDeniedError

MAX_FIELDS = 50


async def read_form(request: Request, services: ApiServices, cookie: str) -> dict[str, str]:
    """Return the fields of a form that was rendered for this cookie; empty ones are left out.

    Raises PermissionDeniedError for a form from elsewhere, InputError for one that can't be read.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise PermissionDeniedError("the form is from another site", hint="Open the page itself.")
    try:
        text = (await request.body()).decode("ascii")
        pairs = parse_qs(text, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise InputError("the form can't be read", hint="Reload the page and try again.") from error
    # A browser ends the lines of a text area with CR LF.
    fields = {name: values[-1].replace("\r\n", "\n") for name, values in pairs.items()}
    check_csrf(request.cookies.get(cookie, ""), fields.pop("csrf", ""), services)
    return fields
