"""Uploads: accepted once, capped in the stream, and nothing kept of what is refused."""

from __future__ import annotations

import asyncio
import hashlib
import io
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_in_process import Api, Tenant
from starlette.types import Message

pytestmark = pytest.mark.anyio


def _zip(*entries: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in entries:
            bundle.writestr(name, content)
    return out.getvalue()


def _symlink() -> bytes:
    link = zipfile.ZipInfo("passwd")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    return _zip((link, b"/etc/passwd"))


def _encrypted() -> bytes:
    plain = bytearray(_zip(("app.py", b"x = 1\n")))
    # Bit 0 of the general-purpose flags, in the local header and in the central directory.
    plain[6] |= 1
    plain[plain.index(b"PK\x01\x02") + 8] |= 1
    return bytes(plain)


def _duplicates() -> bytes:
    plain = _zip(("one.py", b"x = 1\n"), ("two.py", b"x = 2\n"))
    return plain.replace(b"two.py", b"one.py")


BAD_ARCHIVES: dict[str, Callable[[], bytes]] = {
    "no zip": lambda: b"%PDF-1.7 not an archive",
    "empty": lambda: b"",
    "cut": lambda: _zip(("app.py", b"x = 1\n"))[:-10],
    "parent": lambda: _zip(("../evil.py", b"x")),
    "absolute": lambda: _zip(("/etc/evil.py", b"x")),
    "drive": lambda: _zip(("C:\\evil.py", b"x")),
    "symlink": _symlink,
    "duplicates": _duplicates,
    "bomb": lambda: _zip(("zeros.py", bytes(60_000_000))),
    "encrypted": _encrypted,
}


def _files(*folders: Path) -> dict[str, bytes]:
    """Path → digest of every file below."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""
        for folder in folders
        for path in folder.rglob("*")
    }


@pytest.fixture
def own_temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder that this test alone writes to."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


async def test_a_tar_is_taken_like_a_zip_archive(api: Api, archive: bytes) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, tarfile.open(fileobj=out, mode="w:gz") as target:
        for name in source.namelist():
            info = tarfile.TarInfo(name)
            info.size = source.getinfo(name).file_size
            target.addfile(info, source.open(name))
    tenant = await api.tenant()
    answer = await tenant.upload(out.getvalue())
    assert (answer.status_code, answer.json()["files"]) == (202, 2)
    cut = await tenant.upload(out.getvalue()[:-40])
    assert (cut.status_code, "damaged" in cut.json()["detail"]) == (422, True)


@pytest.mark.parametrize("kind", BAD_ARCHIVES)
async def test_a_bad_archive_leaves_nothing(api: Api, own_temp: Path, kind: str) -> None:
    tenant = await api.tenant()
    assert (await tenant.client.get("/projects")).status_code == 200
    before = (_files(api.settings.home, own_temp), api.rows())

    answer = await tenant.upload(BAD_ARCHIVES[kind](), key="once")

    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == "urn:securetag:problem:invalid-archive"
    assert problem["status"] == 422
    assert problem["detail"]
    assert problem["hint"]
    assert problem["instance"] == "/codeaudit/upload"
    assert (_files(api.settings.home, own_temp), api.rows()) == before


async def _no_key(tenant: Tenant, content: bytes) -> httpx.Response:
    del tenant.client.headers["X-API-Key"]
    return await tenant.upload(content)


async def _unknown_key(tenant: Tenant, content: bytes) -> httpx.Response:
    tenant.client.headers["X-API-Key"] = tenant.key[:-1] + ("A" if tenant.key[-1] != "A" else "B")
    return await tenant.upload(content)


async def _form(tenant: Tenant, archive: bytes, **parts: Any) -> httpx.Response:
    return await tenant.client.post("/codeaudit/upload", **parts)


FILE = {"file": ("shop.zip", b"PK", "application/zip")}
BAD_REQUESTS: dict[str, tuple[int, str, Callable[[Tenant, bytes], Awaitable[httpx.Response]]]] = {
    "no key": (401, "unauthenticated", _no_key),
    "unknown key": (401, "unauthenticated", _unknown_key),
    "json": (422, "invalid-input", lambda t, c: _form(t, c, json={"file": "x"})),
    "no body": (422, "invalid-input", lambda t, c: _form(t, c)),
    "no file": (422, "invalid-input", lambda t, c: _form(t, c, files={"project": (None, "shop")})),
    "no project": (422, "invalid-input", lambda t, c: _form(t, c, files={"file": ("a.zip", c)})),
    "two files": (
        422,
        "invalid-input",
        lambda t, c: _form(t, c, files=[("file", ("a.zip", c)), ("file", ("b.zip", c))]),
    ),
    "unknown part": (
        422,
        "invalid-input",
        lambda t, c: _form(t, c, files={"file": ("a.zip", c)}, data={"project": "p", "colour": "red"}),
    ),
    "params no JSON": (422, "invalid-input", lambda t, c: t.upload(c, params="{")),
    "params no object": (422, "invalid-input", lambda t, c: t.upload(c, params="[1]")),
    "params unknown": (422, "invalid-input", lambda t, c: t.upload(c, params='{"colour": 1}')),
    "project with NUL": (422, "invalid-input", lambda t, c: t.upload(c, project="a\x00b")),
    "project too long": (422, "invalid-input", lambda t, c: t.upload(c, project="a" * 201)),
    "huge field": (413, "too-large", lambda t, c: t.upload(c, project="a" * 300_000)),
    "bad idempotency key": (422, "invalid-request", lambda t, c: t.upload(c, key="a b")),
    "cut form": (
        422,
        "invalid-input",
        lambda t, c: _form(
            t,
            c,
            content=b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nPK',
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        ),
    ),
}


@pytest.mark.parametrize("kind", BAD_REQUESTS)
async def test_a_bad_request_leaves_nothing(api: Api, archive: bytes, own_temp: Path, kind: str) -> None:
    status, slug, send = BAD_REQUESTS[kind]
    tenant = await api.tenant()
    assert (await tenant.client.get("/projects")).status_code == 200
    before = (_files(api.settings.home, own_temp), api.rows())

    answer = await send(tenant, archive)

    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:securetag:problem:{slug}"), (
        answer.text
    )
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["hint"]
    assert (_files(api.settings.home, own_temp), api.rows()) == before


async def test_an_upload_becomes_a_task_with_its_bytes(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    answer = await tenant.upload(archive, params='{"lang": "es"}')

    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert body["files"] == 2
    assert body["sha256"] == hashlib.sha256(archive).hexdigest()
    assert answer.headers["location"] == f"/scans/{body['task_id']}"
    kept = api.settings.home / "artifacts" / "uploads" / str(tenant.id) / body["sha256"]
    assert kept.read_bytes() == archive

    scan = (await tenant.client.get(answer.headers["location"])).json()
    assert (scan["state"], scan["project"], scan["params"]) == ("queued", "shop", {"lang": "es"})
    assert scan["upload"] == {"filename": "shop.zip", "sha256": body["sha256"], "size": len(archive)}
    assert scan["created_at"].endswith("Z")
    assert [event["to_state"] for event in scan["history"]] == ["queued"]


async def test_the_same_key_and_body_is_one_task(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    first = await tenant.upload(archive, key="k1")
    again = await tenant.upload(archive, key="k1")

    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert len((await tenant.client.get("/codeaudit/index")).json()["items"]) == 1


async def test_the_same_key_and_another_body_is_refused(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    await tenant.upload(archive, key="k1")
    other = await tenant.upload(archive, project="other", key="k1")

    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["detail"]
    # Another tenant's keys are its own.
    assert (await (await api.tenant()).upload(archive, project="other", key="k1")).status_code == 202


async def test_simultaneous_repetitions_are_one_task(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    answers = await asyncio.gather(*(tenant.upload(archive, key="k1") for _ in range(6)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert len((await tenant.client.get("/codeaudit/index")).json()["items"]) == 1


@pytest.mark.parametrize("api_settings", [pytest.param({"max_upload": 10_000, "reap_s": 3600.0}, id="10 kB")])
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
async def test_the_cap_holds_in_the_stream(api: Api, own_temp: Path, declared: bool) -> None:
    tenant = await api.tenant()
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield head
        while sent < 10_000_000:
            sent += 4_000
            yield bytes(4_000)

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    if declared:
        headers["Content-Length"] = "10000000"
    before = _files(api.settings.home, own_temp)
    answer = await tenant.client.post("/codeaudit/upload", content=endless(), headers=headers)

    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:securetag:problem:too-large"
    assert sent <= 16_000, "the body was read on after the cap"
    assert _files(api.settings.home, own_temp) == before


async def test_the_same_archive_twice_lies_there_once(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    first, second = await tenant.upload(archive), await tenant.upload(archive)

    assert first.json()["task_id"] != second.json()["task_id"]
    assert len(list((api.settings.home / "artifacts").rglob(first.json()["sha256"]))) == 1
    index = (await tenant.client.get("/codeaudit/index", params={"limit": 1})).json()
    assert index["items"][0]["task_id"] == second.json()["task_id"]
    rest = (await tenant.client.get("/codeaudit/index", params={"cursor": index["next_cursor"]})).json()
    assert [scan["task_id"] for scan in rest["items"]] == [first.json()["task_id"]]
    assert rest["next_cursor"] is None
    latest = (await tenant.client.get("/codeaudit/latest", params={"project": "shop"})).json()
    assert latest["task_id"] == second.json()["task_id"]
    assert (await tenant.client.get("/codeaudit/latest", params={"project": "none"})).status_code == 404


async def test_a_client_that_hangs_up_leaves_nothing(api: Api, own_temp: Path) -> None:
    tenant = await api.tenant()
    assert (await tenant.client.get("/projects")).status_code == 200
    before = (_files(api.settings.home, own_temp), api.rows())
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\nPK\x03\x04'
    messages = iter([{"type": "http.request", "body": head, "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Message] = []

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/codeaudit/upload",
        "raw_path": b"/codeaudit/upload",
        "query_string": b"",
        "scheme": "http",
        "server": ("api", 80),
        "client": ("test", 1),
        "headers": [
            (b"x-api-key", tenant.key.encode()),
            (b"content-type", b"multipart/form-data; boundary=b"),
        ],
    }
    await api.app(scope, receive, send)
    assert sent[0]["status"] == 422
    assert (_files(api.settings.home, own_temp), api.rows()) == before
