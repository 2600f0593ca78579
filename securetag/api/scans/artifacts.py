"""What the tools of a scan have written, for the tenant whose scan it is."""

from __future__ import annotations

from uuid import UUID

from starlette.responses import Response, StreamingResponse

from securetag.api.services import ApiServices
from securetag.db.repositories import artifacts
from securetag.db.repositories.keys import Principal
from securetag.errors import NotFoundError


async def send_artifact(services: ApiServices, caller: Principal, task_id: UUID, name: str) -> Response:
    """Answer with an artifact, to be saved and never shown by a browser. Raises NotFoundError."""
    async with services.tenant(caller.tenant_id) as session:
        artifact = await artifacts.get_artifact(session, task_id, name)
    try:
        content = services.storage.chunks(artifact.storage_key)
    except NotFoundError as error:
        raise NotFoundError("this artifact has been removed", hint="Scan the project again.") from error
    headers = {
        "Content-Length": str(artifact.size),
        "Content-Disposition": f'attachment; filename="securetag-{task_id}-{name}"',
    }
    return StreamingResponse(content, media_type="application/octet-stream", headers=headers)
