"""Imports of other tools' results: what a request says, and what it is answered."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from securetag.wire.api import ScanParams
from securetag.wire.base import Answer


class ImportParams(ScanParams):
    """`ScanParams` of an import."""

    #: The file reports only a part of the project, such as a diff: nothing is fixed because it isn't in it.
    partial: bool = False


class ImportAccepted(Answer):
    """The results of another tool wait in the queue."""

    task_id: UUID
    project_id: UUID
    project: str
    state: Literal["queued"] = "queued"
    #: Of the SARIF file.
    sha256: str
    size: int
    #: Files of the code that came with it; 0 where none did.
    files: int
    #: Results that name a place.
    results: int
    #: Why results are left out → how many. Those outside the code that came are counted by the worker.
    left_out: dict[str, int]
    #: Tool → version.
    tools: dict[str, str]
