"""Secrets out of requests and answers before they are stored, shown or put into a prompt.

A scanner sends the sessions and keys that it was given, and an answer may hold anything. What is attacked
stays readable: the value of `keep`, the parameter that a finding is about. Issued tokens are masked as
everywhere (`secrets.mask`); here are the forms of HTTP.
"""

from __future__ import annotations

import re
from functools import partial

from securetag.scanning.secrets.mask import mask_issued

REDACTED = "[redacted]"

#: Characters that are looked at; the rest is cut off. Every repetition below that another part must follow is
#: bounded, so that no text costs more than a fraction of a second.
MAX_CHARS = 16_384

#: Headers whose value unlocks something. Of cookies the names and the attributes without a value stay.
_HEADER = re.compile(
    r"^([ \t]{0,8}(?:(?:proxy-)?authorization|x-[\w-]{0,60}(?:key|token|secret|auth)[\w-]{0,60}|api-?key))"
    r"([ \t]*:[ \t]*)[^\r\n]+",
    re.IGNORECASE | re.MULTILINE,
)
_COOKIES = re.compile(r"^([ \t]{0,8}(?:set-)?cookie[ \t]*:)([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_COOKIE_VALUE = re.compile(r"([^=;,\s]{1,200}=)[^;\r\n]*")
#: `name=value` in queries and forms, and `"name": "value"` in JSON.
_NAMED = re.compile(
    r"(?P<before>(?P<name>\b[\w.\[\]-]{0,60}(?:passw|pwd|secret|token|api[_-]?key|session|csrf|credential|jwt)"
    r"[\w.\[\]-]{0,60})(?:=|\"[ \t]*:[ \t]*\"))(?P<value>[^&\s\"<>;]+)",
    re.IGNORECASE,
)
#: Values that say themselves what they are.
_ISSUED = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[\w-]{8,2000}\.[\w-]{8,2000}(?:\.[\w-]*)?"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\b(?:gh[pousr]|github_pat|glpat|xox[abeprs]|sk|pk|rk|stk)[-_][\w-]{16,}"
    r"|\bBearer[ +]+[\w.~+/=-]{8,}",
    re.DOTALL,
)
_LOGIN = re.compile(r"(?<=://)[^/@\s:]+:[^/@\s]+(?=@)")


def redact(text: str, *, keep: str = "") -> str:
    """Return `text` without values that unlock something; the parameter `keep` is left as it is."""
    text = _ISSUED.sub(REDACTED, _LOGIN.sub(REDACTED, text[:MAX_CHARS]))
    text = _HEADER.sub(rf"\1\2{REDACTED}", text)
    text = _COOKIES.sub(partial(_cookies, keep=keep), text)
    return mask_issued(_NAMED.sub(partial(_named, keep=keep), text))


def _cookies(match: re.Match[str], *, keep: str) -> str:
    def value(cookie: re.Match[str]) -> str:
        return cookie.group() if cookie.group(1) == f"{keep}=" else f"{cookie.group(1)}{REDACTED}"

    return match.group(1) + _COOKIE_VALUE.sub(value, match.group(2))


def _named(match: re.Match[str], *, keep: str) -> str:
    return match.group() if match["name"] == keep else f"{match['before']}{REDACTED}"
