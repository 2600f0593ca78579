"""Which web applications can be targets, and which addresses nothing of ours connects to on a user's behalf.

A name says nothing of where it leads, and may lead elsewhere a moment later. So a host's spelling is checked
when it becomes a target, and its addresses are checked whenever a connection is made (`egress`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from securetag.errors import InputError

_DEFAULT_PORTS = {"http": 80, "https": 443}
#: Characters of a URL that is scanned.
MAX_URL = 2_000
_BLANK = re.compile(r"[\x00-\x20\x7f]")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
#: What a resolver takes for a number: `2130706433`, `0x7f.1`, `0177.0.0.1`.
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
#: Where clouds answer with credentials. Some of these look like any other public or private address.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            "169.254.169.254",  # AWS, Azure, DigitalOcean, Google, OpenStack, …
            "169.254.170.2",  # AWS ECS
            "169.254.170.23",  # AWS EKS
            "fd00:ec2::254",  # AWS
            "fd00:ec2::23",  # AWS EKS
            "fd20:ce::254",  # Google
            "168.63.129.16",  # Azure
            "192.0.0.192",  # Oracle
            "100.100.100.200",  # Alibaba
        ),
    )
)
#: IPv6 prefixes that carry an IPv4 address: mapped, translated (RFC 6052, RFC 8215), 6to4, Teredo.
_EMBEDDING = tuple(
    map(
        ipaddress.IPv6Network,
        ("::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"),
    )
)
#: The one of them that resolvers answer with: a host without IPv4 reaches the public IPv4 address through it.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: Private addresses of old; RFC 3879 deprecates them without giving them away.
_SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")


#: What an operator may allow.
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Refusal(StrEnum):
    """Why a connection is not made."""

    LOOPBACK = "loopback"
    PRIVATE = "private"
    LINK_LOCAL = "link_local"
    METADATA = "metadata"
    MULTICAST = "multicast"
    UNSPECIFIED = "unspecified"
    #: An IPv6 address that carries an IPv4 address.
    EMBEDDED = "embedded"
    #: Neither private nor reachable from everywhere.
    RESERVED = "reserved"
    #: The host isn't the target's, or the port.
    OTHER_HOST = "other_host"
    #: The scan's limit of requests, bytes or time.
    LIMIT = "limit"
    #: Not a request that a proxy answers.
    MALFORMED = "malformed"


@dataclass(frozen=True)
class Target:
    """A web application: scheme, host and port."""

    scheme: str
    #: Lower case, ASCII; an IPv6 address without brackets.
    host: str
    port: int

    @property
    def origin(self) -> str:
        """`https://shop.example.com`, with the port where it isn't the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (
            "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        )


def parse_target(url: str) -> Target:
    """Return the target that a URL belongs to. Raises InputError for what can't be one."""
    if len(url) > MAX_URL or _BLANK.search(url):
        raise InputError(
            f"the URL has more than {MAX_URL} characters, or a blank in it", hint="Escape it as browsers do."
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InputError(f"{url!r} is no URL: {error}", hint=_HINT) from error
    if parts.scheme not in _DEFAULT_PORTS or not host or port == 0:
        raise InputError(f"{url!r} is no http or https URL with a host", hint=_HINT)
    if parts.username is not None or parts.password is not None:
        raise InputError("the URL holds a user name or a password", hint="Leave them out of the URL.")
    return Target(parts.scheme, _read_host(host), port or _DEFAULT_PORTS[parts.scheme])


_HINT = "Give the application's address, for example https://shop.example.com."


def _read_host(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        name = host.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError as error:
        raise InputError(f"{host!r} is no host name", hint=_HINT) from error
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        raise InputError(
            f"{host!r} is a number in another spelling than an address has",
            hint="Give the host's name, or its address as four decimal numbers.",
        )
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise InputError(f"{host!r} is no host name", hint=_HINT)
    return name


def parse_endpoint(url: str, networks: Collection[Network]) -> Target:
    """Return the server of a URL that this service connects to on a user's behalf: webhooks, repositories.

    HTTPS alone, but for an address on loopback in an allowed network. Raises InputError, also where the host
    is an address that `check_address` refuses; a host's name is resolved when the connection is made.
    """
    target = parse_target(url)
    try:
        ip = ipaddress.ip_address(target.host)
    except ValueError:
        ip = None
    refusal = check_address(target.host, networks=networks) if ip is not None else None
    if refusal is not None:
        raise InputError(f"nothing connects to {target.host}: {refusal}", hint="Give a public address.")
    if target.scheme != "https" and not (ip is not None and ip.is_loopback):
        raise InputError("the URL isn't https", hint="Give an address that begins with https://.")
    return target


def check_address(
    address: str, *, allow_loopback: bool = False, networks: Collection[Network] = ()
) -> Refusal | None:
    """Return why nothing connects to this IP address; None where it is an ordinary public one.

    The one definition of a public address: of scanned web applications, webhooks, git and crawled pages.
    `allow_loopback` is for an application on this machine, in tests and on a developer's computer;
    `networks` are those that the operator has allowed beside the public ones.
    """
    ip = ipaddress.ip_address(address)
    if ip in _METADATA:
        return Refusal.METADATA
    if any(ip in network for network in networks):
        return None
    if isinstance(ip, ipaddress.IPv6Address) and any(ip in network for network in _EMBEDDING):
        is_public = ip in _NAT64 and check_address(str(ipaddress.IPv4Address(ip.packed[-4:]))) is None
        return None if is_public else Refusal.EMBEDDED
    if ip.is_loopback:
        return None if allow_loopback else Refusal.LOOPBACK
    for is_refused, refusal in (
        (ip.is_unspecified, Refusal.UNSPECIFIED),
        (ip.is_multicast, Refusal.MULTICAST),
        (ip.is_link_local, Refusal.LINK_LOCAL),
        (ip.is_reserved, Refusal.RESERVED),
        (ip.is_private or ip in _SITE_LOCAL, Refusal.PRIVATE),
        (not ip.is_global, Refusal.RESERVED),
    ):
        if is_refused:
            return refusal
    return None
