"""A tenant that has something of everything that the api gives an id: for generated calls and for probes."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from uuid import UUID, uuid4

from api_in_process import Api, Tenant
from rows import make_finding
from stored_scans import store_scan
from uuid_utils.compat import uuid7

from securetag.api.lease import sign
from securetag.api.projects import repository as projects
from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.db.models import WebhookDelivery
from securetag.settings import LOCAL_PEPPER

#: An archive that is accepted.
ARCHIVE = io.BytesIO()
with zipfile.ZipFile(ARCHIVE, "w") as bundle:
    bundle.writestr("app.py", "import os\nos.system(input())\n")


@dataclass
class OwnedRows:
    """A tenant, its key of all scopes, and the ids of its rows by the names of the api's parameters."""

    tenant: Tenant
    ids: dict[str, str]
    #: Task with a lease that holds, and the lease's token.
    leased_task_id: str
    lease_token: str

    @property
    def key(self) -> str:
        return self.tenant.key


async def make_owned_rows(api: Api) -> OwnedRows:
    """Return a new tenant with a row of each kind that the api gives an id, and a lease."""
    tenant = await api.tenant()
    client = tenant.client
    task_id = await store_scan(api, tenant, make_finding("a"), make_finding("b", path="app/other.py"))
    listed, other = (await client.get("/findings")).raise_for_status().json()["items"]
    finding_id, occurrence_id = listed["id"], listed["occurrence"]["id"]

    async def create(path: str, body: dict[str, object]) -> str:
        answer = (await client.post(path, json=body)).raise_for_status().json()
        return str(answer.get("id") or answer["key"]["id"])

    judged = {"occurrence_id": occurrence_id, "verdict": "true_positive", "saw_model": False}
    feedback = await client.post(f"/findings/{finding_id}/feedback", json=judged)
    bulk = await client.post(
        "/findings/feedback",
        json={
            "verdict": "false_positive",
            "saw_model": False,
            "findings": [{"finding_id": other["id"], "occurrence_id": other["occurrence"]["id"]}],
        },
    )
    await create(f"/findings/{finding_id}/notes", {"text": "looked at"})
    webhook_id = await create("/webhooks", {"url": "https://ci.example.org/", "events": ["scan.failed"]})
    # Nothing is sent while somebody looks at the rows.
    (await client.patch(f"/webhooks/{webhook_id}", json={"active": False})).raise_for_status()
    delivery = WebhookDelivery(
        id=uuid7(), tenant_id=tenant.id, webhook_id=UUID(webhook_id), event="scan.failed", payload={}
    )
    async with tenant_transaction(api.engine, tenant.id) as session:
        session.add(delivery)
    ids = {
        "task_id": str(task_id),
        "finding_id": finding_id,
        "occurrence_id": occurrence_id,
        "feedback_id": feedback.raise_for_status().json()["id"],
        "bulk_id": bulk.raise_for_status().json()["bulk_id"],
        "project_id": listed["project_id"],
        "key_id": await create("/keys", {"name": "spare", "scopes": ["read"]}),
        "suppression_id": await create(
            "/suppressions", {"finding_id": finding_id, "occurrence_id": occurrence_id, "reason": "accepted"}
        ),
        "target_id": await create("/targets", {"url": "https://example.org/"}),
        "request_id": await create("/erasure", {"finding_id": other["id"]}),
        "webhook_id": webhook_id,
        "delivery_id": str(delivery.id),
        "tenant_id": str(tenant.id),
    }
    owned = OwnedRows(tenant, ids, "", "")
    await renew_lease(api, owned)
    return owned


async def renew_lease(api: Api, owned: OwnedRows) -> None:
    """Give the tenant another task that runs."""
    async with tenant_transaction(api.engine, owned.tenant.id) as session:
        project_id = await projects.ensure_project(session, owned.tenant.id, f"leased {uuid4()}")
        task_id: UUID = await queue.enqueue(
            session, tenant_id=owned.tenant.id, project_id=project_id, kind="codeaudit"
        )
    while (claim := await queue.claim(api.engine, "w", ["codeaudit"], lease_s=3600)) is not None:
        if claim.lease.task_id == task_id:
            break
    assert claim is not None
    owned.leased_task_id, owned.lease_token = str(task_id), sign(claim.lease, LOCAL_PEPPER)
