"""Knowledge rows of the extracted Records: how many, how long their answers, how varied, in which language.

Reads `<data>/records` (`securetag source extract --all` makes them; set SECURETAG_DATA). The rows are those
that a build makes before duplicates, mix and split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from benchmarks.figure import Figure
from securetag.datasets import filters
from securetag.datasets.drops import Drop
from securetag.datasets.knowledge.knowledge_rows import make_knowledge_rows
from securetag.datasets.licences import find_refused
from securetag.extractors import catalog
from securetag.extractors.record_files import read_records
from securetag.records import Example, Record, Status
from securetag.settings import get_settings
from securetag.system.resources import cpu_seconds, peak_memory_mb

#: Words that make an opening.
_OPENING_WORDS = 3


def measure() -> Iterator[Figure]:
    """The shares that the rows are held to, what was dropped by which rule, and what making them costs."""
    records = read_usable()
    started = cpu_seconds()
    rows, drops = make_rows(records)
    yield Figure(figure="rows made", value=len(rows), unit="", bar="≥ 30000", ok=len(rows) >= 30_000)
    yield Figure(figure="… CPU-seconds", value=round(cpu_seconds() - started, 1), unit="CPU-s")
    yield Figure(figure="… peak memory of the process", value=round(peak_memory_mb()), unit="MiB")
    answers = [row.messages[-1].content for row in rows]
    yield _share(
        "answers of at most 40 characters", sum(len(text) <= 40 for text in answers), len(rows), 0.05
    )
    yield _share(
        "answers of at most 100 characters", sum(len(text) <= 100 for text in answers), len(rows), 0.20
    )
    yield _share("rows with one of the 20 commonest openings of questions", _top(rows, 0), len(rows), 0.20)
    yield _share("rows with one of the 20 commonest openings of answers", _top(rows, -1), len(rows), 0.20)
    distinct = len(set(answers)) / len(rows)
    yield Figure(figure="distinct answers", value=round(distinct, 3), unit="share")
    turns = sum(len(row.messages) > 2 for row in rows)
    yield Figure(figure="rows of two turns", value=turns, unit="")
    yield from _spanish(records, rows)
    for task, n in sorted(Counter(row.task.value for row in rows).items()):
        yield Figure(figure=f"rows of {task}", value=n, unit="")
    named = sum(bool(row.publisher and row.attribution) for row in rows)
    yield Figure(
        figure="rows without publisher or attribution",
        value=len(rows) - named,
        unit="",
        bar="0",
        ok=named == len(rows),
    )
    reasons: Counter[str] = Counter()
    for drop in drops:
        reasons[drop.reason.value] += drop.n
    for reason, n in sorted(reasons.items()):
        if reason.startswith("answer_"):
            yield Figure(figure=f"questions dropped: {reason}", value=n, unit="")


def read_usable() -> list[Record]:
    """Return the extracted Records whose license may enter an internal release."""
    known_sources = catalog.load()
    return [
        record
        for path in sorted(get_settings().records_dir.glob("*.jsonl"))
        if path.stem in known_sources and not find_refused({known_sources[path.stem].licence}, "internal")
        for record in read_records(path)
    ]


def make_rows(records: Sequence[Record]) -> tuple[list[Example], list[Drop]]:
    """Return the knowledge rows of profile `full` that the filters let pass, and what was left out."""
    made = make_knowledge_rows(records, profile="full", purpose="internal", langs=("en", "es"))
    kept = filters.filter_examples(made.rows, profile="full", purpose="internal")
    return kept.rows, [*made.drops, *kept.drops]


def _share(figure: str, part: int, whole: int, most: float) -> Figure:
    value = round(part / whole, 4)
    return Figure(figure=figure, value=value, unit="share", bar=f"≤ {most:g}", ok=value <= most)


def _top(rows: Sequence[Example], turn: int) -> int:
    openings = Counter(" ".join(row.messages[turn].content.split()[:_OPENING_WORDS]) for row in rows)
    return sum(n for _, n in openings.most_common(20))


def _spanish(records: Sequence[Record], rows: Sequence[Example]) -> Iterator[Figure]:
    spanish = {record.id for record in records if record.lang == "es" and record.status is Status.ACTIVE}
    covered = {origin.record_id for row in rows if row.lang == "es" for origin in row.origins}
    yield Figure(figure="rows in Spanish", value=sum(row.lang == "es" for row in rows), unit="")
    missing = len(spanish - covered)
    yield Figure(
        figure="active Spanish Records without rows",
        value=missing,
        unit="",
        peer=f"of {len(spanish)}",
        bar="0",
        ok=not missing,
    )
