"""Accept an upload: look at it before anything is kept, then bytes, task and answer at once.

Order matters. The archive is inspected in its temporary file; what is refused leaves no row and no
byte. Then the bytes go to the storage, and only then one transaction writes the rows: a task never lacks
its bytes, and a slow storage holds no connection to the database. A database that dies in between leaves
bytes under the key of their own digest, which the client's repetition finds again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TypeVar
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import from_json
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from securetag.api.codeaudit.schemas import UploadForm
from securetag.api.errors import handle_invalid_request
from securetag.api.idempotency import once
from securetag.api.projects import repository as projects
from securetag.api.receive import Incoming
from securetag.api.services import ApiServices
from securetag.db import queue
from securetag.db.repositories import artifacts, idempotency, quotas
from securetag.db.repositories.keys import Principal
from securetag.errors import InputError
from securetag.records import JsonObject
from securetag.scanning.exclusion import Exclusion
from securetag.scanning.unpack import inspect
from securetag.wire.api import UploadAccepted
from securetag.wire.queue import TaskKind

log = logging.getLogger(__name__)

#: Words of requests → `task.priority`.
PRIORITIES = {"low": -1, "normal": 0, "high": 1}
OPERATION = "POST /codeaudit/upload"

Form = TypeVar("Form", bound=UploadForm)


def read_form(texts: dict[str, str], form: type[Form]) -> Form:
    """The form's text parts, checked. Raises InputError that names the part."""
    try:
        params = from_json(texts.get("params") or "{}")
    except ValueError as error:
        raise InputError(
            "the part `params` is not JSON", hint='Send a JSON object, for example {"lang": "es"}.'
        ) from error
    try:
        read = form.model_validate({**{k: v for k, v in texts.items() if k != "params"}, "params": params})
    except ValidationError as error:
        first = handle_invalid_request(error.errors())[0]
        accepted_fields = ", ".join(form.params_type.model_fields)
        raise InputError(
            f"{first['where']}: {first['what']}",
            hint=f"`project` is a name of 1 to 200 characters; `params` knows {accepted_fields}.",
        ) from error
    # A pattern that can't be read is refused here, before anything is kept.
    Exclusion(read.params.exclude)
    return read


async def accept(
    services: ApiServices,
    caller: Principal,
    incoming: Incoming,
    filename: str,
    form: UploadForm,
    key: str | None,
) -> Response:
    """202 with the task's id. Raises ArchiveError, InputError, DatabaseUnavailableError."""
    summary = await asyncio.to_thread(inspect, incoming.path, services.archive_limits)
    params = form.params.model_dump(mode="json", exclude_defaults=True)
    await store_upload(services, caller, OPERATION, key, incoming)
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> UploadAccepted:
            project_id, task_id = await enqueue_upload(
                services, session, caller, "codeaudit", incoming, filename, form.project, params
            )
            return UploadAccepted(
                task_id=task_id,
                project_id=project_id,
                project=form.project,
                sha256=incoming.sha256,
                size=incoming.size,
                files=summary.files,
            )

        # The file's name is the client's business: the same bytes from another folder are the same.
        accepted = await once(
            session,
            caller.tenant_id,
            OPERATION,
            key,
            {"project": form.project, "params": params, "sha256": incoming.sha256},
            work,
            status=202,
            location=lambda body: f"/scans/{body['task_id']}",
        )
    services.metrics.uploads.inc(incoming.size)
    return accepted


async def store_upload(
    services: ApiServices, caller: Principal, operation: str, key: str | None, incoming: Incoming
) -> None:
    """Store the bytes of a call that is going to be accepted, outside of any transaction.

    Not those of one that was answered before. Raises QuotaError before anything is stored.
    """
    async with services.tenant(caller.tenant_id) as session:
        if await idempotency.is_used(session, operation=operation, key=key):
            return
        await quotas.check_scan(session, services.quotas, incoming.size)
    storage_key = artifacts.upload_key(caller.tenant_id, incoming.sha256)
    await asyncio.to_thread(_keep, services, storage_key, incoming)


async def enqueue_upload(
    services: ApiServices,
    session: AsyncSession,
    caller: Principal,
    kind: TaskKind,
    incoming: Incoming,
    filename: str,
    project: str,
    params: JsonObject,
) -> tuple[UUID, UUID]:
    """Queue a task with its archive, whose bytes are stored; return the ids of its project and of itself."""
    project_id = await projects.ensure_project(session, caller.tenant_id, project)
    if await projects.allows_ignore_file(session, project_id):
        # Not a parameter of the request: whoever may upload can't decide what an upload hides.
        params = {**params, "allow_ignore_file": True}
    await quotas.charge_scan(session, caller.tenant_id, services.quotas, incoming.size)
    task_id = await queue.enqueue(
        session,
        tenant_id=caller.tenant_id,
        project_id=project_id,
        kind=kind,
        params=params,
        priority=PRIORITIES[params.get("priority", "normal")],
    )
    await artifacts.add_upload(
        session,
        caller.tenant_id,
        project_id=project_id,
        task_id=task_id,
        filename=filename,
        sha256=incoming.sha256,
        size=incoming.size,
    )
    log.info("task %s of tenant %s: %s of %d bytes", task_id, caller.tenant_id, kind, incoming.size)
    return project_id, task_id


def _keep(services: ApiServices, storage_key: str, incoming: Incoming) -> None:
    # Written even where it is stored: the sweeper leaves young files alone, and the row is still to come.
    services.storage.put(storage_key, incoming.chunks(), limit=incoming.limit)
