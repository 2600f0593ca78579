"""What makes two findings the same issue: the rule, the code and the function, not the place.

Version 1: `v1:` + sha256 over the canonical JSON of [rule id, matched code, scope name, 0].
The code is compared as tokens, so blank lines, indentation, comments and line breaks don't count,
and neither do the file's name and the line. Copies therefore share a fingerprint: `securetag.db.identity`
tells them apart, since only the stored findings say which of them a person has judged.
"""

from __future__ import annotations

import unicodedata
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


def fingerprint(match: Matched) -> str:
    """The finding's fingerprint; copies of one function have the same."""
    code = unicodedata.normalize("NFC", normalised(match.code, match.language))
    # The 0 was an ordinal once: stored fingerprints stay what they are.
    return f"{VERSION}:{content_id([match.rule_id, code, unicodedata.normalize('NFC', match.scope), 0])}"
