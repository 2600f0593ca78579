"""Follow a scan: its state whenever that has changed, until it has ended."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID

from securetag.api.scans import repository as scans
from securetag.api.scans.service import describe_scan
from securetag.api.services import ApiServices
from securetag.api.streams import SIGN_OF_LIFE, format_event
from securetag.db.models import Artifact
from securetag.db.repositories.keys import Principal, find_valid_key
from securetag.db.states import TERMINAL
from securetag.errors import DatabaseUnavailableError, NotFoundError
from securetag.wire.api import ScanDetail

log = logging.getLogger(__name__)

#: Seconds between two looks. A worker reports its stage with each heartbeat, every few seconds.
POLL_S = 1.0
#: Looks without a change after which a sign of life is sent.
QUIET_LOOKS = 15


async def follow_scan(
    services: ApiServices,
    caller: Principal,
    task_id: UUID,
    show: Callable[[ScanDetail, Sequence[Artifact]], str],
) -> AsyncIterator[bytes]:
    """Yield an event `scan` for each change, and `end` after the last.

    It ends without `end` where the caller's key ends or the process does: the client connects again and is
    told. A database that is away is waited for.
    """
    shown: tuple[object, ...] | None = None
    quiet = 0
    while True:
        scan = None
        try:
            async with services.tenant(caller.tenant_id) as session:
                if await find_valid_key(session, caller.key_id) is None:
                    return
                progress = await scans.read_progress(session, task_id)
                if progress != shown:
                    scan = await describe_scan(session, task_id)
                    artifacts = await scans.list_artifacts(session, task_id)
        except DatabaseUnavailableError as error:
            log.info("a followed scan can't be looked at: %s", error)
        except NotFoundError:
            return
        quiet = 0 if scan is not None else quiet + 1
        if scan is not None:
            shown = progress
            yield format_event("scan", show(scan, artifacts))
            if scan.state in TERMINAL:
                yield format_event("end", "")
                return
        elif quiet % QUIET_LOOKS == 0:
            yield SIGN_OF_LIFE
        if not await services.streams.pause(POLL_S):
            return
