"""Scans of a commit that is fetched from a git repository."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from securetag.wire.api import Commit, ScanParams
from securetag.wire.base import Answer, Name

GitUrl = Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"^[^\x00-\x20\x7f]+$")]


class GitScanBody(ScanParams):
    """A scan of one commit of a repository that everybody may read."""

    #: Of https, as `git fetch` takes it.
    git_url: GitUrl
    commit: Commit
    #: Made where it doesn't exist; by default the last part of the URL.
    project: Name | None = None


class GitScanAccepted(Answer):
    """The scan waits in the queue."""

    task_id: UUID
    project_id: UUID
    project: str
    git_url: str
    commit: str
    state: str = "queued"
