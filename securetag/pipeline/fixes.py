"""Code that a model recommends, checked: the scanner reads the file with it, the oracle runs the function.

In this process the code is parsed alone. Semgrep reads it and the oracle runs it, each in isolated processes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from securetag import rules
from securetag.datasets.synthetic.cases import SAME_CLASSES
from securetag.datasets.synthetic.fixes import Fix, run_fixes
from securetag.datasets.synthetic.sample import make_trial
from securetag.datasets.synthetic.sinks import sink_named
from securetag.evaluation.fixes import FixCheck, FixFigures, Suggestion, count_fixes, find_suggestions
from securetag.evaluation.suites import Row
from securetag.records import Example, Finding
from securetag.scanning.semgrep import scan
from securetag.settings import Settings


def check_fixes(
    rows: Iterable[Row], examples: Sequence[Example], settings: Settings
) -> tuple[FixFigures, list[FixCheck]]:
    """Check the code that whole answers about vulnerable rows recommend.

    A finding can be gone where the scanner reports it in the row's own code. A function can be run where the
    row was composed, and says how to call it. Raises ToolError where the scanner fails.
    """
    answers, suggestions = find_suggestions(rows, examples)
    by_id = {example.id: example for example in examples}
    checks = {each.row: FixCheck(row=each.row, reason=each.reason) for each in suggestions}
    applied = [each for each in suggestions if each.after is not None]
    gone = _scan(applied, settings) if applied else {}
    for each in applied:
        checks[each.row] = FixCheck(row=each.row, is_applied=True, is_gone=gone.get(each.row))
    runnable = [(each.row, fix) for each in applied if (fix := _make_fix(by_id[each.row], each)) is not None]
    outcomes = run_fixes([fix for _, fix in runnable], hidden=settings.private_paths)
    for (row, _), outcome in zip(runnable, outcomes, strict=True):
        if outcome.error or not outcome.is_reproduced:
            reason = outcome.error or "no attack does harm to the function before"
            checks[row] = msgspec.structs.replace(checks[row], reason=reason)
        else:
            checks[row] = msgspec.structs.replace(checks[row], is_safe=outcome.is_safe, works=outcome.works)
    done = list(checks.values())
    return count_fixes(answers, done), done


def _make_fix(example: Example, suggestion: Suggestion) -> Fix | None:
    """Return what the oracle runs; None where the row doesn't say how, such as one of another origin."""
    construction = example.construction
    if construction is None or not construction.entry or suggestion.after is None:
        return None
    before = make_trial(
        suggestion.flagged.code + "\n",
        entry=construction.entry,
        variable=construction.variable,
        sink=sink_named(construction.sink),
        framework=construction.framework,
        source=construction.delivery,
    )
    return Fix(before=before, after=suggestion.after + "\n")


def _scan(suggestions: Sequence[Suggestion], settings: Settings) -> dict[str, bool]:
    """Return, of the rows whose code the scanner reports, whether it reports less with the fix."""
    work = settings.home / "work"
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fixes-", dir=work) as name:
        root = Path(name) / "code"
        for state in ("before", "after"):
            (root / state).mkdir(parents=True)
        for number, each in enumerate(suggestions):
            texts = {"before": each.flagged.code, "after": each.after or ""}
            for state, text in texts.items():
                (root / state / f"f{number}.py").write_text(text + "\n", encoding="utf-8")
        run = scan(
            root,
            pack=rules.compiled_pack(settings.run_dir / "rules"),
            settings=settings.semgrep,
            out=Path(name) / "semgrep",
            catalogue=rules.catalogue(),
            hidden=settings.private_paths,
        ).check_complete()
    counts = {
        state: [
            _count(run.findings, f"{state}/f{number}.py", each) for number, each in enumerate(suggestions)
        ]
        for state in ("before", "after")
    }
    pairs = zip(suggestions, counts["before"], counts["after"], strict=True)
    return {each.row: after < before for each, before, after in pairs if before}


def _count(findings: Sequence[Finding], path: str, suggestion: Suggestion) -> int:
    """Return how many findings of a suggestion's class a file has."""
    cwe = suggestion.flagged.cwe
    classes = next((same for same in SAME_CLASSES.values() if cwe in same), {cwe})
    return sum(finding.path == path and finding.cwe in classes for finding in findings)
