"""Synthetic pairs → triage rows, where our scanner reports both functions.

A pair becomes rows only when Semgrep with our rules reports both of its functions at the sink's line with
the sink's class: the model is then trained on what it will be asked, and on nothing else.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from securetag import rules
from securetag.datasets.drops import Drop, DropReason
from securetag.datasets.synthetic.child import Outcome
from securetag.datasets.synthetic.holdout import BUCKETS, Parts, quotas
from securetag.datasets.synthetic.oracle import ORACLE_VERSION, Progress
from securetag.datasets.synthetic.reasons import explain
from securetag.datasets.synthetic.sample import Pair, sample_pairs
from securetag.datasets.synthetic.shapes import Function, source_of
from securetag.datasets.synthetic.sinks import CLASSES
from securetag.datasets.triage_rows import Labelled, PromptStyle, make_triage_row, translate
from securetag.records import (
    Construction,
    Example,
    Finding,
    Label,
    Lang,
    Origin,
    Record,
)
from securetag.scanning.semgrep import scan
from securetag.settings.sections import SemgrepSettings

#: Our functions are our own work.
LICENCE = "Apache-2.0"
SOURCE = "securetag-composition"
#: CWE ids by which a rule may name a class of ours.
SAME_CLASSES = {"CWE-94": {"CWE-94", "CWE-95"}, "CWE-79": {"CWE-79", "CWE-80"}}

#: Pairs of one Semgrep run: about 70 CPU-seconds, well within the scanner's time limit.
_BATCH = 4_000


class SyntheticRows(msgspec.Struct, frozen=True, kw_only=True):
    """Triage rows with their splits, and what was left out."""

    rows: list[Example]
    drops: list[Drop]
    #: CPU seconds that the scanner took.
    scan_cpu_s: float


def make_synthetic_rows(
    count: int,
    seed: int,
    style: PromptStyle,
    *,
    work: Path,
    semgrep: SemgrepSettings,
    parts: Parts | None = None,
    mistakes: Collection[str] = (),
    progress: Progress | None = None,
) -> SyntheticRows:
    """Return at most `count` triage rows in contrastive pairs, labeled by execution, flagged by Semgrep.

    `parts` and `mistakes` as for `sample_pairs`. `work` is a folder for the rendered functions and the
    scanner's output, which are deleted again. A function that the oracle can't judge is left out and counted.
    Raises ToolError when the oracle can't start or the scanner fails.
    """
    if count < 2:
        return SyntheticRows(rows=[], drops=[], scan_cpu_s=0.0)
    sample = sample_pairs(
        count,
        seed,
        parts=parts,
        mistakes=mistakes,
        progress=progress,
        cache=work / "oracle-outcomes.sqlite",
    )
    pairs = sample.pairs
    flagged: dict[str, list[Finding]] = {}
    cpu_s = 0.0
    work.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(pairs), _BATCH):
        with tempfile.TemporaryDirectory(prefix="synthetic-", dir=work) as folder:
            cpu_s += _scan(pairs[start : start + _BATCH], flagged, Path(folder), semgrep, style.lang)
    drops = [_drop(DropReason.SYNTHETIC_NOT_JUDGED, n, error) for error, n in sample.unjudged.items()]
    by_bucket: dict[str, list[tuple[Pair, Finding, Finding]]] = {bucket: [] for bucket in BUCKETS}
    unflagged = unshown = 0
    for pair in pairs:
        true, false = (_at_sink(pair, function, flagged) for function in (pair.true, pair.false))
        if true is None or false is None:
            unflagged += 2
        elif _reads_equal(true, false, style):
            unshown += 2
        else:
            by_bucket[pair.bucket].append((pair, true, false))
    if unflagged:
        drops.append(_drop(DropReason.SYNTHETIC_NO_FINDING, unflagged))
    if unshown:
        drops.append(_drop(DropReason.SYNTHETIC_NOT_SHOWN, unshown))
    taken: list[tuple[Pair, Finding, Finding]] = []
    for bucket, wanted in quotas(count, parts, mistakes).items():
        taken += by_bucket[bucket][:wanted]
        missing = wanted - len(by_bucket[bucket])
        if missing > 0:
            drops.append(_drop(DropReason.SYNTHETIC_MISSING, 2 * missing, bucket))
    # Of what is taken, so that neither the reserve nor what no rule flags changes the share.
    styles = style.draw_languages([pair.pair_id for pair, _, _ in taken])
    rows: list[Example] = []
    for pair, true, false in taken:
        rows += [
            _make_row(pair, pair.true, true, "true_positive", pair.attack, styles[pair.pair_id]),
            _make_row(pair, pair.false, false, "false_positive", pair.search, styles[pair.pair_id]),
        ]
    return SyntheticRows(rows=rows, drops=drops, scan_cpu_s=round(cpu_s, 2))


def _drop(reason: DropReason, n: int, detail: str = "") -> Drop:
    return Drop(reason=reason, source=SOURCE, task="triage", n=n, detail=detail)


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
    """The compiled pack's rules for the classes synthetic here: the others could only cost time."""
    wanted = {cwe for name in CLASSES for cwe in SAME_CLASSES.get(name, {name})}
    pack = json.loads(rules.compiled_pack(cache).read_bytes())
    catalogue = rules.catalogue()
    pack["rules"] = [
        rule
        for rule in pack["rules"]
        if "python" in rule["languages"] and catalogue[rule["id"]].cwe in wanted
    ]
    path = cache / "synthetic.json"
    path.write_text(json.dumps(pack), encoding="utf-8")
    return path


def path_of(function: Function) -> str:
    """Where a function is rendered to: a name that says nothing of its label."""
    return f"app/f{hashlib.sha256(function.code.encode()).hexdigest()[:16]}.py"


def _at_sink(pair: Pair, function: Function, flagged: dict[str, list[Finding]]) -> Finding | None:
    """The finding of the pair's class at the sink's line."""
    sink = next(span for span in function.evidence if span.role == "sink")
    classes = SAME_CLASSES.get(pair.plan.sink.cwe, {pair.plan.sink.cwe})
    fit = [
        finding
        for finding in flagged.get(path_of(function), [])
        if finding.cwe in classes and finding.start_line <= sink.last and finding.end_line >= sink.first
    ]
    return min(fit, key=lambda finding: (finding.rule_id, finding.start_line), default=None)


def _make_row(
    pair: Pair, function: Function, finding: Finding, label: Label, outcome: Outcome, style: PromptStyle
) -> Example:
    finding = show(function, translate(finding, style.lang))
    # One line a role; of two guards the later one, which is there because the first isn't enough.
    evidence = sorted({span.role: span for span in function.evidence}.values(), key=lambda span: span.first)
    is_true = label == "true_positive"
    mode = "flow" if pair.plan.guard.family == "data-flow" else function.mode
    labelled = Labelled(
        label=label,
        label_source="execution",
        reasoning=explain(pair.plan.sink, mode, label, outcome, style.prompt_lang),
        recommendation=finding.recommendation if is_true else _NOTHING_TO_DO[style.prompt_lang],
        origin="composition",
        origins=[Origin(record_id=record_of(function).id)],
        source=SOURCE,
        licence=LICENCE,
        group=pair.group,
    )
    plan = pair.plan
    construction = Construction(
        source=f"{plan.framework.name}/{plan.source}",
        guard=plan.guard.name,
        guard_family=plan.guard.family,
        sink=plan.sink.name,
        framework=plan.framework.name,
        shape=f"{plan.shape}/{function.mode}",
        entry=function.entry,
        variable=plan.variable,
        delivery=source_of(plan, function.mode),
        oracle=ORACLE_VERSION,
        witness=outcome.witness,
        witness_other=outcome.witness_other if outcome.witness is not None else None,
        effect=outcome.effect,
        inputs=outcome.tried,
    )
    row = make_triage_row(
        finding, labelled, style, evidence=evidence, pair_id=pair.pair_id, construction=construction
    )
    axis = pair.bucket if pair.bucket in BUCKETS[2:] else None
    split = "test" if axis else pair.bucket
    return msgspec.structs.replace(row, split=split, axis=axis)


def show(function: Function, finding: Finding) -> Finding:
    """Return the finding with the code that a model reads of it.

    Profile `full` reads the whole module, profile `compact` the slice that the scan made.
    """
    return msgspec.structs.replace(finding, snippet=function.code, snippet_line=1)


def _reads_equal(true: Finding, false: Finding, style: PromptStyle) -> bool:
    """Is the code that tells a pair's functions apart in neither prompt?"""
    texts = [[line.text for line in finding.code_slice] for finding in (true, false)]
    return style.profile == "compact" and texts[0] == texts[1]


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


_NOTHING_TO_DO = {"en": "No change is needed.", "es": "No hace falta ningún cambio."}
