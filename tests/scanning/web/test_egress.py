"""The egress proxy: what comes through, and that no spelling, redirect or name leads inside."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from web_shops import HTML, Shop, clean_shop, serve, vulnerable_shop

from securetag.scanning.web.addresses import Refusal, Target, parse_target
from securetag.scanning.web.egress import (
    REFUSED_HEADER,
    EgressPolicy,
    EgressProxy,
    Resolve,
    resolve_host,
)

pytestmark = [pytest.mark.anyio, pytest.mark.sockets]

#: What a test asks for that a deployment can't have in production.
LOCAL = {"allow_loopback": True, "idle_timeout_s": 20.0}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with serve(vulnerable_shop(tmp_path)) as running:
        yield running


@asynccontextmanager
async def proxied(
    policy: EgressPolicy, resolve: Resolve = resolve_host
) -> AsyncIterator[tuple[EgressProxy, httpx.AsyncClient]]:
    async with (
        EgressProxy(policy, resolve=resolve) as proxy,
        httpx.AsyncClient(proxy=proxy.url, trust_env=False, timeout=30) as client,
    ):
        yield proxy, client


async def test_requests_reach_the_target_as_they_were_sent(shop: Shop) -> None:
    async with proxied(EgressPolicy(parse_target(shop.url), **LOCAL)) as (proxy, client):
        answer = await client.get(f"{shop.url}/search?q=%3Cb%3E&x='%22")
        posted = await client.post(f"{shop.url}/feed", data={"xml": "<a>text</a>"})
        missing = await client.get(f"{shop.url}/nowhere")
        head = await client.request("OPTIONS", f"{shop.url}")
    assert "Results for <b>" in answer.text
    assert "text" in posted.text
    assert (missing.status_code, head.status_code) == (404, 501)
    assert shop.requests[0] == ("GET", "/search?q=%3Cb%3E&x='%22")
    assert proxy.report.requests == 4
    assert proxy.report.bytes > len(answer.content)
    assert not proxy.report.refused


async def test_a_connection_of_the_scanner_is_used_again(shop: Shop) -> None:
    async with proxied(EgressPolicy(parse_target(shop.url), **LOCAL)) as (proxy, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rsplit(":", 1)[1]))
        for number in (1, 2):
            writer.write(f"GET {shop.url}/item?id={number} HTTP/1.1\r\nHost: other.example\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head
            (length,) = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
            await reader.readexactly(int(length.split(b":")[1]))
        writer.close()
    assert shop.requests == [("GET", "/item?id=1"), ("GET", "/item?id=2")]


async def test_the_host_header_is_the_targets_own(shop: Shop) -> None:
    """At one address there may be others' applications, as on a content delivery network."""
    async with proxied(EgressPolicy(parse_target(shop.url), **LOCAL)) as (_, client):
        answer = await client.get(f"{shop.url}/", headers={"Host": "neighbour.example"})
    assert answer.status_code == 200
    assert shop.hosts == [shop.url.removeprefix("http://")]


#: Spellings and addresses by which a server's own network is reached.
SSRF = [
    pytest.param("127.0.0.1", Refusal.LOOPBACK, id="loopback"),
    pytest.param("localhost", Refusal.LOOPBACK, id="a name of loopback"),
    pytest.param("::1", Refusal.LOOPBACK, id="IPv6 loopback"),
    pytest.param("2130706433", Refusal.LOOPBACK, id="decimal"),
    pytest.param("0x7f000001", Refusal.LOOPBACK, id="hexadecimal"),
    pytest.param("0177.0.0.1", Refusal.LOOPBACK, id="octal"),
    pytest.param("127.1", Refusal.LOOPBACK, id="short"),
    pytest.param("0.0.0.0", Refusal.UNSPECIFIED, id="unspecified"),
    pytest.param("10.0.0.5", Refusal.PRIVATE, id="private"),
    pytest.param("169.254.169.254", Refusal.METADATA, id="metadata"),
    pytest.param("169.254.7.7", Refusal.LINK_LOCAL, id="link-local"),
    pytest.param("224.0.0.251", Refusal.MULTICAST, id="multicast"),
    pytest.param("::ffff:127.0.0.1", Refusal.EMBEDDED, id="IPv4-mapped IPv6"),
    pytest.param("64:ff9b::a9fe:a9fe", Refusal.EMBEDDED, id="NAT64"),
]


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
@pytest.mark.parametrize(("host", "refusal"), SSRF)
async def test_ssrf_is_refused(shop: Shop, host: str, refusal: Refusal, method: str) -> None:
    """Even where the form has become the target: what the host resolves to is what counts."""
    target = Target("http", host, shop.server_address[1])
    async with EgressProxy(EgressPolicy(target)) as proxy:
        status, headers = await speak(proxy, method, target)
    assert (status, headers[REFUSED_HEADER.lower()]) == (403, refusal.value)
    assert proxy.report.refused == {refusal.value: 1}
    assert shop.requests == []


async def speak(proxy: EgressProxy, method: str, target: Target) -> tuple[int, dict[str, str]]:
    """Send one request as a scanner would; return the answer's status and headers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rsplit(":", 1)[1]))
    host = f"[{target.host}]" if ":" in target.host else target.host
    goal = f"{host}:{target.port}" if method == "CONNECT" else f"http://{host}:{target.port}/"
    writer.write(f"{method} {goal} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    async with asyncio.timeout(20):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    writer.close()
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    return int(lines[0].split()[1]), headers


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
@pytest.mark.parametrize(
    ("host", "port"),
    [
        pytest.param("other.example", 0, id="another host"),
        pytest.param("127.0.0.2", 0, id="another address of the same network"),
        pytest.param("127.0.0.1", 1, id="another port"),
        pytest.param("user@127.0.0.1", 1, id="a login before another port"),
    ],
)
async def test_only_the_target_is_reached(shop: Shop, host: str, port: int, method: str) -> None:
    target = parse_target(shop.url)
    async with EgressProxy(EgressPolicy(target, **LOCAL)) as proxy:
        other = Target("http", host, target.port + port)
        status, headers = await speak(proxy, method, other)
    assert (status, headers[REFUSED_HEADER.lower()]) == (403, "other_host")
    assert shop.requests == []


@pytest.mark.parametrize(
    "goal",
    [
        pytest.param("http://169.254.169.254/latest/meta-data/", id="metadata"),
        pytest.param("http://127.0.0.1:1/", id="another port of this machine"),
        pytest.param("http://[::1]/", id="IPv6 loopback"),
        pytest.param("https://other.example/", id="another site by https"),
        pytest.param("http://2130706433/", id="a decimal number"),
    ],
)
async def test_a_redirect_is_checked_like_any_other_request(shop: Shop, goal: str) -> None:
    shop.pages["/away"] = lambda query, body: (302, {**HTML, "Location": goal}, "")
    async with proxied(EgressPolicy(parse_target(shop.url), **LOCAL)) as (proxy, client):
        if goal.startswith("https"):
            with pytest.raises(httpx.ProxyError, match="403"):
                await client.get(f"{shop.url}/away", follow_redirects=True)
        else:
            answer = await client.get(f"{shop.url}/away", follow_redirects=True)
            assert (answer.status_code, answer.headers[REFUSED_HEADER]) == (403, "other_host")
    assert proxy.report.refused == {"other_host": 1}


async def test_dns_rebinding_leads_nowhere(shop: Shop) -> None:
    """A name that is public when it is looked at first and internal later: each connection is checked."""
    answers = iter([["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1", "10.0.0.1"], []])
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    target = Target("http", "shop.example", shop.server_address[1])
    url = f"http://shop.example:{target.port}/item?id=1"
    async with proxied(EgressPolicy(target, **LOCAL), rebinding) as (proxy, client):
        answers_by_turn = [await client.get(url) for _ in range(4)]
    assert [answer.status_code for answer in answers_by_turn] == [200, 403, 403, 502]
    assert [answer.headers.get(REFUSED_HEADER) for answer in answers_by_turn] == [
        None,
        "metadata",
        "private",
        None,
    ]
    assert asked == ["shop.example"] * 4
    # The one connection that was made went to the address that was checked, without a second look.
    assert shop.requests == [("GET", "/item?id=1")]
    assert proxy.report.refused == {"metadata": 1, "private": 1}


@pytest.mark.parametrize(
    ("limits", "passed"),
    [
        pytest.param({"max_requests": 2}, [True, True, False], id="requests"),
        pytest.param({"max_bytes": 25_000}, [True, True, False], id="bytes"),
        pytest.param({"timeout_s": 0.0}, [False, False, False], id="time"),
    ],
)
async def test_a_scan_has_limits(shop: Shop, limits: dict[str, float], passed: list[bool]) -> None:
    policy = replace(EgressPolicy(parse_target(shop.url), **LOCAL), **limits)  # type: ignore[arg-type]
    shop.pages["/long"] = lambda query, body: (200, HTML, "x" * 10_000)
    got = []
    async with proxied(policy) as (proxy, client):
        for _ in range(3):
            try:
                got.append((await client.get(f"{shop.url}/long")).status_code == 200)
            except httpx.TransportError:
                got.append(False)
    assert got == passed
    assert proxy.report.refused["limit"] >= 1


async def test_a_target_that_is_away_is_said_to_be(shop: Shop) -> None:
    target = Target("http", "127.0.0.1", 1)
    async with proxied(EgressPolicy(target, **LOCAL)) as (proxy, client):
        answer = await client.get("http://127.0.0.1:1/")
    assert (answer.status_code, REFUSED_HEADER in answer.headers) == (502, False)
    assert "can't be reached" in answer.text
    assert not proxy.report.refused


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 502, id="no number"),
        pytest.param(b"220 smtp.example ready\r\n\r\n", 502, id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000, 502, id="a head without an end"),
        pytest.param(b"", 502, id="nothing"),
    ],
)
async def test_a_target_that_speaks_no_http(sent: bytes, status: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, proxied(EgressPolicy(parse_target(url), **LOCAL)) as (_, client):
        assert (await client.get(url)).status_code == status


async def test_what_is_no_request_is_refused(shop: Shop) -> None:
    async with EgressProxy(EgressPolicy(parse_target(shop.url), **LOCAL)) as proxy:
        for sent in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01garbage\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rsplit(":", 1)[1]))
            writer.write(sent)
            async with asyncio.timeout(20):
                assert b"200" not in (await reader.read())[:20]
            writer.close()
    assert shop.requests == []


async def test_tls_goes_through_untouched(tmp_path: Path) -> None:
    with serve(clean_shop()) as shop:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate(tmp_path))
        shop.socket = context.wrap_socket(shop.socket, server_side=True)
        url = shop.url.replace("http://", "https://")
        policy = EgressPolicy(parse_target(url), **LOCAL)
        trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        async with (
            EgressProxy(policy) as proxy,
            httpx.AsyncClient(proxy=proxy.url, trust_env=False, verify=trust) as client,
        ):
            answer = await client.get(f"{url}/item?id=1")
    assert answer.status_code == 200
    assert (proxy.report.requests, shop.requests) == (1, [("GET", "/item?id=1")])


def certificate(folder: Path) -> tuple[str, str]:
    """A certificate of 127.0.0.1 that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("the command openssl is not installed")
    paths = str(folder / "cert.pem"), str(folder / "key.pem")
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", "req", *kind, *names, "-out", paths[0], "-keyout", paths[1]],
        check=True,
        capture_output=True,
    )
    return paths
