"""`Idempotency-Key`: a POST that a client repeats happens once.

The key counts within tenant and operation. Work and key are one transaction, so a client whose
connection broke, or that met a 503, repeats the call and gets the one answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, Response

from securetag.api.paging import json_answer
from securetag.db.repositories import idempotency
from securetag.records import JsonObject, content_id

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="Any text of your own; a repeated call with it gets the first answer again.",
    ),
]
#: Says that the answer is that of an earlier call.
REPLAYED_HEADER = "Idempotency-Replayed"

Work = Callable[[], Awaitable[BaseModel]]


async def once(
    session: AsyncSession,
    tenant_id: UUID,
    operation: str,
    key: str | None,
    request: BaseModel | JsonObject | None,
    work: Work,
    *,
    status: int = 201,
    location: Callable[[JsonObject], str] | None = None,
    secret: str | None = None,
) -> Response:
    """Do `work` and answer with `status`, unless the key did it before: then answer the same again.

    `request` is what the call means. Raises InputError where the key meant
    something else, and whatever `work` raises: then the key stays free. The field `secret` of the
    answer is never stored: a repetition finds null in it.
    """

    def headers(body: JsonObject) -> dict[str, str]:
        return {"Location": location(body)} if location is not None else {}

    if key is None:
        done = await work()
        return json_answer(done, status, headers(done.model_dump(mode="json")))
    meaning = request.model_dump(mode="json") if isinstance(request, BaseModel) else request
    stored = await idempotency.begin(
        session, tenant_id, operation=operation, key=key, request_sha256=content_id(meaning)
    )
    if stored is not None:
        again = {**headers(stored.response), REPLAYED_HEADER: "true"}
        return JSONResponse(stored.response, stored.status, again)
    done = await work()
    body = done.model_dump(mode="json")
    kept = body if secret is None else {**body, secret: None}
    await idempotency.finish(session, operation=operation, key=key, status=status, response=kept)
    return json_answer(done, status, headers(body))
