"""What `securetag scan` prints: findings with who decided on them, and what was and wasn't scanned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import typer

from securetag.cli.output import emit, show
from securetag.cli.scan.packing import Packed
from securetag.wire.api import FindingAnswer, OccurrenceAnswer, ScanDetail
from securetag.wire.queue import Coverage
from securetag.wire.verdicts import counts, decide, is_dismissed

#: `SkipReason` → how many files, in words.
_REASONS = {
    "too_large": "too large",
    "minified": "minified",
    "parse_error": "that can't be parsed",
    "timeout": "on which the rules took too long",
    "limit": "not reached within the scan's limit",
    "tool_failed": "on which Semgrep failed",
    "version_control": "of version control",
    "unknown": "left out by Semgrep",
    "excluded": "excluded",
    "link": "symbolic links",
    "special": "sockets, pipes and devices",
    "name": "with an odd name",
    "expands": "that unpack to far more bytes",
    "data": "of binary data",
    "unreadable": "unreadable",
    "folder": "in folders that aren't uploaded",
}
_OTHER = "other"
#: Characters of a suppression's reason in a line of counts.
MAX_REASON = 80
#: `Refusal` → which requests the egress proxy did not make; the others are to addresses.
_REFUSALS = {
    "other_host": "to other hosts",
    "limit": "after the scan's limit",
    "malformed": "that are not HTTP",
    **{
        reason: f"to {reason.replace('_', '-')} addresses"
        for reason in ("loopback", "private", "link_local", "metadata", "multicast", "reserved")
    },
}


def print_json(
    scan: ScanDetail,
    findings: Sequence[FindingAnswer],
    packed: Packed | None,
    *,
    below_min_confidence: int = 0,
    counted: Sequence[FindingAnswer] | None = None,
) -> None:
    """Print the result as JSON. `not_uploaded` is null for a scan that another command has uploaded.

    `below_min_confidence` is the number of findings that are not among `findings`. `counted` are those of
    `findings` that --fail-on looks at, by default all.
    """
    looked_at = {finding.id for finding in (findings if counted is None else counted)}
    emit(
        {
            "task_id": str(scan.task_id),
            "state": scan.state,
            "reason": scan.reason,
            "findings": [
                {
                    **finding.model_dump(mode="json"),
                    "decided": decide(finding)._asdict(),
                    "dismissed": is_dismissed(finding),
                    "counts": finding.id in looked_at and counts(finding),
                }
                for finding in findings
            ],
            "below_min_confidence": below_min_confidence,
            "suppressed": sum(finding.suppression is not None for finding in findings),
            "by_severity": Counter(finding.severity for finding in findings),
            "by_verdict": Counter(decide(finding).verdict for finding in findings),
            "not_triaged": scan.not_triaged,
            "coverage": None if scan.coverage is None else scan.coverage.model_dump(mode="json"),
            "not_uploaded": packed.left_out if packed is not None else None,
        }
    )


def print_table(
    scan: ScanDetail, findings: Sequence[FindingAnswer], packed: Packed | None, *, details: bool = False
) -> None:
    """Print the result for people: the highest rank first, then totals and coverage."""
    from securetag.cli.scan.details import describe_finding

    findings = sort_by_rank(findings)
    print_findings(findings, title=f"{len(findings)} findings, scan {scan.state}")
    if details:
        for number, finding in enumerate(findings, 1):
            typer.echo(describe_finding(number, finding))
    if findings:
        typer.echo(describe_totals(findings))
    if text := describe_suppressed(findings):
        typer.echo(text)
    typer.echo(describe_requests(scan) if scan.kind == "web" else describe_coverage(scan.coverage))
    if scan.not_triaged:
        typer.echo(scan.not_triaged)
    if packed is not None and packed.left_out:
        typer.echo(f"not uploaded: {packed.describe()}")


def print_findings(findings: Sequence[FindingAnswer], *, title: str) -> None:
    """Print a table of findings, the highest rank first."""
    rows = []
    for finding in sort_by_rank(findings):
        at, decided = finding.occurrence, decide(finding)
        rows.append(
            [
                finding.severity,
                "suppressed" if finding.suppression is not None else finding.state or "–",
                finding.rule_id,
                describe_place(at),
                decided.verdict,
                describe_author(finding),
                finding.title,
            ]
        )
    show(["severity", "state", "rule", "where", "verdict", "by", "title"], rows, title=title)


def sort_by_rank(findings: Sequence[FindingAnswer]) -> list[FindingAnswer]:
    """Return the findings, the highest rank first; of the same rank the worst."""
    from securetag.records import SEVERITIES

    return sorted(
        findings, key=lambda finding: (finding.rank, SEVERITIES.index(finding.severity)), reverse=True
    )


def describe_totals(findings: Sequence[FindingAnswer]) -> str:
    """Return one line: `2 findings: 1 critical, 1 high; verdicts: 1 true_positive, 1 not triaged`."""
    from securetag.records import SEVERITIES

    severities = Counter(finding.severity for finding in findings)
    verdicts = Counter(decide(finding).verdict for finding in findings)
    worst_first = [f"{severities[name]} {name}" for name in reversed(SEVERITIES) if severities[name]]
    count = "1 finding" if len(findings) == 1 else f"{len(findings):,} findings"
    return f"{count}: {', '.join(worst_first)}; verdicts: {_listed(verdicts, '{n} {name}')}"


def describe_author(finding: FindingAnswer) -> str:
    """Return whose verdict is shown: `person`, or `model securetag-v1 (no gate, p 0.91)`."""
    by, verdict = decide(finding).by, finding.verdict
    if by != "model" or verdict is None:
        return "–" if by == "nobody" else by
    gate = "no gate" if verdict.gate == "none" else f"gate {verdict.gate}"
    chance = "" if verdict.p_false_positive is None else f", p {verdict.p_false_positive:.2f}"
    return f"model {verdict.alias or 'without a name'} ({gate}{chance})"


def describe_suppressed(findings: Sequence[FindingAnswer]) -> str:
    """Return `suppressed, not counted: 3 (2 vendored code, 1 behind the firewall)`; empty for none."""
    from securetag.triage import defuse

    reasons = Counter(
        defuse(" ".join(item.suppression.reason.split()))[:MAX_REASON]
        for item in findings
        if item.suppression is not None
    )
    if not reasons:
        return ""
    return f"suppressed, not counted: {reasons.total()} ({_listed(reasons, '{n} {name}')})"


def describe_place(at: OccurrenceAnswer) -> str:
    """Return `app.py:3`, or `GET /search (q)` of a web application."""
    if at.web is None:
        return f"{at.path}:{at.start_line}"
    return f"{at.web.method} {at.path}" + (f" ({at.web.parameter})" if at.web.parameter else "")


def describe_requests(scan: ScanDetail) -> str:
    """Return one line: `wapiti: 1,245 requests; not made: 3 to other hosts`."""
    parts = []
    for run in scan.tool_executions:
        if run.attempt == scan.attempt and (requests := run.metrics_json.get("requests")):
            refused = {_REFUSALS.get(reason, reason): n for reason, n in run.metrics_json["refused"].items()}
            text = f"{run.tool}: {requests:,} requests"
            parts.append(f"{text}; not made: {_listed(refused, '{n} {name}')}" if refused else text)
    return "\n".join(parts) or "No request reached the application."


def describe_coverage(coverage: Coverage | None) -> str:
    """Return one line: `scanned 12 files (python 10, javascript 2); not scanned: 3 go, 1 over 1 MB`."""
    if coverage is None:
        return "The scan doesn't say what it covered."
    from securetag.triage import defuse

    files = coverage.files
    total = sum(files.values())
    parts = [f"scanned {_files(total)}" + (f" ({_listed(files, '{name} {n}')})" if files else "")]
    unsupported = {name: n for name, n in coverage.unsupported.items() if name != _OTHER}
    skipped = {_REASONS.get(name, name): n for name, n in coverage.skipped_by_reason.items()}
    left_out = [_listed(counts, "{n} {name}") for counts in (skipped, unsupported) if counts]
    if other := coverage.unsupported.get(_OTHER):
        left_out.append(f"{_files(other)} without code")
    if left_out:
        parts.append(f"not scanned: {', '.join(left_out)}")
    parts += [
        f"{defuse(failed.tool)} failed: {defuse(' '.join(failed.reason.split()))}"
        for failed in coverage.failed_tools
    ]
    if coverage.excluded:
        parts.append(f"excluded by {', '.join(coverage.excluded)}")
    if partly := coverage.parse_errors_total:
        parts.append(f"{_files(partly)} read only in part (syntax errors)")
    if timeouts := coverage.timeouts_total:
        rules = sorted({timeout.rule for timeout in coverage.timeouts})
        shown = ", ".join(rules[:3]) + (", …" if len(rules) > 3 else "")
        parts.append(f"{timeouts} rule timeouts ({shown})" if timeouts > 1 else f"1 rule timeout ({shown})")
    return "; ".join(parts)


def _listed(counts: Mapping[str, int], form: str) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(form.format(name=name, n=n) for name, n in ordered)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
