"""Mask what a published text has of persons and of live systems: e-mail addresses, keys that a vendor issued.

Public sources are not scrubbed like tenants' documents, whose passwords and hosts go too: a guide's examples
of passwords are what it teaches. An address at a domain that is reserved for examples names nobody.
"""

from __future__ import annotations

import re

from securetag.scrubbing import patterns
from securetag.scrubbing.scrub import EMAIL, SECRET

#: Domains that RFC 2606 and RFC 6761 reserve for examples.
_RESERVED = re.compile(
    r"@(?:[\w-]+\.)*(?:example(?:\.(?:com|net|org))?|test|invalid|localhost)$", re.IGNORECASE
)
#: Forms of keys that a vendor issues and that work as they stand: Google, AWS, GitHub, Slack, Stripe.
_ISSUED = re.compile(
    r"\b(?:AIza[\w-]{35}|6L[\w-]{38,40}|AKIA[A-Z0-9]{16}|gh[pousr]_\w{36}|xox[abprs]-[\w-]{10,}|[sr]k_live_\w{16,})"
)


def mask_personal_data(text: str) -> str:
    """Return the text with addresses of persons and issued keys masked."""
    if "@" in text:
        text = patterns.EMAIL.sub(lambda match: match[0] if _RESERVED.search(match[0]) else EMAIL, text)
    return _ISSUED.sub(SECRET, text)
