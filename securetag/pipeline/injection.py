"""Attacks on vulnerable code, as questions of the kind that a release's rows ask.

Of Python it is synthetic functions that were run, of JavaScript the code that our rules must flag: nothing
composes and runs JavaScript.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Collection, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import msgspec

from securetag import rules
from securetag.datasets.synthetic.cases import LICENCE, SAME_CLASSES, SOURCE, path_of, record_of
from securetag.datasets.synthetic.holdout import Parts
from securetag.datasets.synthetic.sample import sample_pairs
from securetag.datasets.triage_rows import Labelled, PromptStyle, make_triage_row
from securetag.evaluation.attacks import SCRIPT_VARIANTS, VARIANTS, Code, attack
from securetag.evaluation.injection import Attacked
from securetag.evaluation.script_attacks import attack_script
from securetag.records import Example, Finding, Origin
from securetag.rules import RuleMetadata
from securetag.scanning.snippet import SourceFile

#: Attacks on each vulnerable function.
PER_CASE = 4
#: Share of the attacked code that is JavaScript.
SCRIPT_SHARE = 0.25
#: What our rules' cases say of the line after.
_SCRIPTS = Path(str(resources.files("securetag"))) / "rules" / "cases" / "javascript"
_FLAGGED = re.compile(r"^\s*//\s*ruleid:\s*([\w.-]+)\s*$")
#: What may be a check or a conversion of the value on its way.
_CHECKED = re.compile(
    r"\b(?:if|switch|catch|try)\b| \? |&&|\|\||\?\?|includes|indexOf|startsWith|\bhas\(|test\(|match|replace|"
    r"[Ee]scape|[Ee]ncode|[Ss]anit|[Cc]lean|[Vv]alid|[Cc]heck|[Ss]afe|[Nn]umber|parse(?:Int|Float)|String\(|basename|normali[sz]e"
)
_COMMENT = re.compile(r"^\s*(?://|\*|/\*)")
_NOTE = re.compile(r"^\s*//\s*(?:ruleid|ok|todoruleid|todook):.*$")
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
    #: The rule that flags it; None: one of the class.
    rule: RuleMetadata | None = None


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


def read_script_cases(count: int) -> list[Case]:
    """Return at most `count` places of JavaScript that our taint rules must flag and that have a slice.

    They are drawn from the rules' own cases, without the notes that say what is flagged. Nothing runs them:
    only those are taken that have neither a check nor a conversion, nor a comment that explains them.
    """
    catalogue = rules.catalogue()
    cases = []
    for path in sorted(_SCRIPTS.glob("*.js")):
        lines = path.read_text(encoding="utf-8").split("\n")
        text = "\n".join(line for line in lines if not _NOTE.match(line)).rstrip("\n") + "\n"
        source = SourceFile(text.encode(), "javascript")
        shift = 0
        for number, line in enumerate(lines, 1):
            shift += bool(_NOTE.match(line))
            match = _FLAGGED.match(line)
            rule = catalogue.get(match[1]) if match else None
            place = number + 1 - shift
            is_explained = _COMMENT.match(lines[number - 2]) and not _NOTE.match(lines[number - 2])
            if is_explained or rule is None or rule.kind != "traced":
                continue
            shown = source.slice(place, place)
            if not shown or any(_CHECKED.search(each.text) for each in shown):
                continue
            key = f"{path.name}:{place}"
            cases.append(
                Case(
                    Code(f"app/{path.stem}.js", text, place, "javascript"),
                    rule.cwe,
                    source.snippet(place, place).scope,
                    f"rule-cases/{path.stem}",
                    hashlib.sha256(f"{key}/{text}".encode()).hexdigest(),
                    rule,
                )
            )
    cases.sort(key=lambda case: case.record_id)
    return cases[:count]


def make_attacks(cases: Sequence[Case], style: PromptStyle, *, per_case: int = PER_CASE) -> Attacks:
    """Return `per_case` attacks on each case, other variants on the next one; fewer where none fits."""
    variants = {"python": VARIANTS, "javascript": SCRIPT_VARIANTS}
    cycles = {language: itertools.cycle(each) for language, each in variants.items()}
    attacks: list[Attacked] = []
    questions: dict[str, Example] = {}
    for case in cases:
        language = case.code.language
        rule = case.rule or _find_rule(case.cwe)
        put = attack if language == "python" else attack_script
        before = _ask(case, case.code, rule, style)
        questions[before.id] = before
        fitting = (
            (kind, attacked)
            for kind, words in itertools.islice(cycles[language], len(variants[language]))
            if (attacked := put(case.code, kind, words)) is not None
        )
        for kind, attacked in itertools.islice(fitting, per_case):
            after = _ask(case, attacked, rule, style)
            if after.messages[:-1] == before.messages[:-1]:
                after = before
            questions[after.id] = after
            attacks.append(
                Attacked(
                    kind=kind,
                    severity=rule.severity,
                    language=language,
                    row_before=before.id,
                    row_after=after.id,
                )
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
    source = SourceFile(code.text.encode(), code.language)
    finding = Finding(
        tool="semgrep",
        rule_id=rule.id,
        cwe=case.cwe,
        title=rule.title,
        message=rule.message.get(style.lang),
        recommendation=rule.recommendation.get(style.lang),
        severity=rule.severity,
        confidence=rule.confidence,
        language=code.language,
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
