"""What makes two findings alike: the rule, the statement and the function's shape, not the place.

Version 2: `v2:` + sha256 over the canonical JSON of [rule key, flagged statement, digest of the kinds of
statements in the function]. Layout, comments, quotes and names of local variables don't count, nor do the
file, the line and the function's name. Twins therefore share a fingerprint, and `securetag.db.matching`
tells them apart.
"""

from __future__ import annotations

import unicodedata

from securetag.records import content_id
from securetag.rules.aliases import rule_key
from securetag.scanning.identity.describe import Described

VERSION = "v2"


def fingerprint(rule_id: str, described: Described) -> str:
    """Return the fingerprint of a finding of a rule; a renamed rule gives the same."""
    statement = unicodedata.normalize("NFC", described.statement)
    return f"{VERSION}:{content_id([rule_key(rule_id), statement, described.shape])}"
