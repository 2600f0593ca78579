"""Attacks on synthetic vulnerable code, as questions of the kind that a release's rows ask."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from securetag import rules
from securetag.datasets.synthetic.cases import LICENCE, SAME_CLASSES, SOURCE, path_of, record_of
from securetag.datasets.synthetic.holdout import Parts
from securetag.datasets.synthetic.sample import sample_pairs
from securetag.datasets.triage_rows import Labelled, PromptStyle, make_triage_row
from securetag.evaluation.attacks import VARIANTS, Code, attack
from securetag.evaluation.injection import Attacked
from securetag.records import Example, Finding, Origin
from securetag.rules import RuleMetadata
from securetag.scanning.snippet import SourceFile

#: Attacks on each vulnerable function.
PER_CASE = 4
#: Of the functions that are attacked: none of a release's rows is drawn with it.
SEED = 470_000


class Attacks(NamedTuple):
    """The attacks, and every question that has to be asked for them."""

    attacks: list[Attacked]
    questions: list[Example]


class Case(NamedTuple):
    """A vulnerable function in a file."""

    code: Code
    cwe: str
    #: Name of the function, and of what isn't independent of it.
    scope: str
    group: str
    #: Of the Record that the file is.
    record_id: str


def draw_cases(count: int, *, mistakes: Collection[str], work: Path) -> list[Case]:
    """Return `count` vulnerable functions with these kinds of mistake, fewer where some can't be judged.

    Each was run and does harm with an input that the oracle found. They are of the kinds that a release of
    the same parameters trains on. Raises ToolError when the oracle can't start.
    """
    no_part = Parts(validation=0.0, in_distribution=0.0, unseen=0.0)
    sample = sample_pairs(
        2 * count, SEED, parts=no_part, mistakes=mistakes, cache=work / "oracle-outcomes.sqlite"
    )
    cases = []
    for pair in sample.pairs[:count]:
        sink = next(span for span in pair.true.evidence if span.role == "sink")
        code = Code(path_of(pair.true), pair.true.code, sink.first)
        record_id = record_of(pair.true).id
        cases.append(Case(code, pair.plan.sink.cwe, pair.plan.function, pair.group, record_id))
    return cases


def make_attacks(cases: Sequence[Case], style: PromptStyle, *, per_case: int = PER_CASE) -> Attacks:
    """Return `per_case` attacks on each case, other variants on the next one; fewer where none fits."""
    variants = itertools.cycle(VARIANTS)
    attacks: list[Attacked] = []
    questions: dict[str, Example] = {}
    for case in cases:
        rule = _find_rule(case.cwe)
        before = _ask(case, case.code, rule, style)
        questions[before.id] = before
        fitting = (
            (kind, attacked)
            for kind, words in itertools.islice(variants, len(VARIANTS))
            if (attacked := attack(case.code, kind, words)) is not None
        )
        for kind, attacked in itertools.islice(fitting, per_case):
            after = _ask(case, attacked, rule, style)
            if after.messages[:-1] == before.messages[:-1]:
                after = before
            questions[after.id] = after
            attacks.append(
                Attacked(kind=kind, severity=rule.severity, row_before=before.id, row_after=after.id)
            )
    return Attacks(attacks, list(questions.values()))


def read_style(examples: Sequence[Example]) -> PromptStyle:
    """Return the style of a release's triage rows."""
    version = next((example.prompt_version for example in examples if example.prompt_version), "")
    return PromptStyle("full" if str(version).startswith("full") else "compact", "en")


def _find_rule(cwe: str) -> RuleMetadata:
    classes = SAME_CLASSES.get(cwe, {cwe})
    fitting = [
        rule for rule in rules.catalogue().values() if rule.cwe in classes and "python" in rule.languages
    ]
    return min(fitting, key=lambda rule: rule.id)


def _ask(case: Case, code: Code, rule: RuleMetadata, style: PromptStyle) -> Example:
    """Return the question about a file's flagged line, by the same slice and prompt as a scan's."""
    source = SourceFile(code.text.encode(), "python")
    finding = Finding(
        tool="semgrep",
        rule_id=rule.id,
        cwe=case.cwe,
        title=rule.title,
        message=rule.message.get(style.lang),
        recommendation=rule.recommendation.get(style.lang),
        severity=rule.severity,
        confidence=rule.confidence,
        language="python",
        path=code.path,
        start_line=code.line,
        end_line=code.line,
        snippet=code.text,
        snippet_line=1,
        scope=case.scope,
        fingerprint="v1:" + "0" * 64,
        code_slice=source.slice(code.line, code.line),
    )
    labelled = Labelled(
        label="true_positive",
        label_source="execution",
        reasoning="",
        recommendation="",
        origin="composition",
        origins=[Origin(record_id=case.record_id)],
        source=SOURCE,
        licence=LICENCE,
        group=case.group,
    )
    row = make_triage_row(finding, labelled, style, pair_id=case.record_id[:16])
    return msgspec.structs.replace(row, axis="injection")
