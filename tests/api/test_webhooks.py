"""Events are sent to a tenant's webhooks: signed, again after failures, never to an internal address."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from api_in_process import Api, Tenant
from loopback_server import LoopbackServer
from pydantic import SecretStr
from rows import make_finding
from stored_scans import store_scan

from securetag.api.sweeper import sweep_all
from securetag.api.webhooks.sender import compute_wait, send
from securetag.api.webhooks.signing import sign
from securetag.db import queue
from securetag.db.repositories import webhooks
from securetag.errors import InputError
from securetag.records import JsonObject
from securetag.scanning.web.addresses import parse_endpoint

pytestmark = pytest.mark.anyio

Verify = Callable[[dict[str, str], bytes, str], JsonObject]
EVENTS = ["scan.completed", "scan.failed", "finding.reopened"]


@dataclass
class Receiver:
    """A receiver on loopback: what it got, and what it answers."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    messages: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.messages.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(received.statuses.pop(0) if received.statuses else 204)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with LoopbackServer(Handler) as server:
        received.url = server.url
        yield received


@pytest.fixture(scope="module")
def verify() -> Verify:
    """The example of docs/webhooks.md for receivers."""
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text("utf-8")
    names: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    example: Verify = names["verify"]
    return example


async def create(api: Api, tenant: Tenant, url: str, events: list[str] = EVENTS) -> dict[str, Any]:
    answer = await tenant.client.post("/webhooks", json={"url": url, "events": events})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def send_due(api: Api) -> int:
    """Send all that is due now; returns how many attempts that took."""
    services, attempts = api.app.state.services, 0
    while claimed := await webhooks.claim_deliveries(api.engine, 16, 60):
        for delivery in claimed:
            await send(services, delivery)
            attempts += 1
    return attempts


@pytest.fixture
def api(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The api, allowed to reach loopback; its own sender finds nothing, so that each attempt is a test's."""

    async def claim_nothing(*_: object) -> list[object]:
        return []

    monkeypatch.setattr("securetag.api.webhooks.sender.claim_deliveries", claim_nothing)
    api.settings.private_networks = [ip_network("127.0.0.0/8")]
    return api


def expire_pauses(api: Api) -> None:
    api.query("UPDATE securetag.webhook_delivery SET not_before = clock_timestamp() RETURNING 1")


@pytest.mark.system
@pytest.mark.sockets
async def test_events_arrive_signed_with_both_secrets_of_a_rotation(
    api: Api, receiver: Receiver, verify: Verify
) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    made = await create(api, tenant, receiver.url + "/hook")
    await create(api, other, receiver.url + "/other")
    assert made["secret"].startswith("whsec_")
    listed = (await tenant.client.get("/webhooks")).json()["items"]
    assert [item["url"] for item in listed] == [receiver.url + "/hook"]
    assert "secret" not in listed[0]
    path = f"/webhooks/{made['id']}"
    rotated = (await tenant.client.post(f"{path}/rotate", json={"overlap_hours": 1})).json()
    assert rotated["secret"] != made["secret"]

    # Seen, gone, seen again.
    await store_scan(api, tenant, make_finding(), branch="main")
    await store_scan(api, tenant, branch="main")
    task_id = await store_scan(api, tenant, make_finding(), branch="main")
    assert await send_due(api) == 4
    events = []
    for headers, body in receiver.messages:
        events.append(verify(headers, body, made["secret"]))
        assert verify(headers, body, rotated["secret"]) == events[-1]
        late = {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 600)}
        with pytest.raises(ValueError, match="too old"):
            verify(late, body, made["secret"])
        with pytest.raises(ValueError, match="signature"):
            verify(headers, body + b" ", made["secret"])
    assert sorted(event["type"] for event in events) == [*["finding.reopened"], *["scan.completed"] * 3]
    last = [event["data"] for event in events if event["data"]["task_id"] == str(task_id)]
    scan, reopened = sorted(last, key=len, reverse=True)
    assert (scan["project"], scan["branch"], scan["findings"], scan["by_severity"]) == (
        "shop",
        "main",
        1,
        {"high": 1},
    )
    assert reopened["count"] == 1
    assert reopened["findings"][0]["severity"] == "high"
    ids = {headers["webhook-id"] for headers, _ in receiver.messages}
    deliveries = (await tenant.client.get(f"{path}/deliveries")).json()["items"]
    assert {item["id"] for item in deliveries} == ids
    assert {(item["state"], item["response_code"], item["attempts"]) for item in deliveries} == {
        ("delivered", 204, 1)
    }
    assert (await other.client.get(f"{path}/deliveries")).status_code == 404

    api.query("UPDATE securetag.webhook SET previous_until = clock_timestamp() RETURNING 1")
    again = await tenant.client.post(f"{path}/deliveries/{deliveries[0]['id']}/redeliver")
    assert (again.status_code, again.json()["state"]) == (200, "pending")
    assert (await tenant.client.post(f"{path}/deliveries/{deliveries[0]['id']}/redeliver")).status_code == 409
    assert await send_due(api) == 1
    headers, body = receiver.messages[-1]
    assert headers["webhook-id"] == deliveries[0]["id"]
    verify(headers, body, rotated["secret"])
    with pytest.raises(ValueError, match="signature"):
        verify(headers, body, made["secret"])


@pytest.mark.system
@pytest.mark.sockets
async def test_secrets_are_encrypted_and_outlive_a_rotation_of_their_key(
    api: Api, receiver: Receiver, verify: Verify
) -> None:
    tenant = await api.tenant()
    made = await create(api, tenant, receiver.url + "/sealed", ["scan.completed"])
    services = api.app.state.services

    def stored() -> str:
        ((secret,),) = api.query(f"SELECT secret FROM securetag.webhook WHERE id = '{made['id']}'")
        return str(secret)

    async def last_error() -> str:
        await store_scan(api, tenant, branch="main")
        await send_due(api)
        items = (await tenant.client.get(f"/webhooks/{made['id']}/deliveries")).json()["items"]
        return str(items[0]["error"])

    def is_signed() -> bool:
        message = receiver.messages.pop()
        return bool(verify(*message, made["secret"]))

    under_pepper = stored()
    assert made["secret"] not in under_pepper
    api.settings.webhook_key = SecretStr("a key of their own")
    assert await last_error() == ""
    assert is_signed(), "still sealed under the pepper"
    await sweep_all(services)
    under_key = stored()
    assert under_key.startswith(services.secret_box.prefix)
    assert under_key != under_pepper
    api.settings.webhook_key, api.settings.webhook_key_previous = SecretStr("new"), api.settings.webhook_key
    await sweep_all(services)
    api.settings.webhook_key_previous = None
    assert await last_error() == ""
    assert is_signed()
    # From before secrets were sealed.
    plain = f"UPDATE securetag.webhook SET secret = '{made['secret']}' WHERE id = '{made['id']}' RETURNING 1"
    api.query(plain)
    assert await last_error() == ""
    assert is_signed()
    await sweep_all(services)
    assert stored().startswith(services.secret_box.prefix)
    # A key that is lost.
    api.settings.webhook_key = SecretStr("another")
    assert "sealed under a key that isn't set" in await last_error()
    assert receiver.messages == []
    await tenant.client.delete(f"/webhooks/{made['id']}")


@pytest.mark.system
@pytest.mark.sockets
async def test_failures_are_tried_again_then_given_up_then_disable(
    api: Api, receiver: Receiver, archive: bytes
) -> None:
    tenant = await api.tenant()
    made = await create(api, tenant, receiver.url, ["scan.failed"])
    path = f"/webhooks/{made['id']}"

    async def fail_scan() -> None:
        await tenant.upload(archive)
        claim = await queue.claim(api.engine, "w", ["codeaudit"])
        assert claim is not None
        await queue.finish(api.engine, claim.lease, "failed", reason="no parser")

    await fail_scan()
    # A redirect isn't followed: it is a failure like any other.
    receiver.statuses[:] = [500, 302]
    assert await send_due(api) == 1
    (item,) = (await tenant.client.get(f"{path}/deliveries")).json()["items"]
    assert (item["state"], item["response_code"], item["attempts"]) == ("pending", 500, 1)
    assert item["error"] == "the receiver has answered 500"
    assert item["next_attempt_at"] > item["attempted_at"]
    assert await send_due(api) == 0, "the pause is kept"
    expire_pauses(api)
    assert await send_due(api) == 1
    expire_pauses(api)
    assert await send_due(api) == 1
    (item,) = (await tenant.client.get(f"{path}/deliveries")).json()["items"]
    assert (item["state"], item["response_code"], item["attempts"]) == ("delivered", 204, 3)
    assert json.loads(receiver.messages[0][1])["data"]["reason"] == "no parser"
    assert receiver.messages[0][1] == receiver.messages[2][1]

    receiver.statuses[:] = [503] * 100
    for _ in range(webhooks.DISABLE_AFTER):
        await fail_scan()
    for _ in range(webhooks.MAX_ATTEMPTS):
        expire_pauses(api)
        assert await send_due(api) == webhooks.DISABLE_AFTER
    shown = (await tenant.client.get(path)).json()
    assert not shown["active"]
    assert "503" in shown["disabled_reason"]
    counts = await webhooks.count_webhooks(api.engine)
    assert counts.disabled == 1
    await fail_scan()
    assert await send_due(api) == 0
    actions = [row["action"] for row in (await tenant.client.get("/audit")).json()["items"]]
    assert "webhook.disable" in actions

    receiver.statuses[:] = [410]
    activated = (await tenant.client.patch(path, json={"active": True})).json()
    assert (activated["active"], activated["failures"], activated["disabled_reason"]) == (True, 0, "")
    await fail_scan()
    assert await send_due(api) == 1
    assert (await tenant.client.get(path)).json()["disabled_reason"] == "the receiver has answered 410 Gone"
    api.query(
        "UPDATE securetag.webhook_delivery SET created_at = created_at - interval '31 days' RETURNING 1"
    )
    assert (await sweep_all(api.app.state.services))["messages to webhooks"] >= 7
    assert (await tenant.client.get(f"{path}/deliveries")).json()["items"] == []
    assert (await tenant.client.delete(path)).status_code == 204
    assert (await tenant.client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://hooks.example.org/", "https"),
        ("https://10.0.0.1/", "private"),
        ("https://169.254.169.254/", "metadata"),
        ("https://[::1]/", "loopback"),
        ("https://[::ffff:127.0.0.1]/", "embedded"),
        ("http://169.254.169.254/", "metadata"),
        ("https://user:word@hooks.example.org/", "password"),
        ("https://2130706433/", "number"),
        ("ftp://hooks.example.org/", "http"),
    ],
)
def test_internal_addresses_are_refused_before_anything_is_sent(url: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        parse_endpoint(url, [])


@pytest.mark.system
@pytest.mark.sockets
async def test_a_name_that_leads_to_an_internal_address_is_refused_when_it_is_sent(
    api: Api, receiver: Receiver
) -> None:
    """`localhost` is a name like one whose owner points it inwards after it was taken."""
    tenant = await api.tenant()
    api.settings.private_networks = []
    port = receiver.url.rpartition(":")[2]
    made = await create(api, tenant, f"https://localhost:{port}/")
    await store_scan(api, tenant, branch="main")
    assert await send_due(api) == 1
    (item,) = (await tenant.client.get(f"/webhooks/{made['id']}/deliveries")).json()["items"]
    assert item["error"] == "nothing connects to localhost: loopback"
    assert item["response_code"] is None
    assert receiver.messages == []


@pytest.mark.system
async def test_only_admins_and_at_most_ten(api: Api) -> None:
    tenant = await api.tenant()
    reader = api.client(await api.key(tenant.id, "read", "scan", "feedback"))
    body = {"url": "https://ci.example.org/", "events": ["scan.completed"]}
    assert (await reader.get("/webhooks")).status_code == 403
    inward = await tenant.client.post("/webhooks", json={**body, "url": "https://10.0.0.1/"})
    assert (inward.status_code, "private" in inward.json()["detail"]) == (422, True)
    for _ in range(webhooks.MAX_WEBHOOKS):
        assert (await tenant.client.post("/webhooks", json=body)).status_code == 201
    assert (await tenant.client.post("/webhooks", json=body)).status_code == 409
    assert (await tenant.client.post("/webhooks", json={**body, "events": ["scan"]})).status_code == 422


def test_signatures_are_those_of_the_specification() -> None:
    key = base64.b64encode(b"k" * 32).decode()
    signature = sign(f"whsec_{key}", "msg_1", 1614265330, b'{"test": 2432232314}')
    content = b'msg_1.1614265330.{"test": 2432232314}'
    assert signature == "v1," + base64.b64encode(hmac.digest(b"k" * 32, content, "sha256")).decode()


def test_pauses_grow_to_eight_hours_and_differ() -> None:
    for attempt, longest in ((1, 30), (2, 120), (3, 480), (7, 28_800), (8, 28_800)):
        pauses = [compute_wait(attempt) for _ in range(20)]
        assert longest / 2 <= min(pauses) < max(pauses) <= longest
