"""API keys as JSON."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from securetag.api.paging import Answer, Body, Name, Time

Scope = Literal["read", "scan", "feedback", "worker", "admin"]


class KeyBody(Body):
    """A new key. It can hold no scope that the key which makes it lacks."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=5)]
    expires_at: AwareDatetime | None = None
    #: Of another tenant: only with an operator's key.
    tenant_id: UUID | None = None


class KeyAnswer(Answer):
    """A key without its secret."""

    id: UUID
    tenant_id: UUID
    name: str
    #: The public part: the key begins `stk_<prefix>_`.
    prefix: str
    scopes: list[Scope]
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None
    last_used_at: Time | None


class KeyCreated(KeyAnswer):
    """A new key, in plain text for the only time. Null where the call is a repetition."""

    key: str | None
