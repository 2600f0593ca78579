"""An HTTP client that connects to public addresses only, whatever a host name or a redirect says.

The host name is resolved here and the connection goes to the address that was checked, so that a name that
resolves to another address the second time (DNS rebinding) has no effect. A catalog row whose prefix is
a loopback address may be crawled there, which the tests of the crawl need. httpx-secure does the same for
`AsyncClient` only, and connects to the address before it checks it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpcore
import httpx

from securetag.scanning.web.addresses import check_address


class AddressRefusedError(httpcore.ConnectError):
    """A host name that resolves to an address that isn't public."""


def get_loopback_host(url: str) -> str:
    """Return the host of a URL that names a loopback address literally; empty for any other URL."""
    host = urlsplit(url).hostname or ""
    try:
        return host if host == "localhost" or ip_address(host).is_loopback else ""
    except ValueError:
        return ""


class _GuardedBackend(httpcore.SyncBackend):
    """Connects to public addresses, and to loopback addresses of `loopback_host` (empty: none)."""

    def __init__(self, loopback_host: str) -> None:
        self.loopback_host = loopback_host

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = list(dict.fromkeys(str(info[4][0]) for info in infos))
        for address in addresses:
            refusal = check_address(address, allow_loopback=bool(host) and host == self.loopback_host)
            if refusal is not None:
                raise AddressRefusedError(f"{host} leads to {address}, which is no public address: {refusal}")
        last_error: httpcore.ConnectError | None = None
        for address in addresses:
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                last_error = error
        raise last_error or httpcore.ConnectError(f"{host} has no address")


def create_guarded_client(prefix: str, timeout_s: float) -> httpx.Client:
    """Return a client for the site of `prefix`: no proxy, no automatic redirect, no private address."""
    transport = httpx.HTTPTransport(trust_env=False)
    transport._pool = httpcore.ConnectionPool(  # httpx has no argument for it
        ssl_context=httpx.create_ssl_context(),  # with the authorities of SSL_CERT_FILE
        network_backend=_GuardedBackend(get_loopback_host(prefix)),
    )
    return httpx.Client(transport=transport, timeout=timeout_s, follow_redirects=False, trust_env=False)
