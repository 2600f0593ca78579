"""Who calls, by `X-API-Key`, and whether the key has the scope that the call needs.

The scopes are described in `securetag.db.repositories.keys`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import APIKeyHeader

from securetag.api.services import Services
from securetag.db.repositories.keys import Principal, authenticate, touch
from securetag.errors import AuthenticationError, PermissionDeniedError

HEADER = "X-API-Key"
_header = APIKeyHeader(name=HEADER, auto_error=False, description="`stk_…`, from `securetag key create`.")


async def principal(services: Services, key: Annotated[str | None, Security(_header)]) -> Principal:
    """Raises AuthenticationError and DatabaseUnavailableError."""
    if not key:
        raise AuthenticationError(
            "the call carries no API key", hint=f"Send a key of yours in the header {HEADER}."
        )
    await services.check_revision()
    caller = await authenticate(services.engine, key, services.pepper)
    if services.use_is_news(caller.key_id):
        async with services.tenant(caller.tenant_id) as session:
            await touch(session, caller.key_id)
    return caller


def require(scope: str) -> Callable[[Principal], Awaitable[Principal]]:
    """A dependency that lets only keys with this scope through. Raises PermissionDeniedError."""

    async def allowed(caller: Annotated[Principal, Depends(principal)]) -> Principal:
        if not caller.may(scope):
            raise PermissionDeniedError(
                f"this key has no scope `{scope}`",
                hint=f"Use a key with `{scope}`, or have an administrator make one (POST /keys).",
            )
        return caller

    return allowed


async def _operator(caller: Annotated[Principal, Depends(principal)]) -> Principal:
    if not caller.operator:
        raise PermissionDeniedError(
            "only an operator's key may do this", hint="An operator's key has both `admin` and `worker`."
        )
    return caller


Reader = Annotated[Principal, Depends(require("read"))]
Scanner = Annotated[Principal, Depends(require("scan"))]
Reviewer = Annotated[Principal, Depends(require("feedback"))]
Admin = Annotated[Principal, Depends(require("admin"))]
Operator = Annotated[Principal, Depends(_operator)]
