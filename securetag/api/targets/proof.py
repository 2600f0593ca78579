"""The proof that a web application belongs to the tenant: a text in DNS, or in a file that it serves.

The file is fetched through the egress proxy of the scans, so that nobody has this api look at addresses
inside our network.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from dataclasses import dataclass
from typing import Literal

import dns.asyncresolver
import dns.exception
import dns.nameserver
import httpx

from securetag.scanning.web.addresses import Target
from securetag.scanning.web.egress import EgressPolicy, EgressProxy
from securetag.settings.sections import WebSettings

log = logging.getLogger(__name__)

Proof = Literal["dns", "file"]
DNS_LABEL = "_securetag-verification"
FILE_PATH = "/.well-known/securetag-verification.txt"
#: Seconds that each of the two looks may take.
LOOK_S = 10.0
#: Bytes of the file that are read.
MAX_FILE = 4_096


def proof_text(token: str) -> str:
    """Return what the owner publishes."""
    return f"securetag-verification={token}"


def dns_name(target: Target) -> str | None:
    """Return the name of the TXT record; None where the host is an address."""
    try:
        ipaddress.ip_address(target.host)
    except ValueError:
        return f"{DNS_LABEL}.{target.host}"
    return None


@dataclass(frozen=True)
class Look:
    """What was seen in one place."""

    proof: Proof
    is_proven: bool
    #: Why not, for the owner.
    detail: str = ""


async def look_for_proof(target: Target, token: str, settings: WebSettings) -> list[Look]:
    """Look in both places at once; the first that is proven counts."""
    return list(
        await asyncio.gather(
            _look_in_dns(target, token, settings.dns_servers), _look_at_file(target, token, settings)
        )
    )


async def _look_in_dns(target: Target, token: str, servers: list[str]) -> Look:
    name = dns_name(target)
    if name is None:
        return Look("dns", False, "DNS has no record of an address")
    resolver = dns.asyncresolver.Resolver(configure=not servers)
    if servers:
        resolver.nameservers = [_nameserver(server) for server in servers]
    try:
        answer = await resolver.resolve(name, "TXT", lifetime=LOOK_S)
    except dns.exception.DNSException as error:
        return Look("dns", False, f"{name} has no TXT record ({type(error).__name__})")
    texts = [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
    if proof_text(token) in texts:
        return Look("dns", True)
    return Look("dns", False, f"the TXT records of {name} hold another text")


def _nameserver(server: str) -> dns.nameserver.Nameserver:
    """Return the server of `address` or `address:port`."""
    address, _, port = server.rpartition(":") if server.count(":") == 1 else (server, "", "")
    return dns.nameserver.Do53Nameserver(address, int(port or 53))


async def _look_at_file(target: Target, token: str, settings: WebSettings) -> Look:
    url = f"{target.origin}{FILE_PATH}"
    policy = EgressPolicy(
        target,
        allow_loopback=settings.allow_loopback,
        max_requests=1,
        max_bytes=1 << 20,
        timeout_s=LOOK_S,
        connect_timeout_s=LOOK_S,
    )
    content = b""
    try:
        async with (
            asyncio.timeout(LOOK_S),
            EgressProxy(policy) as proxy,
            httpx.AsyncClient(proxy=proxy.url, trust_env=False) as client,
            client.stream("GET", url) as answer,
        ):
            if proxy.report.refused:
                return Look("file", False, f"{target.host} is not a public address")
            if answer.status_code != 200:
                return Look("file", False, f"{url} answers {answer.status_code}")
            async for chunk in answer.aiter_bytes(MAX_FILE):
                content += chunk
                if len(content) >= MAX_FILE:
                    break
    except (httpx.HTTPError, TimeoutError) as error:
        return Look("file", False, f"{url} can't be read ({type(error).__name__})")
    lines = [line.strip() for line in content[:MAX_FILE].decode("utf-8", "replace").splitlines()]
    return Look("file", proof_text(token) in lines, f"{url} holds another text")
