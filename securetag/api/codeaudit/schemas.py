"""What an upload may say besides its bytes, and what it is answered."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query
from pydantic import Field

from securetag.api.paging import Answer, Body, Name

ProjectFilter = Annotated[
    str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="Of the project of this name alone.")
]


class ScanParams(Body):
    """The form's part `params`: a JSON object, each field optional. What is given goes to the worker."""

    #: Language of messages and of the model's words.
    lang: Literal["en", "es"] | None = None


class UploadForm(Body):
    """The form's text parts."""

    project: Name
    params: ScanParams = Field(default_factory=ScanParams)


class UploadAccepted(Answer):
    """The scan waits in the queue."""

    task_id: UUID
    project_id: UUID
    project: str
    state: Literal["queued"] = "queued"
    sha256: str
    #: Bytes of the archive.
    size: int
    #: Files in it that will be scanned.
    files: int
