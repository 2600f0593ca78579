"""Erasure as JSON."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import model_validator

from securetag.api.paging import Answer, Body, Time


class ErasureBody(Body):
    """What is to be forgotten: one finding, one project, or, with neither, all that this tenant has."""

    finding_id: UUID | None = None
    project_id: UUID | None = None

    @model_validator(mode="after")
    def _one_subject(self) -> ErasureBody:
        if self.finding_id is not None and self.project_id is not None:
            raise ValueError("name a finding or a project, not both")
        return self


class ErasureAnswer(Answer):
    """A demand. It holds for every harvest and every build from `requested_at` on.

    `detail` is the receipt, once the operator's pipeline has listed and marked what held the rows.
    """

    id: UUID
    finding_id: UUID | None
    project_id: UUID | None
    requested_by: str
    requested_at: Time
    completed_at: Time | None
    detail: dict[str, Any]
