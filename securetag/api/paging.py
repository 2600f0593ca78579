"""Keyset pages: `?limit=&cursor=`. The cursor is the last id seen; UUIDv7 ids are in order of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.responses import Response

T = TypeVar("T", bound=BaseModel)

MAX_PAGE = 200
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Rows of one page.")]
Cursor = Annotated[UUID | None, Query(description="`next_cursor` of the page before.")]

#: RFC 3339 in UTC with `Z`, whatever zone the database session speaks.
Time = Annotated[datetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


def _no_nul(value: Any) -> Any:
    # PostgreSQL's text can't hold U+0000; a name or comment has no use for it either.
    if isinstance(value, str) and "\x00" in value:
        raise ValueError("the text holds a NUL character")
    return value


#: Text of a client that ends in a text column.
Text = Annotated[str, BeforeValidator(_no_nul)]
#: A name: one line of 1 to 200 characters.
Name = Annotated[
    str,
    BeforeValidator(lambda value: value.strip() if isinstance(value, str) else value),
    Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$"),
]


class Body(BaseModel):
    """Base of request bodies: an unknown field is an error, not a silence."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """Base of answers; read from database rows by attribute."""

    model_config = ConfigDict(from_attributes=True)


class Page(BaseModel, Generic[T]):
    """One page of a list. `next_cursor` is null on the last."""

    items: Sequence[T]
    next_cursor: UUID | None = None


def page(items: Sequence[T], limit: int, ids: Sequence[UUID]) -> Page[T]:
    """A page of at most `limit` items out of `limit + 1` rows that were asked for."""
    more = len(items) > limit
    return Page(items=items[:limit], next_cursor=ids[limit - 1] if more else None)


def answer(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON straight from the model: FastAPI's own second validation pass halves the throughput."""
    return Response(body.model_dump_json(), status, media_type="application/json", headers=headers)
