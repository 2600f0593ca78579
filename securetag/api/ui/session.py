"""Sessions of the page: a signed cookie that names a key, never the key itself.

The cookie opens nothing by itself: every request looks whether the key still holds, so a revoked key ends
its sessions on all replicas at once. A form carries a token that is derived from the cookie (CSRF).
"""

from __future__ import annotations

import secrets
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response
from structlog.contextvars import bind_contextvars

from securetag.api import signing
from securetag.api.services import ApiServices, Services
from securetag.db.repositories.keys import Principal, find_valid_key
from securetag.errors import AuthenticationError, PermissionDeniedError

COOKIE = "securetag_session"
#: Of a browser that has not signed in, so that the form to sign in has a token too.
VISIT_COOKIE = "securetag_visit"
#: Has the person switched blind mode on?
BLIND_COOKIE = "securetag_blind"
COOKIE_PATH = "/ui"
#: A working day.
SESSION_SECONDS = 12 * 3600
_SESSION, _CSRF = "securetag-ui-session-v1", "securetag-ui-csrf-v1"


class Session(msgspec.Struct, frozen=True):
    """What the cookie says."""

    tenant_id: UUID
    key_id: UUID
    #: Seconds since the epoch.
    expires_at: int
    nonce: str


@dataclass(frozen=True)
class Visitor:
    """A person who has signed in."""

    caller: Principal
    #: To be sent with every form.
    csrf: str
    #: Hide what others say of a finding until this person has answered.
    is_blind: bool = False

    @property
    def may_judge(self) -> bool:
        return self.caller.may("feedback")

    @property
    def may_scan(self) -> bool:
        return self.caller.may("scan")

    @property
    def role(self) -> str:
        """`admin`, `analyst` or `viewer`, by the key's scopes."""
        if self.caller.may("admin"):
            return "admin"
        return "analyst" if self.may_judge else "viewer"


@dataclass(frozen=True, kw_only=True)
class ActingVisitor(Visitor):
    """A person who has signed in, within one transaction of their tenant."""

    #: Committed when the page is ready and before it is sent; rolled back on any error.
    session: AsyncSession


class SignInError(AuthenticationError):
    """The page needs somebody who has signed in."""


def start_session(response: Response, request: Request, services: ApiServices, caller: Principal) -> None:
    """Set the cookie of a new session of this caller."""
    session = Session(
        caller.tenant_id, caller.key_id, int(time.time()) + SESSION_SECONDS, secrets.token_urlsafe(16)
    )
    token = signing.sign(_SESSION, session, services.peppers.current)
    _set_cookie(response, request, services, COOKIE, token)
    response.delete_cookie(VISIT_COOKIE, path=COOKIE_PATH)


def end_session(response: Response) -> None:
    """Take the cookies away."""
    response.delete_cookie(COOKIE, path=COOKIE_PATH)
    response.delete_cookie(BLIND_COOKIE, path=COOKIE_PATH)


def set_blind(response: Response, request: Request, services: ApiServices, *, is_on: bool) -> None:
    """Switch blind mode on or off for this session."""
    _set_cookie(response, request, services, BLIND_COOKIE, "on" if is_on else "off")


def start_visit(response: Response, request: Request, services: ApiServices) -> str:
    """Return the token of the form to sign in, bound to a cookie of this browser."""
    visit = request.cookies.get(VISIT_COOKIE, "")
    if not 20 <= len(visit) <= 100:
        visit = secrets.token_urlsafe(24)
        _set_cookie(response, request, services, VISIT_COOKIE, visit)
    return csrf_token(visit, services)


def csrf_token(cookie: str, services: ApiServices) -> str:
    """The token that forms carry beside this cookie."""
    return signing.compute_mac(_CSRF, cookie, services.peppers.current)


def check_csrf(cookie: str, token: str, services: ApiServices) -> None:
    """Raise PermissionDeniedError unless the form was rendered for this cookie."""
    if not cookie or not signing.is_signed(_CSRF, cookie, token, _signing_keys(services)):
        raise PermissionDeniedError("the form is from another session", hint="Reload the page and try again.")


async def read_visitor(request: Request, services: Services) -> Visitor:
    """Return who has signed in. Raises SignInError and DatabaseUnavailableError."""
    cookie, session = await _check_cookie(request, services)
    async with services.tenant(session.tenant_id) as connection:
        caller = await _find_caller(connection, session)
    return Visitor(caller, csrf_token(cookie, services), is_blind=_is_blind(request))


async def begin(request: Request, services: Services) -> ActingVisitor:
    """Return who has signed in, with the transaction in which their request is answered.

    One transaction for the key and the work: a second one costs as much as several queries. The body is read
    before it begins, since a slow client must not hold a connection. Raises SignInError and
    DatabaseUnavailableError.
    """
    cookie, session = await _check_cookie(request, services)
    await request.body()
    exits: AsyncExitStack = request.state.exits
    connection = await exits.enter_async_context(services.tenant(session.tenant_id))
    caller = await _find_caller(connection, session)
    csrf = csrf_token(cookie, services)
    return ActingVisitor(caller, csrf, is_blind=_is_blind(request), session=connection)


#: Who looks; for what opens transactions of its own.
SignedIn = Annotated[Visitor, Depends(read_visitor)]
#: Who looks, and the transaction of this request.
Acting = Annotated[ActingVisitor, Depends(begin)]


async def _check_cookie(request: Request, services: ApiServices) -> tuple[str, Session]:
    cookie = request.cookies.get(COOKIE, "")
    session = _read_session(cookie, services)
    if session is None or session.expires_at < time.time():
        raise SignInError("nobody has signed in")
    await services.check_revision()
    return cookie, session


async def _find_caller(connection: AsyncSession, session: Session) -> Principal:
    key = await find_valid_key(connection, session.key_id)
    if key is None:
        raise SignInError("the key has ended")
    bind_contextvars(tenant=str(session.tenant_id))
    return Principal(session.tenant_id, key.id, key.name, frozenset(key.scopes))


def _is_blind(request: Request) -> bool:
    return request.cookies.get(BLIND_COOKIE) == "on"


def _read_session(cookie: str, services: ApiServices) -> Session | None:
    try:
        return signing.read_token(_SESSION, cookie, Session, _signing_keys(services))
    except signing.TokenError:
        return None


def _signing_keys(services: ApiServices) -> list[str]:
    peppers = services.peppers
    previous = peppers.previous if peppers.has_valid_previous else None
    return [peppers.current, *([previous] if previous is not None else [])]


def _set_cookie(response: Response, request: Request, services: ApiServices, name: str, value: str) -> None:
    response.set_cookie(
        name,
        value,
        max_age=SESSION_SECONDS,
        path=COOKIE_PATH,
        httponly=True,
        samesite="strict",
        # Behind a proxy, TLS ends there and the request itself arrives as plain HTTP.
        secure=services.settings.api.behind_proxy or request.url.scheme == "https",
    )
