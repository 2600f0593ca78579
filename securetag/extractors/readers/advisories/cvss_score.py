"""Compute the base score and severity of CVSS vectors, and choose the best of several scores.

Scores are computed by the library `cvss` (https://github.com/RedHatProductSecurity/cvss); severities
follow the qualitative scale of CVSS v3 and v4 (https://www.first.org/cvss/v4-0/specification-document,
section 6) and, for v2, NVD's (https://nvd.nist.gov/vuln-metrics/cvss).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import cast

import msgspec

from securetag.records import Severity

_VECTOR = re.compile(r"CVSS:(?P<version>[34]\.[01])/[\w:/.]+")
_VECTOR_V2 = re.compile(r"\(?(?P<bare>AV:[LAN]/AC:[HML]/Au:[MSN]/[\w:/.]+)\)?")
#: Words of publishers → severities. `none` and `unknown` are left out, since they aren't severities.
_SEVERITY_WORDS: dict[str, Severity] = {
    "low": "low",
    "minor": "low",
    "medium": "medium",
    "moderate": "medium",
    "high": "high",
    "important": "high",
    "critical": "critical",
}


class Score(msgspec.Struct, frozen=True):
    """One CVSS base score as a publication gives it."""

    value: float
    vector: str
    #: `4.0`, `3.1`, `3.0` or `2.0`.
    version: str
    #: Rank of the score's origin, 0 is best. Each reader defines its ranks.
    rank: int = 0

    @property
    def severity(self) -> Severity | None:
        """Return the severity of the score; None for a score of 0."""
        return rate_severity(self.value, self.version)


def rate_severity(value: float, version: str) -> Severity | None:
    """Return the qualitative severity of a base score; None for 0. CVSS v2 has no `critical`."""
    if value <= 0:
        return None
    if value < 4:
        return "low"
    if value < 7:
        return "medium"
    return "high" if value < 9 or version.startswith("2") else "critical"


def parse_severity(word: str | None) -> Severity | None:
    """Return the severity of a publisher's word (`MODERATE`, `Important`); None for an unknown word."""
    return _SEVERITY_WORDS.get((word or "").strip().lower())


def get_cvss_version(vector: str) -> str:
    """Return `3.1` for `CVSS:3.1/…`; a vector without a prefix is of version 2.0."""
    match = _VECTOR.match(vector)
    return match["version"] if match else "2.0"


@lru_cache(maxsize=4096)
def compute_score(vector: str) -> Score | None:
    """Return the base score of a vector of CVSS v2, v3.0, v3.1 or v4.0; None for any other text."""
    from cvss import CVSS2, CVSS3, CVSS4, CVSSError

    vector = vector.strip().rstrip("/")
    if not (_VECTOR.fullmatch(vector) or _VECTOR_V2.fullmatch(vector)):
        return None
    version = get_cvss_version(vector)
    bare = vector if version != "2.0" else cast("re.Match[str]", _VECTOR_V2.fullmatch(vector))["bare"]
    try:
        cvss = {"2": CVSS2, "3": CVSS3, "4": CVSS4}[version[0]](bare)
    except CVSSError:
        return None
    return Score(float(cvss.base_score), vector, version)


def choose_best_score(scores: Iterable[Score]) -> Score | None:
    """Return the score to keep; None without scores.

    CVSS v2 is kept only without a newer version, since its scale differs. Then the lowest rank wins, then
    the newest version, then the first.
    """
    return min(scores, key=lambda s: (s.version == "2.0", s.rank, -float(s.version)), default=None)
