"""Refuse a worker that speaks another version of the queue's protocol, and say which side to update."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header

from securetag.api.errors import MEDIA_TYPE, Problem
from securetag.api.schemas import refer_to
from securetag.errors import VersionError
from securetag.records import JsonObject
from securetag.system.version import package_version
from securetag.wire.queue import MIN_PROTOCOL, PROTOCOL, PROTOCOL_HEADER

#: `responses=` of the queue's router, beside those of every router.
OTHER_VERSION: dict[int | str, JsonObject] = {
    VersionError.status: {
        "description": "The worker speaks another version of the protocol",
        "content": {MEDIA_TYPE: {"schema": refer_to(Problem)}},
    }
}


async def check_protocol(
    protocol: Annotated[int, Header(alias=PROTOCOL_HEADER, ge=1, le=2**31)] = 1,
) -> None:
    """Raise VersionError unless this api speaks the worker's version.

    On every call: a task that an older worker has is left to its lease and done by another one, where a
    result that means something else would be stored.
    """
    if MIN_PROTOCOL <= protocol <= PROTOCOL:
        return
    spoken = f"{MIN_PROTOCOL}" if MIN_PROTOCOL == PROTOCOL else f"{MIN_PROTOCOL} to {PROTOCOL}"
    side = "worker" if protocol < MIN_PROTOCOL else "api"
    raise VersionError(
        f"the worker speaks version {protocol} of the queue's protocol, "
        f"this api (Securetag {package_version()}) speaks {spoken}",
        hint=f"Update the {side}: both take the same version of Securetag (docs/operations.md, Upgrading).",
    )
