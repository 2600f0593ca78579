"""Composed pairs → triage rows: our scanner flags them, the triage contract renders them.

A pair becomes rows only when Semgrep with our rules flags both of its functions at the sink's line
with the sink's class: the model is then trained on what it will be asked, and on nothing else.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from securetag import rules, triage
from securetag.datasets.synthetic.holdout import BUCKETS, quotas
from securetag.datasets.synthetic.oracle import ORACLE_VERSION, Progress
from securetag.datasets.synthetic.sample import Pair, sample
from securetag.datasets.synthetic.shapes import Function
from securetag.datasets.synthetic.sinks import CLASSES
from securetag.records import (
    Construction,
    Decision,
    Example,
    Finding,
    Label,
    Lang,
    Message,
    Origin,
    Record,
    Task,
)
from securetag.scanning.semgrep import scan
from securetag.settings import SemgrepSettings

#: Our functions are our own work.
LICENCE = "Apache-2.0"
SOURCE = "securetag-composition"
#: CWE ids by which a rule may name a class of ours.
_SAME = {"CWE-94": {"CWE-94", "CWE-95"}, "CWE-79": {"CWE-79", "CWE-80"}}

#: Pairs of one Semgrep run: about 70 CPU-seconds, well within the scanner's time limit.
_BATCH = 4_000


class Composed(msgspec.Struct, frozen=True, kw_only=True):
    """Triage rows with their splits, and what was left out."""

    examples: list[Example]
    #: Reason → functions.
    dropped: dict[str, int]
    #: CPU seconds that the scanner took.
    scan_cpu_s: float


def compose(
    rows: int,
    seed: int,
    *,
    profile: triage.Profile,
    lang: Lang,
    work: Path,
    semgrep: SemgrepSettings,
    progress: Progress | None = None,
) -> Composed:
    """At most `rows` triage rows in contrastive pairs, labelled by execution, flagged by Semgrep.

    `work` is a folder for the rendered functions and the scanner's output, which don't stay.
    A function that the oracle can't judge is left out and counted. Raises ToolError when the oracle
    can't start or the scanner fails.
    """
    if rows < 2:
        return Composed(examples=[], dropped={}, scan_cpu_s=0.0)
    drawn = sample(rows, seed, progress=progress)
    pairs = drawn.pairs
    flagged: dict[str, list[Finding]] = {}
    cpu_s = 0.0
    work.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(pairs), _BATCH):
        with tempfile.TemporaryDirectory(prefix="composed-", dir=work) as folder:
            cpu_s += _scan(pairs[start : start + _BATCH], flagged, Path(folder), semgrep, lang)
    dropped = Counter({f"composed: not judged, {why}": n for why, n in drawn.unjudged.items()})
    kept: dict[str, list[tuple[Pair, Finding, Finding]]] = {bucket: [] for bucket in BUCKETS}
    for pair in pairs:
        findings = [_at_sink(pair, function, flagged) for function in (pair.true, pair.false)]
        if findings[0] is None or findings[1] is None:
            dropped["composed: not flagged by our rules"] += 2
        else:
            kept[pair.bucket].append((pair, findings[0], findings[1]))
    examples: list[Example] = []
    for bucket, wanted in quotas(rows).items():
        for pair, true, false in kept[bucket][:wanted]:
            examples += [
                _example(pair, pair.true, true, "true_positive", profile, lang),
                _example(pair, pair.false, false, "false_positive", profile, lang),
            ]
        short = wanted - len(kept[bucket])
        if short > 0:
            dropped[f"composed: wanted but not found, {bucket}"] += 2 * short
    return Composed(examples=examples, dropped=dict(sorted(dropped.items())), scan_cpu_s=round(cpu_s, 2))


def _scan(
    pairs: Sequence[Pair], flagged: dict[str, list[Finding]], work: Path, semgrep: SemgrepSettings, lang: Lang
) -> float:
    """Render pairs, each function to a file of its own; add findings by path; return CPU seconds."""
    root = work / "code"
    (root / "app").mkdir(parents=True)
    for pair in pairs:
        for function in (pair.true, pair.false):
            (root / path_of(function)).write_text(function.code, encoding="utf-8")
    run = scan(
        root, pack=_pack(work), settings=semgrep, out=work / "semgrep", catalogue=rules.catalogue(), lang=lang
    ).check_complete()
    for finding in run.findings:
        flagged.setdefault(finding.path, []).append(finding)
    return run.result.cpu_s


def _pack(cache: Path) -> Path:
    """The compiled pack's rules for the classes composed here: the others could only cost time."""
    wanted = {cwe for name in CLASSES for cwe in _SAME.get(name, {name})}
    pack = json.loads(rules.compiled_pack(cache).read_bytes())
    catalogue = rules.catalogue()
    pack["rules"] = [
        rule
        for rule in pack["rules"]
        if "python" in rule["languages"] and catalogue[rule["id"]].cwe in wanted
    ]
    path = cache / "composed.json"
    path.write_text(json.dumps(pack), encoding="utf-8")
    return path


def path_of(function: Function) -> str:
    """Where a function is rendered to: a name that says nothing of its label."""
    return f"app/f{hashlib.sha256(function.code.encode()).hexdigest()[:16]}.py"


def _at_sink(pair: Pair, function: Function, flagged: dict[str, list[Finding]]) -> Finding | None:
    """The finding of the pair's class at the sink's line."""
    sink = next(span for span in function.evidence if span.role == "sink")
    classes = _SAME.get(pair.plan.sink.cwe, {pair.plan.sink.cwe})
    fit = [
        finding
        for finding in flagged.get(path_of(function), [])
        if finding.cwe in classes and finding.start_line <= sink.last and finding.end_line >= sink.first
    ]
    return min(fit, key=lambda finding: (finding.rule_id, finding.start_line), default=None)


def _example(
    pair: Pair, function: Function, finding: Finding, label: Label, profile: triage.Profile, lang: Lang
) -> Example:
    prompt = triage.render(finding, profile=profile, lang=lang)
    # One line a role; of two guards the later one, which is there because the first isn't enough.
    evidence = sorted({span.role: span for span in function.evidence}.values(), key=lambda span: span.first)
    answer = triage.answer(
        profile=profile,
        evidence=[(span.first, span.last) for span in evidence],
        verdict=Decision(label),
        reasoning=_reasoning(function, label, lang),
        recommendation=_advice(finding, label, lang),
    )
    plan = pair.plan
    example = Example.of(
        task=Task.TRIAGE,
        messages=[*prompt.messages, Message("assistant", answer)],
        lang=lang,
        licence=LICENCE,
        group=pair.group,
        origin="composition",
        origins=[Origin(record_id=record_of(function).id)],
        source=SOURCE,
        label=label,
        label_source="execution",
        pair_id=pair.pair_id,
        evidence=evidence,
        construction=Construction(
            source=f"{plan.framework.name}/{plan.source}",
            guard=plan.guard.name,
            guard_family=plan.guard.family,
            sink=plan.sink.name,
            framework=plan.framework.name,
            shape=f"{plan.shape}/{function.mode}",
            oracle=ORACLE_VERSION,
        ),
    )
    axis = pair.bucket if pair.bucket in BUCKETS[2:] else None
    split = "test" if axis else pair.bucket
    return msgspec.structs.replace(example, split=split, axis=axis)


def record_of(function: Function) -> Record:
    """The function as a Record, so that a row's lineage ends at the text that was executed."""
    return Record.of(
        source=SOURCE,
        publisher="Securetag",
        key=path_of(function),
        title="Composed function",
        text=f"```python\n{function.code}```",
        lang="und",
        url="",
        edition=ORACLE_VERSION,
        licence=LICENCE,
        file_sha256=hashlib.sha256(function.code.encode()).hexdigest(),
        locator="",
    )


_WHY: dict[str, dict[Label, str]] = {
    "en": {
        "true_positive": "Line {source} reads untrusted text; line {guard} leaves line {sink} open to it.",
        "false_positive": "Line {source} reads untrusted text; line {guard} keeps line {sink} safe from it.",
    },
    "es": {
        "true_positive": "La línea {source} lee texto no confiable; la {guard} no protege la {sink}.",
        "false_positive": "La línea {source} lee texto no confiable; la {guard} impide que altere la {sink}.",
    },
}
_NOTHING_TO_DO = {"en": "No change is needed.", "es": "No hace falta ningún cambio."}


def _reasoning(function: Function, label: Label, lang: Lang) -> str:
    lines = {span.role: str(span.first) for span in function.evidence}
    return _WHY["es" if lang == "es" else "en"][label].format(**lines)


def _advice(finding: Finding, label: Label, lang: Lang) -> str:
    if label == "true_positive":
        return finding.recommendation
    return _NOTHING_TO_DO["es" if lang == "es" else "en"]
