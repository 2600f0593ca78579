"""Secrets, addresses and names out of text that leaves a tenant, before anything of it is written.

detect-secrets knows the formats of issued tokens; the patterns here add what it misses: values
assigned to telling names, private keys whole, e-mail addresses, hostnames, IP addresses, user
names in paths. Placeholders are fixed words and reserved names (RFC 2606, RFC 5737, RFC 3849), so the same
secret always becomes the same text, code still parses, lines keep their numbers, and scrubbing
twice changes nothing.

What it can't know: a password in prose, a product's or a customer's name, a host that is spelled like
an attribute (`build.internal`), and of unnamed random strings of 20 to 32 letters and digits about one in
ten. It errs towards replacing: a scrubbed constant costs a training row little. Sites that code of every
tenant cites stay (`patterns.PUBLIC_HOSTS`); whose repository or profile it is there does not.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import msgspec

from securetag.scrubbing import patterns

SECRET, EMAIL, HOST, USER, ACCOUNT = (
    "REDACTED_SECRET",
    "user@redacted.example",
    "redacted.example",
    "user",
    "user/project",
)
IPV4, IPV6, MAC = "192.0.2.1", "2001:db8::1", "00-00-5E-00-53-00"


class Scrubbed(msgspec.Struct, frozen=True):
    """Text that may leave, and how many things of each kind were replaced in it."""

    text: str
    counts: dict[str, int]


#: True of a match that stays.
Keep = Callable[[str], bool]


def scrub(text: str) -> Scrubbed:
    """`text` without what identifies or unlocks; idempotent. Lines keep their numbers."""
    counts: Counter[str] = Counter()
    text = _without_identities(_without_secrets(text, counts), counts)
    return Scrubbed(_without_random(text, counts), dict(sorted(counts.items())))


def remove_secrets(text: str, counts: Counter[str]) -> str:
    """Return `text` without secrets, hosts and names untouched; add to `counts`. Idempotent."""
    return _without_random(_without_secrets(text, counts), counts)


def _without_random(text: str, counts: Counter[str]) -> str:
    return substitute(text, counts, "secret", SECRET, (patterns.LONG,), lambda value: not _random(value))


def _without_secrets(text: str, counts: Counter[str]) -> str:
    def whole(match: re.Match[str]) -> str:
        counts["secret"] += 1
        return SECRET + "\n" * match.group().count("\n")

    text = patterns.PEM.sub(whole, text)
    swap = partial(substitute, counts=counts, kind="secret", placeholder=SECRET)
    text = swap(text, patterns=(patterns.URL_LOGIN,), keep=lambda value: value == USER)
    text = swap(text, patterns=_ALWAYS)
    text = swap(text, patterns=_NAMED, keep=_no_secret)
    code = text
    text = swap(
        text, patterns=(patterns.ENVIRONMENT,), keep=lambda value: _no_secret(value) or _variable(value, code)
    )
    return _issued(text, counts)


def _without_identities(text: str, counts: Counter[str]) -> str:
    swap = partial(substitute, counts=counts)
    text = swap(text, kind="email", placeholder=EMAIL, patterns=(patterns.EMAIL,), keep=_no_email)
    text = swap(text, kind="user", placeholder=ACCOUNT, patterns=(patterns.ACCOUNT,))
    host = partial(swap, kind="host", placeholder=HOST)
    text = host(text, patterns=(patterns.URL_HOST,), keep=_no_host)
    text = host(text, patterns=(patterns.QUOTED_HOST, patterns.NAMED_HOST), keep=_no_quoted_host)
    text = host(text, patterns=(patterns.BARE_HOST,), keep=_no_bare_host)
    text = patterns.COMMENT.sub(
        lambda comment: host(comment.group(), patterns=(patterns.COMMENT_HOST,), keep=_no_quoted_host), text
    )
    text = swap(text, kind="mac", placeholder=MAC, patterns=(patterns.MAC,))
    text = swap(text, kind="ip", placeholder=IPV4, patterns=(patterns.IPV4,), keep=_no_ipv4)
    text = swap(
        text, kind="ip", placeholder=IPV6, patterns=(patterns.IPV6,), keep=lambda value: not _is_ipv6(value)
    )
    return swap(
        text, kind="user", placeholder=USER, patterns=_USERS, keep=lambda value: value in patterns.KEPT_USERS
    )


_ALWAYS = (patterns.WEBHOOK, patterns.URL_SECRET, patterns.JWT, patterns.PREFIXED, patterns.HEADER)
_NAMED = (
    patterns.ASSIGNED,
    patterns.ELEMENT,
    patterns.CONNECTION,
    patterns.OPTION,
    patterns.OPTION_LOGIN,
)
_USERS = (
    patterns.SSH,
    patterns.PROFILE,
    patterns.HOME,
    patterns.TILDE,
    patterns.LOGIN,
    patterns.LOGIN_SETTING,
    patterns.ACTING,
    patterns.AUTHOR,
)


def substitute(
    text: str,
    counts: Counter[str],
    kind: str,
    placeholder: str,
    patterns: Sequence[re.Pattern[str]],
    keep: Keep | None = None,
) -> str:
    """Return `text` with what the patterns find replaced, unless `keep` says that it stays."""
    swap = partial(_replaced, kind=kind, placeholder=placeholder, keep=keep, counts=counts)
    for pattern in patterns:
        text = pattern.sub(swap, text)
    return text


#: What stands in the place of a value in findings that are stored: of one length, which tells nothing.
MASK = "********"
_PLACEHOLDERS = frozenset({SECRET, EMAIL, HOST, USER, ACCOUNT, IPV4, IPV6, MAC})


def _replaced(
    match: re.Match[str], *, kind: str, placeholder: str, keep: Keep | None, counts: Counter[str]
) -> str:
    groups: dict[str, str] = match.groupdict()
    value = groups.get("value", match.group())
    if value in _PLACEHOLDERS or MASK in value or (keep is not None and keep(value)):
        return match.group()
    counts[kind] += 1
    return f"{groups.get('before', '')}{placeholder}"


def _no_secret(value: str) -> bool:
    """Whether a value beside a telling name is plainly not a secret: a name in braces, a sentence."""
    return (
        SECRET in value
        or bool(re.fullmatch(r"\$?\{[^}]*\}|\$\w+|%\(\w+\)s|%s|<[^>]*>|\.\.\.|--?[a-z][a-z-]*", value))
        or "://" in value  # an address: its login, host and parameters are replaced one by one
        or value.lower() in _PLAIN_WORDS
        or len(value.split()) > 4
    )


_PLAIN_WORDS = frozenset({"true", "false", "none", "null", "password", "token", "secret", "utf-8", "bearer"})


def _variable(value: str, code: str) -> bool:
    """True of a word that names something in this code: assigned, a parameter, or called elsewhere."""
    if "::" in value or not value.replace(".", "_").isidentifier():
        return "::" in value
    first = re.escape(value.split(".", maxsplit=1)[0])
    return bool(re.search(rf"(?:^|[^\w.]){first}\s*(?:=[^=]|\()|[(,]\s*{first}\s*[,)=:]|\b{first}\.\w", code))


def _reserved(host: str) -> bool:
    return bool(patterns.KEPT_HOST.search(host.rstrip(".")))


def _no_email(value: str) -> bool:
    # `scheme://SECRET@host` isn't an address: its host is replaced as a host.
    return value.startswith(SECRET) or _reserved(value.rpartition("@")[2])


def _no_host(value: str) -> bool:
    # In a pattern the dots of a host are escaped.
    plain = value.replace("\\", "")
    # What holds no dot is a name inside one network, or a part that code puts together.
    return _reserved(plain) or _public(plain) or bool(re.fullmatch(r"[\d.]+", plain))


def _public(host: str) -> bool:
    """True of a site that code of every tenant cites, and of its subdomains."""
    labels = host.lower().rstrip(".").split(".")
    return any(".".join(labels[at:]) in patterns.PUBLIC_HOSTS for at in range(len(labels) - 1))


def _no_quoted_host(value: str) -> bool:
    ending = value.rpartition(".")[2].lower()
    return ending not in patterns.HOST_ENDINGS or _no_bare_host(value)


#: First words of an attribute path in code, which a bare hostname looks like.
_CODE_ROOTS = frozenset({"self", "cls", "this", "request", "req", "app", "socket", "config"})


def _no_bare_host(value: str) -> bool:
    return _reserved(value) or _public(value) or value.split(".", maxsplit=1)[0] in _CODE_ROOTS


def _no_ipv4(value: str) -> bool:
    return bool(patterns.KEPT_IP.match(value)) or any(int(part) > 255 for part in value.split("."))


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
    """Does a long word look drawn at random? Names and paths are made of words and keep to one case."""
    if value.count("/") > 4 or value.count("_") > 2 or value.count("-") > 4:
        return False
    body = value.strip("=")
    digits, upper = sum(c.isdigit() for c in body), sum(c.isupper() for c in body)
    if re.fullmatch(r"[0-9a-fA-F]+", body):
        return len(body) >= 32 and digits >= 4 and _entropy(body) > 2.8
    enough = 2 if len(body) < 32 else 1
    return digits >= enough and 0 < upper < len(body) and _entropy(body) > 3.8 and not is_made_of_words(body)


def is_made_of_words(value: str) -> bool:
    """Whether at least half of it is words. Of random letters and digits a fifth is, by chance."""
    spoken = [word for word in patterns.WORDS.findall(value) if not _VOWELS.isdisjoint(word)]
    return "+" not in value and 2 * sum(map(len, spoken)) >= len(value)


_VOWELS = frozenset("aeiouyAEIOUY")


def _entropy(value: str) -> float:
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())


@lru_cache(maxsize=1)
def _detectors() -> tuple[Any, ...]:
    """detect-secrets' detectors of issued tokens. Its keyword and address detectors are ours above."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    left_out = {"KeywordDetector", "IPPublicDetector", "PrivateKeyDetector", "BasicAuthDetector"}
    plugins: list[Any] = list(get_mapping_from_secret_type_to_class().values())
    return tuple(
        kind()
        for kind in sorted(plugins, key=lambda kind: str(kind.__name__))
        if kind.__name__ not in left_out
    )


def _issued(text: str, counts: Counter[str]) -> str:
    """Tokens that a detector knows, replaced wherever they are words of their own."""
    secrets: set[str] = set()
    for line in text.split("\n"):
        for start in range(0, max(1, len(line) - OVERLAP), WINDOW - OVERLAP):
            part = line[start : start + WINDOW]
            if len(part) >= 12:
                secrets.update(_detected(part))
    for value in sorted(secrets, key=lambda value: (-len(value), value)):
        if SECRET in value or value in _PLACEHOLDERS or _no_secret(value) or not _plausible(value):
            continue
        text, number = re.subn(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", SECRET, text)
        if number:
            counts["secret"] += number
    return text


#: Characters of a line that are looked at together: some of the detectors take quadratic time.
WINDOW, OVERLAP = 4_000, 400


def _detected(line: str) -> Iterator[str]:
    from detect_secrets.filters.heuristic import is_potential_uuid, is_sequential_string
    from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin

    for detector in _detectors():
        by_entropy = isinstance(detector, HighEntropyStringsPlugin)
        # A detector may answer with None among its strings where a group didn't take part.
        for value in detector.analyze_string(line):
            if not value or len(value) < 8:
                continue
            if by_entropy and (
                detector.calculate_shannon_entropy(value) <= detector.entropy_limit
                or is_made_of_words(value)
                or is_sequential_string(value)
                or is_potential_uuid(value)
            ):
                continue
            yield value


def _plausible(value: str) -> bool:
    # The entropy detectors also report long names and format strings: a token holds a digit.
    return any(c.isdigit() for c in value) and not re.search(r"[\s{}()%]", value)
