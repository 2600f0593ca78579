"""Which hosts can be targets, and which addresses are refused."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.errors import InputError
from securetag.scanning.web.addresses import Refusal, check_address, parse_target


@pytest.mark.parametrize(
    ("address", "refusal"),
    [
        pytest.param("93.184.216.34", None, id="a public address"),
        pytest.param("2606:2800:220:1:248:1893:25c8:1946", None, id="a public IPv6 address"),
        pytest.param("127.0.0.1", Refusal.LOOPBACK, id="loopback"),
        pytest.param("127.255.255.254", Refusal.LOOPBACK, id="the end of loopback"),
        pytest.param("::1", Refusal.LOOPBACK, id="IPv6 loopback"),
        pytest.param("10.0.0.1", Refusal.PRIVATE, id="10/8"),
        pytest.param("172.31.255.255", Refusal.PRIVATE, id="172.16/12"),
        pytest.param("192.168.1.1", Refusal.PRIVATE, id="192.168/16"),
        pytest.param("fd12:3456::1", Refusal.PRIVATE, id="a unique local address"),
        pytest.param("169.254.1.1", Refusal.LINK_LOCAL, id="link-local"),
        pytest.param("fe80::1", Refusal.LINK_LOCAL, id="IPv6 link-local"),
        pytest.param("fe80::1%eth0", Refusal.LINK_LOCAL, id="IPv6 link-local with a zone"),
        pytest.param("169.254.169.254", Refusal.METADATA, id="metadata"),
        pytest.param("fd00:ec2::254", Refusal.METADATA, id="metadata by IPv6"),
        pytest.param("168.63.129.16", Refusal.METADATA, id="Azure's public metadata address"),
        pytest.param("100.100.100.200", Refusal.METADATA, id="Alibaba's metadata"),
        pytest.param("100.64.0.1", Refusal.RESERVED, id="a carrier's shared address"),
        pytest.param("224.0.0.1", Refusal.MULTICAST, id="multicast"),
        pytest.param("ff02::1", Refusal.MULTICAST, id="IPv6 multicast"),
        pytest.param("0.0.0.0", Refusal.UNSPECIFIED, id="unspecified"),
        pytest.param("::", Refusal.UNSPECIFIED, id="IPv6 unspecified"),
        pytest.param("0.1.2.3", Refusal.PRIVATE, id="this network"),
        pytest.param("255.255.255.255", Refusal.RESERVED, id="broadcast"),
        pytest.param("::ffff:127.0.0.1", Refusal.EMBEDDED, id="IPv4-mapped"),
        pytest.param("::127.0.0.1", Refusal.RESERVED, id="IPv4-compatible"),
        pytest.param("::ffff:93.184.216.34", Refusal.EMBEDDED, id="IPv4-mapped public"),
        pytest.param("64:ff9b::7f00:1", Refusal.EMBEDDED, id="NAT64"),
        pytest.param("64:ff9b::a9fe:a9fe", Refusal.EMBEDDED, id="metadata by NAT64"),
        pytest.param("64:ff9b::5db8:d822", None, id="a public address by NAT64"),
        pytest.param("64:ff9b:1::a00:1", Refusal.EMBEDDED, id="local NAT64"),
        pytest.param("2002:7f00:1::", Refusal.EMBEDDED, id="6to4"),
        pytest.param("2001:0:7f00:1::", Refusal.EMBEDDED, id="Teredo"),
        pytest.param("fec0::1", Refusal.PRIVATE, id="site-local"),
    ],
)
def test_only_ordinary_public_addresses_are_connected_to(address: str, refusal: Refusal | None) -> None:
    assert check_address(address) is refusal


def test_loopback_is_allowed_alone() -> None:
    assert check_address("127.0.0.1", allow_loopback=True) is None
    assert check_address("::1", allow_loopback=True) is None
    for address in ("10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0"):
        assert check_address(address, allow_loopback=True) is not None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_refused_in_ipv6_too(address: ipaddress.IPv4Address) -> None:
    for spelling in (f"::ffff:{address}", f"::{address}"):
        assert check_address(spelling) is not None
    is_public = check_address(str(address)) is None
    assert (check_address(f"64:ff9b::{address}") is None) is is_public


@given(st.ip_addresses())
def test_what_is_connected_to_is_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if check_address(str(address)) is None:
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_link_local


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        pytest.param("https://Shop.Example.com/a?b#c", "https://shop.example.com", id="a page"),
        pytest.param("http://shop.example.com:80", "http://shop.example.com", id="the scheme's port"),
        pytest.param("https://shop.example.com.:8443/", "https://shop.example.com:8443", id="a port, a dot"),
        pytest.param("https://münze.example/", "https://xn--mnze-0ra.example", id="an international name"),
        pytest.param("http://93.184.216.34/", "http://93.184.216.34", id="an address"),
        pytest.param("http://[2606:2800:0:0::1]:81/", "http://[2606:2800::1]:81", id="an IPv6 address"),
    ],
)
def test_a_url_belongs_to_a_target(url: str, origin: str) -> None:
    assert parse_target(url).origin == origin
    assert parse_target(origin) == parse_target(url)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("ftp://shop.example.com", id="another scheme"),
        pytest.param("shop.example.com", id="no scheme"),
        pytest.param("http:///path", id="no host"),
        pytest.param("http://shop.example.com:70000", id="no such port"),
        pytest.param("http://shop.example.com:0", id="port 0"),
        pytest.param("https://user:hunter2@shop.example.com", id="a login"),
        pytest.param("http://2130706433/", id="a decimal number"),
        pytest.param("http://0x7f000001/", id="a hexadecimal number"),
        pytest.param("http://017700000001/", id="an octal number"),
        pytest.param("http://0177.0.0.1/", id="an octal part"),
        pytest.param("http://127.1/", id="a short address"),
        pytest.param("http://shop.0x7f/", id="a name that ends in a number"),
        pytest.param("http://[::1", id="an open bracket"),
        pytest.param("http://a b.example/", id="a blank"),
        pytest.param("http://a.example/b\nc", id="a line break"),
        pytest.param("http://a.example/" + "b" * 2_000, id="a long URL"),
        pytest.param("http://shop..example/", id="an empty label"),
        pytest.param(f"http://{'a' * 64}.example/", id="a long label"),
    ],
)
def test_what_cannot_be_a_target_is_refused(url: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse_target(url)
    assert refusal.value.hint
    assert "hunter2" not in str(refusal.value)
