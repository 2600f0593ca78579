"""An HTTP client that connects to public addresses only, whatever a host name or a redirect says.

The host name is resolved here and the connection goes to the address that was checked, so that a name that
resolves to another address the second time (DNS rebinding) has no effect. A catalog row whose prefix is
a loopback address may be crawled there, which the tests of the crawl need. httpx-secure does the same for
`AsyncClient` only, and connects to the address before it checks it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

import httpcore
import httpx

_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefusedError(httpcore.ConnectError):
    """A host name that resolves to an address that isn't public."""


def is_public(address: str) -> bool:
    """Whether an address belongs to the internet, and an IPv4 address embedded in an IPv6 address too."""
    try:
        ip = ip_address(address.split("%", maxsplit=1)[0])
    except ValueError:
        return False
    addresses: list[IPv4Address | IPv6Address | None] = [ip]
    if isinstance(ip, IPv6Address):
        addresses += [ip.ipv4_mapped, ip.sixtofour, ip.teredo[1] if ip.teredo else None]
        addresses += [IPv4Address(ip.packed[-4:]) if ip in _NAT64 else None]
        if ip.ipv4_mapped or ip in _NAT64:
            addresses[0] = None
    return all(
        embedded.is_global and not embedded.is_multicast for embedded in addresses if embedded is not None
    )


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
            is_allowed_loopback = (
                bool(self.loopback_host) and host == self.loopback_host and ip_address(address).is_loopback
            )
            if not is_public(address) and not is_allowed_loopback:
                raise AddressRefusedError(f"{host} leads to {address}, which is no public address")
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
