"""Each endpoint and page × key with ids of another tenant's rows: the answer is that for ids of nobody."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice, product
from typing import Any
from uuid import UUID

import httpx
import pytest
from api_in_process import Api
from fastapi.routing import APIRoute
from owned_rows import OwnedRows, make_owned_rows
from ui_browser import Browser, signed_in

from securetag.api.nouns import NOUNS
from securetag.api.ui.session import csrf_token
from securetag.records import JsonObject
from securetag.wire.queue import LEASE_HEADER, PROTOCOL, PROTOCOL_HEADER, SHA256_HEADER

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1800)]

#: Scopes of the keys that probe. An operator sees all tenants, by design.
KEYS = (("read",), ("scan",), ("feedback",), ("admin",), ("worker",), ("read", "scan", "feedback", "admin"))
#: Those of people who sign in to the page.
PAGE_KEYS = (("read",), ("read", "scan", "feedback", "admin"))
_LEASED = {"task_id": "{task_id}", "process_group": None, "stage": "s"}
_SHOWN = {"finding_id": "{finding_id}", "occurrence_id": "{occurrence_id}"}
_JUDGED = {"verdict": "true_positive", "saw_model": False}
#: Operation → what its body names of others.
BODIES: dict[str, Any] = {
    "POST /findings/{finding_id}/feedback": {"occurrence_id": "{occurrence_id}", **_JUDGED},
    "POST /findings/feedback": {"findings": [_SHOWN], **_JUDGED},
    "PATCH /findings/{finding_id}": {"assignee": "mallory"},
    "POST /findings/{finding_id}/notes": {"text": "seen"},
    "POST /suppressions": {**_SHOWN, "reason": "not mine"},
    "POST /erasure": {"finding_id": "{finding_id}"},
    "PATCH /projects/{project_id}": {"model_may_dismiss": True},
    "PATCH /tenants/{tenant_id}": {"name": "mallory"},
    "POST /keys/{key_id}/rotate": {"overlap_h": 0},
    "PATCH /webhooks/{webhook_id}": {"active": False},
    "POST /webhooks/{webhook_id}/rotate": {"overlap_hours": 0},
    "POST /queue/heartbeat": _LEASED,
    "POST /queue/findings": {"task_id": "{task_id}", "findings": []},
    "POST /queue/result": {"task_id": "{task_id}", "outcome": "completed", "findings": []},
}
#: Query parameters that name rows, where an operation has them.
QUERIES = {"project_id": "{project_id}", "cursor": "{finding_id}", "since": "{task_id}", "project": "shop"}


def fill(value: Any, ids: dict[str, str]) -> Any:
    """Return a value with `{name}` replaced, on every level, by the id of that name."""
    if isinstance(value, str):
        return ids.get(value[1:-1], value) if value.startswith("{") else value
    if isinstance(value, dict):
        return {name: fill(item, ids) for name, item in value.items()}
    return [fill(item, ids) for item in value] if isinstance(value, list) else value


def list_calls(document: JsonObject) -> Iterator[tuple[str, str, list[dict[str, str]]]]:
    """(method, path, queries to try) of each operation that takes the id of a row."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            named = [item["name"] for item in operation.get("parameters", []) if item["in"] == "query"]
            queries = [{name: QUERIES[name]} for name in named if name in QUERIES and name != "project"]
            if "_id}" in path or f"{method.upper()} {path}" in BODIES:
                yield method.upper(), path, [{}]
            elif queries:
                yield method.upper(), path, queries


async def answer_to(
    client: httpx.AsyncClient, method: str, path: str, query: dict[str, str], ids: dict[str, str], token: str
) -> tuple[int, str]:
    """Status and text of the answer, with the ids that were sent replaced by their names."""
    body = BODIES.get(f"{method} {path}")
    route = "/".join(fill(part, {**ids, "name": "semgrep.stdout.json"}) for part in path.split("/"))
    headers = {LEASE_HEADER: token, PROTOCOL_HEADER: str(PROTOCOL), SHA256_HEADER: "0" * 64}
    answer = await client.request(
        method, route, params=fill(query, ids), json=fill(body, ids) if body else None, headers=headers
    )
    text = answer.text.replace(answer.headers.get("x-request-id", "-"), "request")
    for name, value in ids.items():
        text = text.replace(value, name)
    return answer.status_code, text


async def probe_all(api: Api, at_least: int) -> int:
    """Return how many probes got what they would get without the other tenant's rows."""
    victim, prober = await make_owned_rows(api), await make_owned_rows(api)
    clients = [api.client(await api.key(prober.tenant.id, *scopes)) for scopes in KEYS]
    before = rows_of(api, victim)
    calls = list(list_calls(api.app.openapi()))
    assert len(calls) > 30
    kinds = [victim.ids, {**victim.ids, "task_id": victim.leased_task_id}]
    # Each id of the victim in place of each other one: a task's where a finding's belongs.
    turned = [
        dict(zip(victim.ids, islice(cycle(victim.ids.values()), i, None), strict=False)) for i in range(1, 11)
    ]
    number = 0
    for ids in cycle([*kinds, *turned]):
        for client in clients:
            for method, path, queries in calls:
                for query in queries:
                    # Ids of nobody, beside the others in the order that pages have.
                    free = {name: str(UUID(int=UUID(value).int ^ 1)) for name, value in ids.items()}
                    probed, absent = [
                        await answer_to(client, method, path, query, chosen, prober.lease_token)
                        for chosen in (ids, free)
                    ]
                    assert probed == absent, f"{method} {path} {query} tells rows from none"
                    assert probed[0] < 500
                    leaked = {name for name, value in victim.ids.items() if value in probed[1]}
                    assert not leaked, f"{method} {path} {query} names the {leaked} of another tenant"
                    number += 1
        if number >= at_least:
            break
    assert rows_of(api, victim) == before
    return number


def rows_of(api: Api, owned: OwnedRows) -> dict[str, list[tuple[Any, ...]]]:
    """Table → the tenant's rows."""
    return {
        table: api.query(f"SELECT * FROM securetag.{table} WHERE tenant_id = %s ORDER BY 1", owned.tenant.id)
        for table in api.rows()
        if api.query(
            "SELECT 1 FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'tenant_id'",
            f"securetag.{table}",
        )
    }


@pytest.mark.system
async def test_no_endpoint_tells_another_tenants_rows_from_none(api: Api) -> None:
    assert await probe_all(api, at_least=200) >= 200


@pytest.mark.chaos
async def test_ten_thousand_probes_of_endpoints_get_nothing(
    api: Api, record_property: Callable[[str, object], None]
) -> None:
    number = await probe_all(api, at_least=10_000)
    record_property("faults", [number, "probes of endpoints"])


#: Calls of the page with the names of others' rows: path, and for a form its fields.
PAGES: tuple[tuple[str, dict[str, str] | None], ...] = (
    ("/ui/findings/{finding_id}", None),
    ("/ui/findings/{finding_id}?project={project_id}", None),
    ("/ui/findings/{finding_id}?undo=verdict.{feedback_id}", None),
    ("/ui/findings/{finding_id}/file", None),
    ("/ui/findings?undo=bulk.{bulk_id}", None),
    ("/ui/findings?undo=suppression.{suppression_id}.{finding_id}", None),
    ("/ui/findings?cursor={finding_id}", None),
    ("/ui/findings?since={task_id}", None),
    ("/ui/scans?cursor={task_id}", None),
    ("/ui/scans/{task_id}", None),
    ("/ui/scans/{task_id}/findings", None),
    ("/ui/scans/{task_id}/events", None),
    ("/ui/scans/{task_id}/artifacts/semgrep.stdout.json", None),
    ("/ui/scans/{task_id}/export/sarif", None),
    ("/ui/scans/{task_id}/export/csv", None),
    ("/ui/delete/finding/{finding_id}", None),
    ("/ui/delete/scan/{task_id}", None),
    ("/ui/delete/project/{project_id}", None),
    ("/ui/delete/finding/{finding_id}", {}),
    ("/ui/delete/scan/{task_id}", {}),
    ("/ui/delete/project/{project_id}", {}),
    ("/ui/scans/{task_id}/cancel", {}),
    (
        "/ui/findings/{finding_id}/verdict",
        {"occurrence_id": "{occurrence_id}", "verdict": "true_positive", "saw_model": "yes"},
    ),
    ("/ui/findings/{finding_id}/suppress", {"occurrence_id": "{occurrence_id}", "reason": "not mine"}),
    ("/ui/findings/{finding_id}/suppressions/{suppression_id}/end", {}),
    ("/ui/findings/{finding_id}/assign", {"assignee": "mallory"}),
    ("/ui/findings/{finding_id}/notes", {"text": "seen"}),
    ("/ui/undo", {"undo": "verdict.{feedback_id}"}),
    ("/ui/undo", {"undo": "bulk.{bulk_id}"}),
    ("/ui/undo", {"undo": "suppression.{suppression_id}.{finding_id}"}),
    ("/ui/findings/bulk", {"action": "false_positive", "pick": "{finding_id}.{occurrence_id}"}),
    ("/ui/findings/bulk/confirm", {"action": "false_positive", "pick": "{finding_id}.{occurrence_id}"}),
    ("/ui/findings/bulk/confirm", {"action": "assign", "pick": "{finding_id}.{occurrence_id}"}),
)


def list_page_paths(routes: Sequence[Any]) -> Iterator[str]:
    """Path of each route of the page that takes an id, also of included routers."""
    for route in routes:
        if isinstance(route, APIRoute):
            if re.search(r"{\w+_id}|{subject}", route.path):
                yield route.path
        elif hasattr(route, "original_router"):
            yield from list_page_paths(route.original_router.routes)


async def probe_pages(api: Api, at_least: int) -> int:
    """As `probe_all`, of the page by a browser that has signed in."""
    victim, prober = await make_owned_rows(api), await make_owned_rows(api)
    browsers = [await signed_in(api, await api.key(prober.tenant.id, *scopes)) for scopes in PAGE_KEYS]
    before = rows_of(api, victim)

    async def answer(browser: Browser, place: int, ids: dict[str, str]) -> tuple[int, str]:
        path, fields = PAGES[place]
        csrf = csrf_token(browser.client.cookies["securetag_session"], api.app.state.services)
        form = None if fields is None else {"csrf": csrf, **{k: v.format(**ids) for k, v in fields.items()}}
        method = "GET" if form is None else "POST"
        page = await browser.client.request(method, path.format(**ids), data=form)
        assert "sign-in" not in page.headers.get("location", ""), "the browser isn't signed in"
        text = f"{page.headers.get('location', '')} {page.text}".replace(
            page.headers.get("x-request-id", "-"), "request"
        )
        for name, value in ids.items():
            text = text.replace(value, name)
        return page.status_code, text

    number = 0
    for ids in cycle([victim.ids, {**victim.ids, "task_id": victim.leased_task_id}]):
        free = {name: str(UUID(int=UUID(value).int ^ 1)) for name, value in ids.items()}
        for browser, place in product(browsers, range(len(PAGES))):
            probed, absent = [await answer(browser, place, chosen) for chosen in (ids, free)]
            assert probed == absent, f"{PAGES[place]} tells rows from none"
            assert probed[0] < 500, PAGES[place]
            number += 1
        if number >= at_least:
            break
    assert rows_of(api, victim) == before
    return number


def test_each_path_of_the_page_with_an_id_is_probed() -> None:
    probed = {path.partition("?")[0] for path, _ in PAGES}
    for path in list_page_paths(NOUNS.get("ui").routes):
        pattern = re.sub(r"{(kind|subject|name|form)}", "[^/]+", path).replace("{", r"\{").replace("}", r"\}")
        assert any(re.fullmatch(pattern, item) for item in probed), path


@pytest.mark.system
async def test_no_page_tells_another_tenants_rows_from_none(api: Api) -> None:
    assert await probe_pages(api, at_least=60) >= 60


@pytest.mark.chaos
async def test_two_thousand_probes_of_pages_get_nothing(
    api: Api, record_property: Callable[[str, object], None]
) -> None:
    number = await probe_pages(api, at_least=2_000)
    record_property("faults", [number, "probes of pages"])
