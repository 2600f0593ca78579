"""Forms that browsers send: small, urlencoded, and only from a page of the same session."""

from __future__ import annotations

from urllib.parse import parse_qs, parse_qsl

from fastapi import Request
from pydantic import ValidationError

from securetag.api.auth import check_scope
from securetag.api.errors import handle_invalid_request
from securetag.api.services import ApiServices
from securetag.api.ui.filters import Filters
from securetag.api.ui.session import COOKIE, Visitor, check_csrf
from securetag.errors import InputError, PermissionDeniedError

#: A list of findings has a field for each that is picked.
MAX_FIELDS = 2_000


async def read_form(request: Request, services: ApiServices, cookie: str) -> dict[str, str]:
    """Return the fields of a form that was rendered for this cookie; empty ones are left out.

    Of several values of a field the last one counts. Raises as `read_lists` does.
    """
    return _last_values(await read_lists(request, services, cookie))


async def read_lists(request: Request, services: ApiServices, cookie: str) -> dict[str, list[str]]:
    """Return field → its values of a form that was rendered for this cookie; empty ones are left out.

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
    fields = {name: [value.replace("\r\n", "\n") for value in values] for name, values in pairs.items()}
    check_csrf(request.cookies.get(cookie, ""), fields.pop("csrf", [""])[-1], services)
    return fields


async def read_review_form(request: Request, services: ApiServices, visitor: Visitor) -> dict[str, str]:
    """Return a form of somebody who may judge.

    Raises PermissionDeniedError for a form from elsewhere, or a key that may only read.
    """
    return take_review_form(await read_lists(request, services, COOKIE), visitor)


def take_review_form(fields: dict[str, list[str]], visitor: Visitor) -> dict[str, str]:
    """Return field → its last value. Raises PermissionDeniedError for a key that may only read."""
    check_scope(visitor.caller, "feedback")
    return _last_values(fields)


def read_back(form: dict[str, str]) -> Filters:
    """Take the list that a form was opened from out of the form. Raises InputError."""
    try:
        return Filters.model_validate(dict(parse_qsl(form.pop("back", ""))))
    except ValidationError as error:
        raise refuse(error) from error


def refuse(error: ValidationError) -> InputError:
    """Return what is wrong with the first field that is."""
    first = handle_invalid_request(error.errors(include_url=False))[0]
    return InputError(f"{first['where']}: {first['what']}", hint="Correct it and send the form again.")


def _last_values(fields: dict[str, list[str]]) -> dict[str, str]:
    return {name: values[-1] for name, values in fields.items()}
