"""A scan of a commit is taken from a public https address alone; a worker gets what it is to fetch."""

from __future__ import annotations

import pytest
from api_in_process import Api

from securetag.api.scans.repository_scan import name_project

pytestmark = [pytest.mark.anyio, pytest.mark.system]

COMMIT = "3f786850e387550fdab836ed7e6dc881de23001b"
URL = "https://git.example.org/team/shop.git"


async def test_a_worker_gets_url_and_commit(api: Api) -> None:
    tenant, worker = await api.tenant(), await api.worker()
    body = {"git_url": URL, "commit": COMMIT, "branch": "main", "exclude": ["old/"]}
    headers = {"Idempotency-Key": "once"}
    accepted = await tenant.client.post("/scans/git", json=body, headers=headers)
    assert (accepted.status_code, accepted.json()["project"]) == (202, "shop")
    again = await tenant.client.post("/scans/git", json=body, headers=headers)
    assert again.json() == accepted.json()
    lease = (await worker.post("/queue/next", json={"worker_id": "w"})).json()
    assert lease["upload"] is None
    assert lease["kind"] == "codeaudit"
    assert {name: lease["params"][name] for name in body} == body
    scan = (await tenant.client.get(f"/scans/{accepted.json()['task_id']}")).json()
    assert (scan["params"]["git_url"], scan["upload"]) == (URL, None)
    reader = api.client(await api.key(tenant.id, "read"))
    assert (await reader.post("/scans/git", json=body)).status_code == 403


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param({"git_url": "http://git.example.org/shop"}, "https", id="http"),
        pytest.param({"git_url": "ssh://git@git.example.org/shop"}, "https", id="ssh"),
        pytest.param({"git_url": "git@git.example.org:shop"}, "https", id="scp"),
        pytest.param({"git_url": "https://10.0.0.1/shop"}, "private", id="private"),
        pytest.param({"git_url": "https://169.254.169.254/shop"}, "metadata", id="metadata"),
        pytest.param({"git_url": "https://u:p@git.example.org/shop"}, "password", id="password"),
        pytest.param({"git_url": "--upload-pack=id"}, "https", id="option"),
        pytest.param({"commit": "main"}, "commit", id="branch"),
        pytest.param({"commit": None}, "commit", id="no commit"),
    ],
)
async def test_other_addresses_are_refused(api: Api, changes: dict[str, object], text: str) -> None:
    tenant = await api.tenant()
    answer = await tenant.client.post("/scans/git", json={"git_url": URL, "commit": COMMIT, **changes})
    assert (answer.status_code, text in answer.json()["detail"]) == (422, True), answer.text
    assert (await tenant.client.get("/projects")).json()["items"] == []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://git.example.org/team/shop.git/", "shop"),
        ("https://git.example.org/a%0Ab", "ab"),
        ("https://git.example.org/", "git.example.org"),
    ],
)
def test_a_project_has_the_repositorys_name(url: str, name: str) -> None:
    assert name_project(url) == name
