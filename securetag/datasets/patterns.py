"""What `scrub` looks for: shapes of secrets, addresses and names.

Each pattern replaces its group `value`, or all of its match where it has none, and keeps `before`.
Issued tokens that detect-secrets knows as well stand here too where it needs quotes around them.
"""

from __future__ import annotations

import re

#: Names whose value is a secret, as a part of an identifier or of a key.
_TELLING = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|signing[_-]?key|encryption[_-]?key|auth(?:orization)?|credentials?|pepper|salt|bearer|dsn"
    r"|account[_-]?key|license[_-]?key)"
)
PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*(?:PRIVATE KEY|CERTIFICATE)[A-Z ]*-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)",
    re.DOTALL,
)
ASSIGNED = re.compile(
    rf"(?i)(?P<before>[\w-]*{_TELLING}[\w-]*[\"']?\]?\s*"
    r"(?::\s*\w+\s*=|[:=]{1,2}|=>|,)\s*[rbuf]{0,2}(?P<quote>[\"'`]))"
    r"(?P<value>[^\"'`\n]{3,})(?=(?P=quote))"
)
ENVIRONMENT = re.compile(
    rf"(?im)^(?P<before>\s*(?:export\s+|set\s+|-\s+)?[A-Z0-9_.-]*{_TELLING}[A-Z0-9_]*\s*[=:]\s*)"
    r"(?P<value>[^\s\"'`(){}\[\]<>,;.]{6,})(?=[ \t]*$)"
)
HEADER = re.compile(r"(?i)(?P<before>\b(?:bearer|basic|token|apikey)\s+)(?P<value>[A-Za-z0-9._~+/=-]{12,})")
URL_LOGIN = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]*://)(?P<value>[^\s/@\"'<>]{1,200})(?=@)")
URL_SECRET = re.compile(
    rf"(?i)(?P<before>[?&][\w-]*(?:{_TELLING}|sig|signature|key)[\w-]*=)(?P<value>[^&\s\"'#]{{6,}})"
)
JWT = re.compile(r"\bey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?")
WEBHOOK = re.compile(
    r"(?P<before>hooks\.slack\.com/services/|discord(?:app)?\.com/api/webhooks/)(?P<value>[\w/-]+)"
)
PREFIXED = re.compile(
    r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{12,}|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}"
    r"|\bglpat-[\w-]{16,}|\bxox[abeoprs]-[\w-]{10,}|\b[srp]k_(?:live|test)_\w{10,}|\bwhsec_\w{16,}"
    r"|\bsk-[\w-]{20,}|\bAIza[\w-]{30,}|\bya29\.[\w-]{20,}|\bnpm_\w{30,}|\bpypi-[\w-]{20,}"
    r"|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bhf_\w{20,}|\bdop_v1_\w{30,}|\bstk_\w{8,}|\bAGE-SECRET-KEY-1\w{20,}"
    r"|\bhvs\.\w{20,}|\bshp(?:at|ss|ca)_\w{20,}|\b\d{8,10}:AA[\w-]{30,}|\b(?:SK|AC)[0-9a-f]{32}\b"
)
EMAIL = re.compile(r"[\w.+%-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}")
IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\w)")
IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
MAC = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:])")
URL_HOST = re.compile(
    r"(?P<before>\b[a-z][a-z0-9+.-]*://(?:[^\s/@\"'<>]*@)?)(?P<value>[A-Za-z0-9](?:[A-Za-z0-9_-]|\\?\.)*)"
)
QUOTED_HOST = re.compile(
    r"(?P<before>[\"'`])(?P<value>(?:[A-Za-z0-9_-]+\.)+[A-Za-z]{2,})(?=(?::\d+)?(?:/[^\"'`\n]*)?[\"'`])"
)
BARE_HOST = re.compile(
    r"(?<![\w.@/\"'-])(?P<value>(?:[a-z0-9-]+\.)+(?:com|org|net|edu|gov|mil|internal|intranet|corp|lan"
    r"|local|intra|private|io|dev|cloud))(?![\w(\[.]|\s*=)"
)
HOME = re.compile(r"(?i)(?P<before>(?:/home/|/users/|[a-z]:\\+users\\+))(?P<value>[\w.-]+)")
TILDE = re.compile(r"(?P<before>(?<![\w/])~)(?P<value>[a-z][\w.-]+)(?=/)")
LOGIN = re.compile(
    r"(?i)(?P<before>\b(?:user(?:[_-]?name)?|login|owner|author|db[_-]?user|account)[\"']?"
    r"\s*(?::\s*\w+\s*=|[:=])\s*(?P<quote>[\"']))(?P<value>[\w.@ -]{2,})(?=(?P=quote))"
)
SSH = re.compile(r"(?P<before>\b(?:ssh|scp|rsync)\s+(?:-\S+\s+)*)(?P<value>[\w.-]+)(?=@)")
AUTHOR = re.compile(
    r"(?i)(?P<before>(?:@author|\bauthor:|\bmaintainer:|\btodo\()\s*)"
    r"(?P<value>[a-z][\w.-]+(?-i:(?: [A-Z][\w.-]+)*))"
)
LONG = re.compile(r"(?<![\w/+.=-])[A-Za-z0-9+/_-]{20,}={0,2}(?![\w+/=-])")

#: Names that belong to nobody: reserved, or the machine itself. The metadata address is evidence.
KEPT_HOST = re.compile(r"(?i)(?:^|\.)(?:example|test|invalid|localhost|example\.(?:com|org|net))$")
KEPT_IP = re.compile(
    r"127\.|0\.0\.0\.0$|255\.255\.|192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|169\.254\.169\.254$"
    r"|(?:10|172\.16|192\.168)(?:\.0)+$"
)
#: Last labels of names that in quotes are taken for hosts. Countries whose code is a file ending
#: as well (py, rs, sh, md, …) are left out: in code they are files.
HOST_ENDINGS = frozenset(
    (  # noqa: SIM905
        "com org net edu gov mil int info biz io dev app cloud ai internal intranet corp lan local intra "
        "private home eu uk de es fr it nl pt ch at be se no fi dk pl cz ru us ca mx br ar cl pe jp cn kr au"
    ).split()
)
