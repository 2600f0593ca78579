"""Projects as JSON."""

from __future__ import annotations

from uuid import UUID

from securetag.api.paging import Answer, Body, Name, Time


class ProjectBody(Body):
    """A new project."""

    name: Name


class ProjectAnswer(Answer):
    """A project."""

    id: UUID
    name: str
    created_at: Time
