"""Secrets, addresses and names out of text that leaves a tenant, before anything of it is written.

detect-secrets knows the formats of issued tokens; the patterns here add what it misses: values
assigned to telling names, private keys whole, e-mail addresses, hostnames, IP addresses, user
names in paths. Placeholders are fixed words and reserved names (RFC 2606, RFC 5737, RFC 3849), so the same
secret always becomes the same text, code still parses, lines keep their numbers, and scrubbing
twice changes nothing.

What it can't know: a password in prose, a product's or a customer's name, a host that is spelt like
an attribute (`build.internal`). It errs towards replacing: a scrubbed constant costs a training row
little.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import msgspec

from securetag.datasets import patterns

SECRET, EMAIL, HOST, IPV4, IPV6, USER = (
    "REDACTED_SECRET", "user@redacted.example", "redacted.example", "192.0.2.1", "2001:db8::1", "user",
)  # fmt: skip


class Scrubbed(msgspec.Struct, frozen=True):
    """Text that may leave, and how many things of each kind were replaced in it."""

    text: str
    counts: dict[str, int]


#: True of a match that stays.
Keep = Callable[[str], bool]


def scrub(text: str) -> Scrubbed:
    """`text` without what identifies or unlocks; idempotent. Lines keep their numbers."""
    counts: Counter[str] = Counter()

    def swap(kind: str, placeholder: str, keep: Keep | None = None) -> Callable[[re.Match[str]], str]:
        return partial(_replaced, kind=kind, placeholder=placeholder, keep=keep, counts=counts)

    def whole(match: re.Match[str]) -> str:
        counts["secret"] += 1
        return SECRET + "\n" * match.group().count("\n")

    text = patterns.PEM.sub(whole, text)
    text = patterns.URL_LOGIN.sub(swap("secret", SECRET, lambda value: value == USER), text)
    for pattern in (patterns.WEBHOOK, patterns.URL_SECRET, patterns.JWT, patterns.PREFIXED, patterns.HEADER):
        text = pattern.sub(swap("secret", SECRET), text)
    text = patterns.ASSIGNED.sub(swap("secret", SECRET, _no_secret), text)
    text = patterns.ENVIRONMENT.sub(swap("secret", SECRET, _no_secret), text)
    text = _issued(text, counts)
    text = patterns.EMAIL.sub(swap("email", EMAIL, _no_email), text)
    text = patterns.SSH.sub(swap("user", USER), text)
    text = patterns.URL_HOST.sub(swap("host", HOST, _no_host), text)
    text = patterns.QUOTED_HOST.sub(swap("host", HOST, _no_quoted_host), text)
    text = patterns.BARE_HOST.sub(swap("host", HOST, _no_bare_host), text)
    text = patterns.MAC.sub(swap("mac", "00-00-5E-00-53-00"), text)
    text = patterns.IPV4.sub(
        swap("ip", IPV4, lambda value: bool(patterns.KEPT_IP.match(value)) or not _is_ipv4(value)), text
    )
    text = patterns.IPV6.sub(swap("ip", IPV6, lambda value: not _is_ipv6(value)), text)
    for pattern in (patterns.HOME, patterns.TILDE, patterns.LOGIN, patterns.AUTHOR):
        text = pattern.sub(swap("user", USER), text)
    text = patterns.LONG.sub(swap("secret", SECRET, lambda value: not _random(value)), text)
    return Scrubbed(text, dict(sorted(counts.items())))


_PLACEHOLDERS = frozenset({SECRET, EMAIL, HOST, IPV4, IPV6, USER, "00-00-5E-00-53-00"})


def _replaced(
    match: re.Match[str], *, kind: str, placeholder: str, keep: Keep | None, counts: Counter[str]
) -> str:
    found: dict[str, str] = match.groupdict()
    value = found.get("value", match.group())
    if value in _PLACEHOLDERS or (keep is not None and keep(value)):
        return match.group()
    counts[kind] += 1
    return f"{found.get('before', '')}{placeholder}"


def _no_secret(value: str) -> bool:
    """True of what stands beside a telling name but is plainly no secret: a name in braces, a sentence."""
    return (
        SECRET in value
        or bool(re.fullmatch(r"\$?\{[^}]*\}|\$\w+|%\(\w+\)s|%s|<[^>]*>|\.\.\.", value))
        or "://" in value  # an address: its login, host and parameters are replaced one by one
        or value.lower() in _PLAIN_WORDS
        or len(value.split()) > 4
    )


_PLAIN_WORDS = frozenset({"true", "false", "none", "null", "password", "token", "secret", "utf-8", "bearer"})


def _reserved(host: str) -> bool:
    return bool(patterns.KEPT_HOST.search(host.rstrip(".")))


def _no_email(value: str) -> bool:
    # `scheme://SECRET@host` isn't an address: its host is replaced as a host.
    return value.startswith(SECRET) or _reserved(value.rpartition("@")[2])


def _no_host(value: str) -> bool:
    # In a pattern the dots of a host are escaped.
    plain = value.replace("\\", "")
    return _reserved(plain) or bool(re.fullmatch(r"[\d.]+", plain))


def _no_quoted_host(value: str) -> bool:
    ending = value.rpartition(".")[2].lower()
    return _reserved(value) or ending not in patterns.HOST_ENDINGS


#: First words of an attribute path in code, which a bare hostname looks like.
_CODE_ROOTS = frozenset({"self", "cls", "this", "request", "req", "app", "socket", "config"})


def _no_bare_host(value: str) -> bool:
    return _reserved(value) or value.split(".", maxsplit=1)[0] in _CODE_ROOTS


def _is_ipv4(value: str) -> bool:
    return all(int(part) <= 255 for part in value.split("."))


def _is_ipv6(value: str) -> bool:
    import ipaddress

    groups = [group for group in value.split(":") if group]
    if len(groups) < 4 and not any(c.isalpha() for c in value):
        return False  # a slice
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return not (
        address.is_loopback or address.is_unspecified or address in ipaddress.IPv6Network("2001:db8::/32")
    )


def _random(value: str) -> bool:
    """Does a long word look drawn at random? Names and paths repeat letters and keep to one case."""
    if value.count("/") > 2 or value.count("_") > 2 or value.count("-") > 4:
        return False
    body = value.strip("=")
    digits, upper = sum(c.isdigit() for c in body), sum(c.isupper() for c in body)
    if re.fullmatch(r"[0-9a-fA-F]+", body):
        return len(body) >= 32 and digits >= 4 and _entropy(body) > 2.8
    return digits >= 2 and 0 < upper < len(body) and _entropy(body) > 3.8


def _entropy(value: str) -> float:
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())


@lru_cache(maxsize=1)
def _detectors() -> tuple[Any, ...]:
    """detect-secrets' detectors of issued tokens. Its keyword and address detectors are ours above."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    left_out = {"KeywordDetector", "IPPublicDetector", "PrivateKeyDetector", "BasicAuthDetector"}
    found: list[Any] = list(get_mapping_from_secret_type_to_class().values())
    return tuple(
        kind() for kind in sorted(found, key=lambda kind: str(kind.__name__)) if kind.__name__ not in left_out
    )


def _issued(text: str, counts: Counter[str]) -> str:
    """Tokens that a detector knows, replaced wherever they stand."""
    found: set[str] = set()
    for line in text.split("\n"):
        if len(line) < 12:
            continue
        for detector in _detectors():
            # A detector may answer with None among its strings where a group didn't take part.
            found |= {value for value in detector.analyze_string(line) if value and len(value) >= 8}
    for value in sorted(found, key=lambda value: (-len(value), value)):
        if SECRET in value or value in _PLACEHOLDERS or _no_secret(value) or not _plausible(value):
            continue
        if value in text:
            counts["secret"] += text.count(value)
            text = text.replace(value, SECRET)
    return text


def _plausible(value: str) -> bool:
    # The entropy detectors also report long names and format strings: a token holds a digit.
    return any(c.isdigit() for c in value) and not re.search(r"[\s{}()%]", value)
