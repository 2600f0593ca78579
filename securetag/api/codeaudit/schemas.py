"""What an upload may say besides its bytes, and what it is answered."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field

from securetag.wire.api import ScanParams
from securetag.wire.base import Body, Name

ProjectFilter = Annotated[
    str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="Of the project of this name alone.")
]


class UploadForm(Body):
    """The form's text parts."""

    project: Name
    params: ScanParams = Field(default_factory=ScanParams)
