"""CVSS vectors → base score and severity; which of several scores is the best.

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
_VECTOR_2 = re.compile(r"\(?(?P<bare>AV:[LAN]/AC:[HML]/Au:[MSN]/[\w:/.]+)\)?")
#: Publishers' own words → ours. `none` and `unknown` say nothing about how bad it is.
_WORDS: dict[str, Severity] = {
    "low": "low", "minor": "low", "medium": "medium", "moderate": "medium", "high": "high",
    "important": "high", "critical": "critical",
}  # fmt: skip


class Score(msgspec.Struct, frozen=True):
    """One CVSS base score as somebody gave it."""

    value: float
    vector: str
    #: `4.0`, `3.1`, `3.0` or `2.0`.
    version: str
    #: Whose it is: 0 weighs most. What the numbers stand for is the reader's business.
    rank: int = 0

    @property
    def severity(self) -> Severity | None:
        """None for a score of 0."""
        return severity_of(self.value, self.version)


def severity_of(value: float, version: str) -> Severity | None:
    """The qualitative severity of a base score; None for 0. CVSS v2 knows no `critical`."""
    if value <= 0:
        return None
    if value < 4:
        return "low"
    if value < 7:
        return "medium"
    return "high" if value < 9 or version.startswith("2") else "critical"


def severity_word(word: str | None) -> Severity | None:
    """A publisher's own word (`MODERATE`, `Important`) as ours; None for one that isn't known."""
    return _WORDS.get((word or "").strip().lower())


def version_of(vector: str) -> str:
    """`3.1` of `CVSS:3.1/…`; a vector without a prefix is v2's."""
    match = _VECTOR.match(vector)
    return match["version"] if match else "2.0"


@lru_cache(maxsize=4096)
def score_of(vector: str) -> Score | None:
    """The base score of a vector of CVSS v2, v3.0, v3.1 or v4.0; None where it is none."""
    from cvss import CVSS2, CVSS3, CVSS4, CVSSError

    vector = vector.strip().rstrip("/")
    if not (_VECTOR.fullmatch(vector) or _VECTOR_2.fullmatch(vector)):
        return None
    version = version_of(vector)
    bare = vector if version != "2.0" else cast("re.Match[str]", _VECTOR_2.fullmatch(vector))["bare"]
    try:
        found = {"2": CVSS2, "3": CVSS3, "4": CVSS4}[version[0]](bare)
    except CVSSError:
        return None
    return Score(float(found.base_score), vector, version)


def best(scores: Iterable[Score]) -> Score | None:
    """The score to keep. v2 only where there is nothing newer, since its scale is another; then the
    weightier source; of one source the newest version; of equals the first."""
    return min(scores, key=lambda s: (s.version == "2.0", s.rank, -float(s.version)), default=None)
