"""More callers than the database has connections for: some wait, the rest are told when to come back."""

from __future__ import annotations

import asyncio
from contextvars import Context

import pytest
from api_in_process import Api

from securetag.api.admission import WAITING_PER_CONNECTION
from securetag.db.places import Places
from securetag.errors import DatabaseUnavailableError

pytestmark = pytest.mark.anyio

POOL = 2
LIMIT = POOL * (1 + WAITING_PER_CONNECTION)


@pytest.fixture
def api_settings() -> dict[str, object]:
    # No caller could wait as long as the others take, were the waiting measured.
    return {"reap_s": 3600.0, "pool_size": POOL, "connect_timeout_s": 0.5}


async def test_calls_over_the_limit_are_refused_at_once_and_the_others_answered(api: Api) -> None:
    tenant = await api.tenant()
    assert (await tenant.client.get("/projects")).status_code == 200
    answers = await asyncio.gather(*(tenant.client.get("/projects") for _ in range(4 * LIMIT)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert sum(answer.status_code == 200 for answer in answers) == LIMIT
    assert len(refused) == 3 * LIMIT
    assert {answer.json()["type"] for answer in refused} == {"urn:securetag:problem:overloaded"}
    waits = {int(answer.headers["Retry-After"]) for answer in refused}
    assert len(waits) > 1, "all of them would come back at once"
    assert min(waits) >= 1
    assert (await tenant.client.get("/projects")).status_code == 200, "nothing is counted for ever"


async def test_health_and_workers_are_never_refused(api: Api) -> None:
    tenant, worker = await api.tenant(), await api.worker()
    crowd = [asyncio.create_task(tenant.client.get("/projects")) for _ in range(2 * LIMIT)]
    await asyncio.sleep(0)
    assert (await tenant.client.get("/healthz")).status_code == 200
    claim = await worker.post("/queue/next", json={"worker_id": "w", "kinds": ["web"], "wait_s": 0})
    assert claim.status_code == 204
    await asyncio.gather(*crowd)


async def test_places_go_in_the_order_of_asking_and_none_is_lost() -> None:
    places, order = Places(1), []

    async def hold(name: int) -> None:
        async with places.take():
            async with places.take():  # what is done inside needs no second place
                order.append(name)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(hold(name)) for name in range(5)]
    await asyncio.sleep(0)
    assert places.waiting == 4
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 1, 3, 4]

    async with places.take():
        # In a context of its own: a task that is started here has this place.
        waiting = asyncio.create_task(hold(9), context=Context())
        await asyncio.sleep(0)
        places.refuse_waiting(DatabaseUnavailableError("away"))
        with pytest.raises(DatabaseUnavailableError):
            await waiting
    async with places.take():
        pass
