"""Findings as a table for spreadsheets (CSV, RFC 4180, UTF-8)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from securetag.wire.api import FindingAnswer
from securetag.wire.verdicts import decide, is_dismissed, review_mode

COLUMNS = (
    "finding_id",
    "severity",
    "confidence",
    "rank",
    "verdict",
    "by",
    "mode",
    "dismissed",
    "suppressed",
    "state",
    "rule_id",
    "tool",
    "cwe",
    "title",
    "path",
    "start_line",
    "end_line",
    "scope",
    "path_class",
    "assignee",
    "message",
    "recommendation",
    "first_seen_at",
    "last_seen_at",
)
#: A cell that begins with one of these is a formula to a spreadsheet.
#: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def to_csv(findings: Iterable[FindingAnswer]) -> str:
    """Return a header and a line for each finding.

    Names and texts come from scanned code: a cell that a spreadsheet would calculate gets a `'` before it.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for finding in findings:
        at, decided = finding.occurrence, decide(finding)
        values = {
            **finding.model_dump(mode="json", include=set(COLUMNS)),
            **at.model_dump(mode="json", include=set(COLUMNS)),
            "finding_id": finding.id,
            "verdict": decided.verdict,
            "by": decided.by,
            "mode": review_mode(finding) or "",
            "dismissed": "yes" if is_dismissed(finding) else "no",
            "suppressed": "no" if finding.suppression is None else f"yes: {finding.suppression.reason}",
            "state": finding.state or "",
            "assignee": finding.assignee or "",
        }
        writer.writerow([_cell(values[name]) for name in COLUMNS])
    return out.getvalue()


def _cell(value: object) -> str:
    text = str(value).replace("\0", "\ufffd")
    return f"'{text}" if text.startswith(_FORMULA) else text
