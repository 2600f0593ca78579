"""Is a text that stands where a secret could stand one? Placeholders, names and messages are not."""

from __future__ import annotations

import base64
import math
import re
from collections import Counter
from typing import Literal

Judgment = Literal["no", "weak", "strong"]

MIN_CHARS, MAX_CHARS = 6, 500
#: Bits a character of what nobody types: hexadecimal digits at random have 4, English words about 3.
STRONG_ENTROPY = 3.2
STRONG_CHARS = 16
_PLACEHOLDER = re.compile(
    r"change.?(?:me|it|this)|replace|placeholder|example|sample|dummy|fake|mock|redacted|censored|removed|hidden"
    r"|your|yourself|insert|enter|todo|fixme|none|null|undefined|test|demo|default|insecure|not.?(?:a|the|real|used)"
    r"|secret.?(?:key)?.?(?:here|goes)|xxx|\.\.\.|…|\*\*\*|abcdef|123456|qwerty|foo|bar\b|baz|lorem",
    re.IGNORECASE,
)
#: Filled in elsewhere: `${X}`, `{{ x }}`, `%(x)s`, `<x>`, `$X`, `@x@`, `#{x}`, `os.environ[…]`.
_REFERENCE = re.compile(
    r"\$\{|\{\{|%\(|%[sdrv]\b|\{[\w.!:]*\}|^\$\(?[A-Za-z_]\w*\)?$|^<.*>$|^\[.*\]$|^@\w+@$|#\{|^!\w|^&|environ|getenv"
    r"|process\.env|\(\?[:!=P<]|^\w+\(.*\)$|^\w+\[.*\]$"
)
#: A path, an address, a name of a header or of a setting: lower or upper case words, joined.
_WORDS = re.compile(r"[A-Za-z]{2,}(?:[ _./:@-]+[A-Za-z]+)*[._/:-]?|[A-Z]?[a-z]+(?:[A-Z][a-z]+)+|[A-Z_]+")
_PATH = re.compile(
    r"(?:\.{0,2}/|[A-Za-z]:\\|~/)"
    r"|^[\w.-]+\.(?:py|js|ts|json|ya?ml|pem|txt|env|html|crt|key|toml)$"
)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
#: Of 32 bytes at random base64 has about 4.8 bits a character; a path of 44 characters about 3.9.
_BASE64, _BASE64_ENTROPY = re.compile(r"[A-Za-z0-9+/]{32,}={0,2}"), 4.3
#: Of letters alone: of 34 at random about 4.5, of words joined about 3.8.
_LETTERS_ENTROPY = 4.1
#: Characters and entropy of a text that is noise all over, signs of a reference in it included.
_NOISE_CHARS, _NOISE_ENTROPY = 40, 4.7
_IS_KEY = re.compile(r"api[_-]?key|auth[_-]?token|secret|password", re.IGNORECASE)
_COMMON = frozenset({"password", "passwd", "secret", "token", "admin", "root", "postgres", "mysql", "guest"})


def judge(value: str, name: str = "") -> Judgment:
    """Return whether a value is a secret: strong when nobody would have typed it, weak for a password.

    `name` is that of the setting or variable which holds it.
    """
    text = value.strip().removeprefix("base64:")
    if not MIN_CHARS <= len(text) <= MAX_CHARS or is_placeholder(text) or any(c.isspace() for c in text):
        return "no"
    plain = re.sub(r"[^a-z0-9]", "", text.lower())
    if (
        plain.rstrip("0123456789") in _COMMON
        or plain == re.sub(r"[^a-z0-9]", "", name.lower())
        or len(set(plain)) <= 2
    ):
        return "no"
    if _is_base64(text):
        return "strong"
    if _UUID.fullmatch(text):
        # Of most things the name, of a few services the key.
        return "weak" if _IS_KEY.search(name) else "no"
    if _PATH.search(text):
        return "no"
    if _WORDS.fullmatch(text):
        # Words are names of something, unless the name says that they are typed by a person.
        return "weak" if _is_password(name) and text.isalpha() and len(text) >= 8 else "no"
    if _is_random(text):
        return "strong"
    is_mixed = any(c.isdigit() for c in text) and any(c.isalpha() for c in text)
    return "weak" if is_mixed or _is_password(name) else "no"


def is_placeholder(text: str) -> bool:
    """Return whether a text stands for a value that is filled in elsewhere.

    A long random text that happens to hold such a word isn't one.
    """
    if len(text) >= _NOISE_CHARS and entropy(text) >= _NOISE_ENTROPY and any(c.isdigit() for c in text):
        return False
    if _REFERENCE.search(text):
        return True
    match = _PLACEHOLDER.search(text)
    if match is None:
        return len(set(text)) <= 2
    rest = text[: match.start()] + text[match.end() :]
    is_random = (
        len(rest) >= STRONG_CHARS and entropy(rest) >= STRONG_ENTROPY and any(c.isdigit() for c in rest)
    )
    return not is_random


def is_token(text: str) -> bool:
    """Return whether what has the form of a service's token may be one: it holds a digit, or is random."""
    is_mixed = any(c.isupper() for c in text) and any(c.islower() for c in text)
    return any(c.isdigit() for c in text) or (is_mixed and entropy(text) >= _LETTERS_ENTROPY)


def is_prose(text: str) -> bool:
    """Return whether a text is several words, such as `development key` in a document."""
    return re.fullmatch(r"[A-Za-z]+(?: [A-Za-z]+)+", text) is not None


def is_login(text: str) -> bool:
    """Return whether a text is base64 of a name and a password, with a colon between them."""
    try:
        login = base64.b64decode(text, validate=True).decode()
    except ValueError:
        return False
    return ":" in login and login.isprintable() and judge(login.partition(":")[2], "password") != "no"


def is_random_hex(text: str) -> bool:
    """Return whether a text is as many random hexadecimal digits as a token has."""
    return len(text) >= 40 and entropy(text) >= STRONG_ENTROPY and set(text) <= set("0123456789abcdef")


def is_random_mix(text: str) -> bool:
    """Return whether letters of both cases and digits are mixed at random, as no name mixes them."""
    return (
        entropy(text) >= _BASE64_ENTROPY
        and sum(c.isdigit() for c in text) >= 2
        and any(c.isupper() for c in text)
        and any(c.islower() for c in text)
    )


def _is_base64(text: str) -> bool:
    """Return whether a text is random base64, which may hold slashes: that is no path."""
    return _BASE64.fullmatch(text) is not None and is_random_mix(text)


def _is_random(text: str) -> bool:
    return len(text) >= STRONG_CHARS and entropy(text) >= STRONG_ENTROPY and any(c.isdigit() for c in text)


def entropy(text: str) -> float:
    """Return Shannon's entropy of a text's characters, in bits."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def _is_password(name: str) -> bool:
    return bool(re.search(r"pass(?:word|wd|phrase)?|pwd", name, re.IGNORECASE))
