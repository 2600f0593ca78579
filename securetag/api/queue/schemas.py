"""What the queue answers beside the types of `securetag.wire.queue`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Path

from securetag.wire.queue import LEASE_HEADER, SHA256_HEADER

LeaseToken = Annotated[str | None, Header(alias=LEASE_HEADER, description="`lease_token` of the claim.")]
ContentSha256 = Annotated[
    str, Header(alias=SHA256_HEADER, pattern=r"^[0-9a-f]{64}$", description="Of the body, in hex.")
]
#: Fits a storage key, and can be no `.` or `..`.
ArtifactName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
