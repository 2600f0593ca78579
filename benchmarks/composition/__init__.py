"""A composition of synthetic rows as a whole: cost cold and warm, size, names, and what tells the label.

`COMPOSITION_ROWS` says how many rows (20,000 by default: about an hour of CPU time on two cores).
"""

from __future__ import annotations

import ast
import io
import os
import resource
import tempfile
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from keyword import iskeyword
from pathlib import Path

from benchmarks.figure import Figure
from securetag.datasets.releases.baselines import code, find_telltales, score_lookups, score_word_counts
from securetag.datasets.synthetic.cases import make_synthetic_rows
from securetag.datasets.triage_rows import PromptStyle
from securetag.records import Example
from securetag.settings.sections import SemgrepSettings

ROWS, SEED = int(os.environ.get("COMPOSITION_ROWS", "20000")), 0
MIN_LINES_P50, MIN_LINES_P90, MIN_NAMES = 18, 40, 5_000
MIN_SPANISH = 0.1
MAX_COLD_CPU_S, MAX_WARM_CPU_S, MAX_LOOKUP_GAIN = 4_000, 900, 0.05
#: Peak memory of this process and of its largest child together.
MAX_MEMORY_MIB = 4_096
#: A name counts where so many rows have it.
MIN_NAME_ROWS = 3


def measure() -> Iterator[Figure]:
    """Compose the rows twice, the second time with the oracle's cache; then what the rows are like."""
    with tempfile.TemporaryDirectory(prefix="composition-") as folder:
        work = Path(folder)
        rows, cold_s = _compose(work)
        yield _at_most("composition: CPU, cold", cold_s, "CPU-s", MAX_COLD_CPU_S)
        again, warm_s = _compose(work)
        yield _at_most("composition: CPU, with the oracle's cache", warm_s, "CPU-s", MAX_WARM_CPU_S)
    peaks_kb = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    yield _at_most(
        "composition: peak memory of this process and of a child",
        sum(peaks_kb) // 1024,
        "MiB",
        MAX_MEMORY_MIB,
    )
    yield Figure(
        figure="composition: the same rows again",
        value=float(again == rows),
        unit="",
        bar="1",
        ok=again == rows,
    )
    yield _at_least("composition: rows", len(rows), "rows", round(ROWS * 0.98))
    yield from describe_code(rows)
    spanish = sum(row.lang == "es" for row in rows)
    yield _at_least("composition: prompts in Spanish", round(spanish / len(rows), 3), "share", MIN_SPANISH)
    for name, score in score_lookups(rows).items():
        gain = round(score.accuracy - score.majority, 4)
        yield _at_most(
            f"composition: look-up by {name}, over the majority", gain, "accuracy", MAX_LOOKUP_GAIN
        )
    yield _at_most("composition: words that tell the label", len(find_telltales(rows)), "words", 0)
    for axis, score in score_word_counts(rows).items():
        yield Figure(figure=f"composition: word counts on {axis}", value=score.accuracy, unit="accuracy")


def _compose(work: Path) -> tuple[list[Example], float]:
    started = _cpu_s()
    made = make_synthetic_rows(
        ROWS, SEED, PromptStyle("full", "en"), work=work, semgrep=SemgrepSettings(), progress=print
    )
    return made.rows, round(_cpu_s() - started, 1)


def describe_code(rows: Sequence[Example]) -> Iterator[Figure]:
    """Yield lines, names, imports and data flows of synthetic triage rows of profile `full`."""
    modules = [code(row) for row in rows]
    lines = sorted(module.count("\n") + 1 for module in modules)
    yield _at_least("composition: lines of a module, p50", lines[len(lines) // 2], "lines", MIN_LINES_P50)
    yield _at_least(
        "composition: lines of a module, p90", lines[len(lines) * 9 // 10], "lines", MIN_LINES_P90
    )
    names = Counter(name for module in modules for name in _list_names(module))
    yield _at_least(
        f"composition: names in {MIN_NAME_ROWS} rows or more",
        sum(count >= MIN_NAME_ROWS for count in names.values()),
        "names",
        MIN_NAMES,
    )
    kinds = (ast.Import, ast.ImportFrom)
    having = sum(
        any(
            isinstance(node, kinds) or getattr(node, "decorator_list", [])
            for node in ast.walk(ast.parse(text))
        )
        for text in modules
    )
    yield _at_least(
        "composition: modules with imports or decorators", round(having / len(modules), 3), "share", 0.5
    )
    false = [row.construction for row in rows if row.label == "false_positive" and row.construction]
    flows = sum(parts.guard_family == "data-flow" for parts in false)
    yield _at_least(
        "composition: false positives by a data flow", round(flows / len(false), 3), "share", 0.25
    )


def _list_names(module: str) -> set[str]:
    tokens = tokenize.generate_tokens(io.StringIO(module).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME and not iskeyword(token.string)}


def _at_least(figure: str, value: float, unit: str, bar: float) -> Figure:
    return Figure(figure=figure, value=value, unit=unit, bar=f"≥ {bar:g}", ok=value >= bar)


def _at_most(figure: str, value: float, unit: str, bar: float) -> Figure:
    return Figure(figure=figure, value=value, unit=unit, bar=f"≤ {bar:g}", ok=value <= bar)


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
