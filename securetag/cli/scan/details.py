"""One finding in full, for a person who decides on it."""

from __future__ import annotations

from collections.abc import Iterator

from securetag.triage import defuse
from securetag.wire.api import FindingAnswer
from securetag.wire.verdicts import decide

#: Lines of code that are shown before and after the flagged ones.
AROUND = 3
#: Flagged lines that are shown.
MAX_FLAGGED = 12
MAX_STEPS = 12


def describe_finding(number: int, finding: FindingAnswer) -> str:
    """Return the finding as a block of lines: what, where, code, data flow, verdict, advice, id."""
    # What is shown comes from scanned code: without control characters, which a terminal would obey.
    return defuse("\n".join(_lines(number, finding)))


def _lines(number: int, finding: FindingAnswer) -> Iterator[str]:
    at, decided = finding.occurrence, decide(finding)
    yield ""
    classes = ", ".join(filter(None, [finding.cwe, finding.owasp]))
    yield f"{number}. {finding.severity} {finding.title}" + (f" ({classes})" if classes else "")
    place = f"{at.path}:{at.start_line}" if at.web is None else f"{at.web.method} {at.web.url}"
    yield f"   {place}{f' in {at.scope}' if at.scope else ''} [{at.path_class}]"
    rules = [f"{match.rule_id} ({match.tool})" for match in finding.matches]
    yield f"   rules: {', '.join(rules) or f'{finding.rule_id} ({finding.tool})'}"
    yield f"   confidence: {finding.confidence}, rank {finding.rank}"
    yield f"   {finding.message}"
    yield from _code(finding)
    if at.trace:
        yield "   data flow:"
        yield from (f"     {step.path}:{step.start_line} {step.text}" for step in at.trace[:MAX_STEPS])
        if len(at.trace) > MAX_STEPS:
            yield f"     … {len(at.trace) - MAX_STEPS} more steps"
    yield f"   verdict: {decided.verdict}" + ("" if decided.by == "nobody" else f", by {decided.by}")
    yield from _words(finding)
    if finding.recommendation:
        yield f"   advice: {finding.recommendation}"
    yield f"   id: {finding.id}"


def _code(finding: FindingAnswer) -> Iterator[str]:
    at = finding.occurrence
    last = min(at.end_line, at.start_line + MAX_FLAGGED - 1)
    for number, line in enumerate(at.snippet.split("\n"), at.snippet_line):
        if at.web is not None or at.start_line - AROUND <= number <= last + AROUND:
            mark = ">" if at.start_line <= number <= last else " "
            yield f"   {mark} {number:>5} {line}"


def _words(finding: FindingAnswer) -> Iterator[str]:
    """Yield what a person, and what the model, said of it."""
    feedback, verdict = finding.feedback, finding.verdict
    if feedback is not None:
        given = f"{feedback.reviewer} ({feedback.source}, {feedback.mode}): {feedback.verdict}"
        yield f"   {given} {feedback.comment}".rstrip()
    if verdict is not None:
        chance = verdict.p_false_positive
        shown = "" if chance is None else f", probability of a false positive {chance:.2f}"
        shown += "" if verdict.threshold is None else f" (dismissed from {verdict.threshold:.2f})"
        yield f"   model {verdict.alias or 'none'}: {verdict.decision}, gate {verdict.gate}{shown}"
        yield from (f"     {text}" for text in (verdict.reason, verdict.reasoning) if text)
        if verdict.evidence:
            spans = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in verdict.evidence)
            yield f"     evidence: lines {spans}"
