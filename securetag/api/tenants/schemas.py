"""Tenants as JSON."""

from __future__ import annotations

from uuid import UUID

from securetag.api.paging import Answer, Body, Name, Time


class TenantBody(Body):
    """A new tenant."""

    name: Name


class TenantAnswer(Answer):
    """A tenant."""

    id: UUID
    name: str
    created_at: Time
