"""Is a text that stands where a secret could stand one? Placeholders, names and messages are not."""

from __future__ import annotations

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
    r"|process\.env|^\w+\(.*\)$|^\w+\[.*\]$"
)
#: A path, an address, a name of a header or of a setting: lower or upper case words, joined.
_WORDS = re.compile(r"[A-Za-z]{2,}(?:[ _./:@-]+[A-Za-z]+)*[._/:-]?|[A-Z]?[a-z]+(?:[A-Z][a-z]+)+|[A-Z_]+")
_PATH = re.compile(
    r"(?:\.{0,2}/|[A-Za-z]:\\|~/)"
    r"|^[\w.-]+\.(?:py|js|ts|json|ya?ml|pem|txt|env|html|crt|key|toml)$"
)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_COMMON = frozenset({"password", "passwd", "secret", "token", "admin", "root", "postgres", "mysql", "guest"})


def judge(value: str, name: str = "") -> Judgment:
    """Return whether a value is a secret: strong when nobody would have typed it, weak for a password.

    `name` is that of the setting or variable which holds it.
    """
    text = value.strip()
    if not MIN_CHARS <= len(text) <= MAX_CHARS or is_placeholder(text) or any(c.isspace() for c in text):
        return "no"
    plain = re.sub(r"[^a-z0-9]", "", text.lower())
    if (
        plain.rstrip("0123456789") in _COMMON
        or plain == re.sub(r"[^a-z0-9]", "", name.lower())
        or len(set(plain)) <= 2
    ):
        return "no"
    if _PATH.search(text) or _UUID.fullmatch(text):
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


def _is_random(text: str) -> bool:
    return len(text) >= STRONG_CHARS and entropy(text) >= STRONG_ENTROPY and any(c.isdigit() for c in text)


def entropy(text: str) -> float:
    """Return Shannon's entropy of a text's characters, in bits."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def _is_password(name: str) -> bool:
    return bool(re.search(r"pass(?:word|wd|phrase)?|pwd", name, re.IGNORECASE))
