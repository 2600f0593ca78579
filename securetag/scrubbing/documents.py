"""Secrets and personal data out of a user's documents, before a Record of them is written.

Other than in code that leaves a tenant, hosts, IP addresses and accounts at public sites stay: they are what
a document of security is about. Replaced are secrets, passwords in prose, e-mail addresses, telephone
numbers, payment cards, bank accounts, US social security numbers, and user names in paths.

What it can't know: a password of a plain word, a person's name, a postal address.
"""

from __future__ import annotations

import re
from collections import Counter

from securetag.scrubbing import patterns
from securetag.scrubbing.scrub import (
    EMAIL,
    SECRET,
    USER,
    Scrubbed,
    is_made_of_words,
    remove_secrets,
    substitute,
)

PHONE, CARD, ACCOUNT_NUMBER, PERSON_NUMBER = "[phone]", "[card]", "[account number]", "[person number]"


def scrub_document(text: str) -> Scrubbed:
    """Return `text` without secrets and personal data, and how many of each kind were in it.

    Idempotent; lines keep their numbers.
    """
    counts: Counter[str] = Counter()
    before = ""
    while text != before:  # what stood beside a replaced value may be a value only now
        before, text = text, _scrub_once(text, counts)
    return Scrubbed(text, dict(sorted(counts.items())))


def _scrub_once(text: str, counts: Counter[str]) -> str:
    text = substitute(text, counts, "secret", SECRET, patterns.IN_PROSE, _is_no_password)
    text = remove_secrets(text, counts)
    text = substitute(text, counts, "secret", SECRET, (patterns.CONTINUED,), _is_no_continuation)
    text = substitute(text, counts, "email", EMAIL, (patterns.EMAIL,), _is_no_email)
    text = substitute(text, counts, "card", CARD, (patterns.CARD,), lambda value: not _is_card(value))
    text = substitute(
        text, counts, "account number", ACCOUNT_NUMBER, (patterns.IBAN,), lambda value: not _is_iban(value)
    )
    text = substitute(text, counts, "person number", PERSON_NUMBER, (patterns.SSN,))
    text = substitute(text, counts, "phone", PHONE, patterns.PHONES, _is_no_phone)
    return substitute(
        text, counts, "user", USER, (patterns.HOME,), lambda value: value.lower() in patterns.KEPT_USERS
    )


def _is_no_password(value: str) -> bool:
    """Whether a word behind "the password is" is a plain word, as in "the password is required"."""
    bare = value.rstrip(".,;:!?)\"'`*_")
    if SECRET in value or re.fullmatch(r"[\"'`*_]*(?:\$?\{.*|<.*|\[.*|%\(?\w.*|\*+|x+|\.+)", value):
        return True
    is_mixed = any(c.isdigit() for c in bare) and any(c.isalpha() for c in bare)
    return not is_mixed and not (bare.isdigit() and len(bare) >= 6) and not re.search(r"[!@#$%^&*+=~]", bare)


def _is_no_continuation(value: str) -> bool:
    """Whether what follows a secret is a word, rather than the rest of it that a line break cut off."""
    is_mixed = any(c.isupper() for c in value) and any(c.islower() for c in value)
    return not is_mixed or is_made_of_words(value)


def _is_no_email(value: str) -> bool:
    return value.startswith(SECRET)


def _is_card(value: str) -> bool:
    """Whether the digits pass Luhn's check (ISO/IEC 7812-1, annex B), and aren't one digit repeated."""
    digits = [int(c) for c in value if c.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(value: str) -> bool:
    """Whether the number passes the check of ISO 13616 (modulo 97)."""
    bare = value.replace(" ", "").upper()
    rearranged = "".join(str(int(c, 36)) for c in bare[4:] + bare[:4])
    return 15 <= len(bare) <= 34 and int(rearranged) % 97 == 1


def _is_no_phone(value: str) -> bool:
    """Whether there are too few or too many digits for a telephone number (ITU-T E.164), or only zeros."""
    digits = [c for c in value if c.isdigit()]
    return not 9 <= len(digits) <= 15 or len(set(digits)) < 3
