"""The comment that a CI job leaves on a change: what is new, as Markdown of GitHub and GitLab."""

from __future__ import annotations

from collections.abc import Sequence

from securetag.cli.scan.report import describe_coverage, describe_place, describe_totals
from securetag.wire.api import FindingAnswer, ScanDetail
from securetag.wire.verdicts import counts, decide

#: By this the job finds its own comment, which it replaces.
MARKER = "<!-- securetag -->"
#: Findings in the table; a comment on GitHub holds 65,536 characters.
MAX_ROWS = 50
_MAX_CELL = 160


def to_markdown(scan: ScanDetail, findings: Sequence[FindingAnswer]) -> str:
    """Return the comment. Findings are new where their branch says so; without branches all are listed."""
    counted = [finding for finding in findings if counts(finding)]
    has_states = any(finding.state is not None for finding in findings)
    listed = [finding for finding in counted if not has_states or finding.state in {"new", "reopened"}]
    word = "new finding" if has_states else "finding"
    number = f"{len(listed) or 'no'} {word}" + ("" if len(listed) == 1 else "s")
    lines = [MARKER, f"### Securetag: {number} in {_code(scan.project)}", ""]
    if listed:
        lines += ["| severity | where | what | rule | verdict |", "|---|---|---|---|---|"]
        lines += [_row(finding) for finding in listed[:MAX_ROWS]]
        if len(listed) > MAX_ROWS:
            lines.append(f"\n… and {len(listed) - MAX_ROWS:,} more, of lower rank.")
        lines.append("")
    if others := len(counted) - len(listed):
        lines.append(f"{others:,} older findings are still there.")
    if findings:
        lines.append(describe_totals(findings))
    lines += ["", _code(describe_coverage(scan.coverage)), ""]
    return "\n".join(lines)


def _row(finding: FindingAnswer) -> str:
    decided = decide(finding)
    verdict = decided.verdict if decided.by == "nobody" else f"{decided.verdict} ({decided.by})"
    place = describe_place(finding.occurrence)
    cells = [finding.severity, _code(place), _code(finding.title), _code(finding.rule_id), verdict]
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """Return a text of the scanned code so that nothing in it is markup, a link or a mention."""
    line = " ".join(text.replace("`", "'").replace("|", "¦").split())
    shown = "".join(c for c in line if c >= " " and c != "\x7f")[:_MAX_CELL]
    return f"`{shown}`" if shown else "–"
