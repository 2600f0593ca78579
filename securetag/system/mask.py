"""Hide credentials in text that leaves this process: prompts, transcripts, logs.

Every line stays a line, so that line numbers hold. What is hidden is the value; the name beside it, and a
token's public prefix, stay, since a reader needs to see that there is a credential.
"""

from __future__ import annotations

import re

#: In place of a value.
MASK = "***"

#: Tokens that say by their form whose they are: prefix, then the secret.
_TOKENS = re.compile(
    r"\b(AKIA|ASIA|ghp_|gho_|ghu_|ghs_|ghr_|github_pat_|glpat-|xox[abprs]-|sk_live_|rk_live_|sk-|AIza|npm_|pypi-|"
    r"hf_|dop_v1_|SG\.|shpat_|stk_|EAACEdEose0cBA|eyJ[A-Za-z0-9_-]{8,}\.eyJ)[A-Za-z0-9_.=+/-]{12,}"
)
#: `scheme://user:password@host`.
_URL = re.compile(
    r"(?P<before>\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@'\"]{0,100}:)[^\s/@'\"]{1,200}(?=@)", re.IGNORECASE
)
_NAME = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|auth)"
)
#: A name that says credential, then `=`, `:`, `,` or `=>`, then a quoted value.
_QUOTED = re.compile(
    rf"(?P<before>{_NAME}[\w.\])'\"-]{{0,40}}\s*(?:=>|[:=,])\s*[bru]{{0,2}}(?P<quote>['\"`]))"
    r"(?!\s*(?P=quote))(?P<value>[^'\"`\n]{4,500})(?=(?P=quote))",
    re.IGNORECASE,
)
#: The same without quotes, as in `.env` files: at the beginning of a line, and without blanks or calls.
_BARE = re.compile(
    rf"(?P<before>^\s*(?:export\s+)?[A-Z0-9_]{{0,60}}{_NAME.upper()}[A-Z0-9_]{{0,40}}=)(?P<value>[^\s'\"(){{}}$]{{6,500}})$",
    re.MULTILINE,
)
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PEM_END = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_HEADER = re.compile(
    r"(?P<before>\b(?:authorization|cookie|set-cookie|x-api-key)\s*:\s*)[^\r\n]+", re.IGNORECASE
)


def mask_secrets(text: str) -> str:
    """Return the text with the values of credentials replaced by `***`, on the same lines."""
    text = _mask_private_keys(text)
    text = _TOKENS.sub(lambda match: match[1] + MASK, text)
    text = _URL.sub(lambda match: match["before"] + MASK, text)
    text = _HEADER.sub(lambda match: match["before"] + MASK, text)
    text = _QUOTED.sub(lambda match: match["before"] + MASK, text)
    return _BARE.sub(lambda match: match["before"] + MASK, text)


def _mask_private_keys(text: str) -> str:
    if "PRIVATE KEY-----" not in text:
        return text
    lines, inside = [], False
    for line in text.split("\n"):
        ends = inside and _PEM_END.search(line) is not None
        lines.append(MASK if inside and not ends and line.strip() else line)
        inside = (inside or _PEM_BEGIN.search(line) is not None) and not ends and not _PEM_END.search(line)
    return "\n".join(lines)
