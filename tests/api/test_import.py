"""`POST /findings/import`: what is accepted, and what of a hostile file is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest
from api_in_process import Api
from sarif_files import At, bandit, document

pytestmark = pytest.mark.anyio

PLACE = At("B605", "app.py", 1)


def _with(result: object) -> bytes:
    return document({"tool": {"driver": {"name": "Tool"}}, "results": [result]})


REFUSED: dict[str, tuple[Callable[[], bytes], int]] = {
    "no JSON": (lambda: b"%PDF-1.7", 422),
    "empty": (lambda: b"", 422),
    "another document": (lambda: b'{"version": "2.1.0"}', 422),
    "another version": (lambda: b'{"version": "1.0.0", "runs": []}', 422),
    "NaN": (lambda: document(bandit(PLACE)).replace(b'"startLine": 1', b'"startLine": NaN'), 422),
    "a huge number": (lambda: document(bandit(PLACE)).replace(b'"startLine": 1', b'"startLine": 1e400'), 422),
    "deep": (lambda: b'{"version": "2.1.0", "runs": ' + b"[" * 200_000, 422),
    "deep properties": (
        lambda: document(bandit(PLACE)).replace(
            b'"nosec": 0', b'"x": ' + b'{"a":' * 99_999 + b"1" + b"}" * 99_999
        ),
        422,
    ),
    "too many results": (lambda: document(bandit(*[PLACE] * 11)), 413),
    "too many bytes": (lambda: document(bandit(PLACE)) + b" " * 200_000, 413),
}


@pytest.fixture
def api_settings() -> dict[str, object]:
    return {"max_sarif": 1_500_000, "max_sarif_results": 10, "reap_s": 3600.0}


async def send(
    client: httpx.AsyncClient, content: bytes, source: bytes | None = None, **fields: str
) -> httpx.Response:
    files = {"file": ("report.sarif", content, "application/sarif+json")}
    if source is not None:
        files["source"] = ("source.zip", source, "application/zip")
    return await client.post("/findings/import", files=files, data={"project": "shop", **fields})


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_leaves_nothing(api: Api, name: str) -> None:
    make, status = REFUSED[name]
    tenant = await api.tenant()
    before = api.rows()
    content = make() + (b" " * 1_500_000 if name == "too many bytes" else b"")
    answer = await send(tenant.client, content)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]
    assert api.rows() == before
    assert not list((api.settings.home / "artifacts").rglob("*.zip"))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"params": '{"exclude": ["a/**b[", "!"]}'}, "exclusion"),
        ({"params": '{"partial": "perhaps"}'}, "partial"),
        ({"params": '{"tool": "x"}'}, "tool"),
        ({"project": ""}, "project"),
    ],
    ids=["exclude", "partial", "unknown", "project"],
)
async def test_bad_parameters_are_named(api: Api, fields: dict[str, str], says: str) -> None:
    tenant = await api.tenant()
    answer = await send(tenant.client, document(bandit(PLACE)), **fields)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


async def test_source_that_is_no_archive_is_refused(api: Api) -> None:
    tenant = await api.tenant()
    answer = await send(tenant.client, document(bandit(PLACE)), b"no archive")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:securetag:problem:invalid-archive")


async def test_odd_results_are_counted_and_the_rest_is_accepted(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    place = json.loads(document(bandit(PLACE)))["runs"][0]["results"][0]["locations"]
    odd: list[object] = [
        {"message": {"text": "no rule"}, "locations": place},
        {"ruleId": "R", "message": {"text": "no location"}},
        {"ruleId": "R", "locations": [{"physicalLocation": {"artifactLocation": {"uri": "app.py"}}}]},
        {"ruleId": "R", "locations": json.loads(json.dumps(place).replace("app.py", "../../etc/passwd"))},
        {"ruleId": "R", "locations": json.loads(json.dumps(place).replace("app.py", "http://[x"))},
        {"ruleId": "R", "locations": json.loads(json.dumps(place).replace("app.py", "a/" * 5_000))},
        {"ruleId": "R", "kind": "pass", "locations": place},
        {"ruleId": "R", "baselineState": "absent", "locations": place},
    ]
    content = document({"tool": {"driver": {"name": "Tool", "version": "3"}}, "results": odd})
    answer = await send(tenant.client, content, archive, params='{"branch": "main"}')
    assert answer.status_code == 202, answer.text
    accepted = answer.json()
    assert accepted["results"] == 1
    assert accepted["left_out"] == {"no place": 2, "outside the project": 3, "not a problem": 2}
    assert (accepted["tools"], accepted["files"]) == ({"Tool": "3"}, 2)
    scan = (await tenant.client.get(answer.headers["Location"])).json()
    assert (scan["kind"], scan["state"], scan["params"]) == ("import", "queued", {"branch": "main"})
    assert (await tenant.client.get("/codeaudit/index")).json()["items"] == [], "it is no scan of ours"


async def test_a_repeated_import_is_one(api: Api) -> None:
    tenant = await api.tenant()
    before = api.rows()["task"]
    key = {"Idempotency-Key": "build-4711"}
    parts = {"file": ("r.sarif", document(bandit(PLACE)), "application/json")}
    first = await tenant.client.post("/findings/import", files=parts, data={"project": "p"}, headers=key)
    again = await tenant.client.post("/findings/import", files=parts, data={"project": "p"}, headers=key)
    assert first.json() == again.json()
    assert api.rows()["task"] == before + 1


async def test_a_key_that_may_not_scan_may_not_import(api: Api) -> None:
    tenant = await api.tenant("read", "feedback")
    assert (await send(tenant.client, document(bandit(PLACE)))).status_code == 403
