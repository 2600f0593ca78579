"""What an upload may say besides its bytes, and what it is answered."""

from __future__ import annotations

from typing import Annotated, ClassVar

from fastapi import Query
from pydantic import Field

from securetag.wire.api import ScanParams
from securetag.wire.base import Body, Name
from securetag.wire.imports import ImportParams

ProjectFilter = Annotated[
    str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="Of the project of this name alone.")
]


class UploadForm(Body):
    """The form's text parts."""

    project: Name
    params: ScanParams = Field(default_factory=ScanParams)

    #: What `params` is.
    params_type: ClassVar[type[ScanParams]] = ScanParams


class ImportForm(UploadForm):
    """The form's text parts, of an import."""

    params: ImportParams = Field(default_factory=ImportParams)

    params_type: ClassVar[type[ScanParams]] = ImportParams
