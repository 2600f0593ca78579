"""What a manifest says of a release's contents: inputs, counts, and what each source gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from securetag.datasets.drops import Drop
from securetag.datasets.feedback import harvest
from securetag.datasets.knowledge.credits import split_publishers
from securetag.datasets.knowledge.knowledge_rows import SourceSummary
from securetag.datasets.releases.manifest import SPLITS, SourceEntry
from securetag.datasets.synthetic import cases
from securetag.records import Example

Counts = dict[str, dict[str, int]]


def count_contents(rows: Sequence[Example], drops: Iterable[Drop]) -> Counts:
    """Return what is counted → name → number, of rows and drops."""
    dropped: Counter[str] = Counter()
    for drop in drops:
        dropped[drop.reason] += drop.n

    def count_by(name_of: Callable[[Example], str | None]) -> dict[str, int]:
        return dict(sorted(Counter(name for row in rows if (name := name_of(row))).items()))

    return {
        "splits": {split: sum(row.split == split for row in rows) for split in SPLITS},
        "by_source": count_by(lambda row: row.source),
        "by_task": count_by(lambda row: row.task.value),
        "by_licence": count_by(lambda row: row.licence),
        "by_publisher": _count_publishers(rows),
        "by_lang": count_by(lambda row: row.lang),
        "by_label": count_by(lambda row: row.label and f"{row.label} ({row.label_source})"),
        "by_axis": count_by(lambda row: row.axis),
        "dropped": {str(reason): n for reason, n in sorted(dropped.items())},
    }


def _count_publishers(rows: Iterable[Example]) -> dict[str, int]:
    counts = Counter(name for row in rows for name in split_publishers(row.publisher))
    return dict(sorted(counts.items()))


def list_sources(
    sources: Mapping[str, SourceSummary], *, verdicts: int, by_source: Mapping[str, int]
) -> list[SourceEntry]:
    """Return an entry for each source of Records, and for synthetic cases and verdicts if there are any."""
    entries = [
        SourceEntry(
            name=name,
            publisher=", ".join(sorted(source.publishers)),
            editions=sorted(source.editions),
            licences=sorted(source.licences),
            urls=sorted(source.urls)[:1] or [""],
            records=source.records,
            rows=by_source.get(name, 0),
        )
        for name, source in sorted(sources.items())
    ]
    ours = [
        (cases.SOURCE, cases.LICENCE, by_source.get(cases.SOURCE, 0)),
        (harvest.SOURCE, harvest.LICENCE, verdicts),
    ]
    return entries + [
        SourceEntry(
            name=name,
            publisher="Securetag",
            editions=[],
            licences=[licence],
            urls=[""],
            records=n,
            rows=by_source.get(name, 0),
        )
        for name, licence, n in ours
        if n
    ]
