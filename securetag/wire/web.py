"""Requests and answers about scans of web applications and the targets that a tenant may scan."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from securetag.wire.api import ScanParams
from securetag.wire.base import Answer, Body, Name, Time

Url = Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"^[^\x00-\x20\x7f]+$")]


class TargetBody(Body):
    """A web application that is to be scanned. Of the URL scheme, host and port count."""

    url: Url


class ProofAnswer(Answer):
    """What the owner publishes, in one of two places."""

    #: Name of a TXT record; null where the host is an address.
    dns_name: str | None
    file_url: str
    #: The record's text, or a line of the file.
    text: str


class TargetAnswer(Answer):
    """A web application of the tenant's."""

    id: UUID
    #: Scheme, host and port.
    origin: str
    created_by: str
    created_at: Time
    #: Whether it may be scanned now.
    verified: bool
    verified_at: Time | None
    verified_by: Literal["dns", "file"] | None
    #: When the ownership has to be proven again.
    expires_at: Time | None
    proof: ProofAnswer


class WebScanBody(ScanParams):
    """A scan of a web application, from this page on."""

    url: Url
    #: Made where it doesn't exist; by default the host's name.
    project: Name | None = None


class WebScanAccepted(Answer):
    """The scan waits in the queue."""

    task_id: UUID
    project_id: UUID
    project: str
    target_id: UUID
    url: str
    state: Literal["queued"] = "queued"
