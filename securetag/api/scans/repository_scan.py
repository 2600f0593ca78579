"""Accept a scan of a commit: a worker fetches it, from an address that the installation allows."""

from __future__ import annotations

import logging
from urllib.parse import unquote, urlsplit

from starlette.responses import Response

from securetag.api.codeaudit.service import PRIORITIES
from securetag.api.idempotency import once
from securetag.api.projects import repository as projects
from securetag.api.services import ApiServices
from securetag.db import queue
from securetag.db.repositories import quotas
from securetag.db.repositories.keys import Principal
from securetag.scanning.exclusion import Exclusion
from securetag.scanning.web.addresses import parse_endpoint
from securetag.wire.repositories import GitScanAccepted, GitScanBody

log = logging.getLogger(__name__)

OPERATION = "POST /scans/git"
#: Characters of a project's name.
MAX_NAME = 200


async def accept_git_scan(
    services: ApiServices, caller: Principal, body: GitScanBody, key: str | None
) -> Response:
    """202 with the task's id. Raises InputError, QuotaError, DatabaseUnavailableError."""
    parse_endpoint(body.git_url, services.settings.private_networks)
    # A pattern that can't be read is refused here, before anything is kept.
    Exclusion(body.exclude)
    project = body.project or name_project(body.git_url)
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> GitScanAccepted:
            project_id = await projects.ensure_project(session, caller.tenant_id, project)
            params = body.model_dump(
                mode="json", exclude_defaults=True, exclude={"project", "not_uploaded", "not_uploaded_files"}
            )
            if await projects.allows_ignore_file(session, project_id):
                params["allow_ignore_file"] = True
            await quotas.charge_scan(session, caller.tenant_id, services.quotas, 0)
            task_id = await queue.enqueue(
                session,
                tenant_id=caller.tenant_id,
                project_id=project_id,
                kind="codeaudit",
                params=params,
                priority=PRIORITIES[body.priority],
            )
            log.info("task %s of tenant %s: a commit of a repository", task_id, caller.tenant_id)
            return GitScanAccepted(
                task_id=task_id,
                project_id=project_id,
                project=project,
                git_url=body.git_url,
                commit=body.commit,
            )

        return await once(
            session,
            caller.tenant_id,
            OPERATION,
            key,
            body,
            work,
            status=202,
            location=lambda accepted: f"/scans/{accepted['task_id']}",
        )


def name_project(git_url: str) -> str:
    """Return the repository's name, as its URL ends with it."""
    path = unquote(urlsplit(git_url).path).rstrip("/").removesuffix(".git").rstrip("/")
    last = "".join(character for character in path.rpartition("/")[2] if character.isprintable()).strip()
    return last[:MAX_NAME] or urlsplit(git_url).hostname or "repository"
