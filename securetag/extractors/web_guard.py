"""Connections of a crawl: to public addresses alone, whatever a host name or a redirect says.

The name is resolved here and the connection goes to the address that was judged, so that a name that
answers differently the second time (DNS rebinding) gains nothing. A catalog row whose prefix is itself a
loopback address may be crawled there: that is how the crawl is tested. httpx-secure does the same for
`AsyncClient` only, and probes the address before it judges it.
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
    """A name that leads to an address which isn't public."""


def public(address: str) -> bool:
    """True = an address of the internet, also where IPv6 carries an IPv4 one inside."""
    try:
        ip = ip_address(address.split("%", maxsplit=1)[0])
    except ValueError:
        return False
    inner: list[IPv4Address | IPv6Address | None] = [ip]
    if isinstance(ip, IPv6Address):
        inner += [ip.ipv4_mapped, ip.sixtofour, ip.teredo[1] if ip.teredo else None]
        inner += [IPv4Address(ip.packed[-4:]) if ip in _NAT64 else None]
        if ip.ipv4_mapped or ip in _NAT64:
            inner[0] = None
    return all(one.is_global and not one.is_multicast for one in inner if one is not None)


def loopback(url: str) -> str:
    """The host of a URL that names a loopback address literally; empty for every other."""
    host = urlsplit(url).hostname or ""
    try:
        return host if host == "localhost" or ip_address(host).is_loopback else ""
    except ValueError:
        return ""


class _Backend(httpcore.SyncBackend):
    def __init__(self, own: str) -> None:
        self.own = own

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        for address in addresses:
            if not public(address) and not (
                self.own and host == self.own and ip_address(address).is_loopback
            ):
                raise AddressRefusedError(f"{host} leads to {address}, which is no public address")
        last: httpcore.ConnectError | None = None
        for address in addresses:
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                last = error
        raise last or httpcore.ConnectError(f"{host} has no address")


def guarded_client(prefix: str, timeout_s: float) -> httpx.Client:
    """A client for the site of `prefix`: no proxy, no redirect on its own, no private address."""
    transport = httpx.HTTPTransport(trust_env=False)
    transport._pool = httpcore.ConnectionPool(  # httpx has no argument for it
        ssl_context=httpx.create_ssl_context(trust_env=False), network_backend=_Backend(loopback(prefix))
    )
    return httpx.Client(transport=transport, timeout=timeout_s, follow_redirects=False, trust_env=False)
