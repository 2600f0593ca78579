"""What makes two findings the same issue: the rule, the code and the function, not the place.

Version 1: `v1:` + sha256 over the canonical JSON of [rule id, matched code, scope name, ordinal].
The code is compared as tokens, so blank lines, indentation, comments and line breaks don't count,
and neither do the file's name and the line. The ordinal tells equal findings of one project apart,
in the order of their files and lines; moving one past its equal swaps two fingerprints, and keeps
the set.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from securetag.records import content_id
from securetag.scanning.lex import normalised

VERSION = "v1"


@dataclass(frozen=True)
class Matched:
    """What of a finding enters its fingerprint."""

    rule_id: str
    #: The matched source text, from its first to its last character.
    code: str
    scope: str
    language: str


def fingerprints(found: Iterable[Matched]) -> Iterator[str]:
    """One fingerprint for each finding of a project, given in the order of files and lines."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for match in found:
        code = unicodedata.normalize("NFC", normalised(match.code, match.language))
        key = (match.rule_id, code, unicodedata.normalize("NFC", match.scope))
        yield f"{VERSION}:{content_id([*key, seen[key]])}"
        seen[key] += 1
