"""Records → knowledge rows: which Records may teach, in which group, and what is known of their sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import msgspec

from securetag.datasets import erasure, filters
from securetag.datasets.filters import Drop
from securetag.datasets.knowledge.questions import MAX_PER_RECORD, of_record, titles_of
from securetag.datasets.knowledge.teacher import NONE as NO_LESSONS
from securetag.datasets.knowledge.teacher import Lessons
from securetag.datasets.licences import Purpose
from securetag.datasets.splitting.assign import Ties, grouped, ties_of
from securetag.records import Example, Record
from securetag.triage import Profile

SILENT = "record: no whole sentence fits"
ASKED = "record: asked about in the test split, as code before and after a fix"


class SourceSeen(msgspec.Struct, kw_only=True):
    """What is known of a source after its Records went by."""

    publisher: str
    #: Of all its Records, also those that don't teach: they decide what an input was.
    ids: list[str] = []
    editions: set[str] = set()
    licences: set[str] = set()
    urls: set[str] = set()
    #: Records that teach.
    records: int = 0


class Knowledge(msgspec.Struct, kw_only=True):
    """Knowledge rows, and what a release says of where they come from."""

    examples: list[Example] = []
    sources: dict[str, SourceSeen] = {}
    #: Record id → what ties its rows to other rows.
    ties: dict[str, Ties] = {}
    drops: list[Drop] = []


def knowledge(
    records: Iterable[Record],
    *,
    profile: Profile,
    purpose: Purpose,
    langs: Collection[str],
    withdrawn: Collection[str] = (),
    asked: Collection[str] = (),
    lessons: Lessons = NO_LESSONS,
) -> Knowledge:
    """Rows of every Record that may teach in one of `langs`; none of a source in `withdrawn`.

    `asked` holds ids of Records that a held-out row is made of: they are known here, and don't teach.
    `lessons` fill up what the templates leave of a Record's rows.
    Raises LicenceError where a Record's licence stops a release.
    """
    found = Knowledge()
    left: Counter[tuple[str, str]] = Counter()
    held = list(records)  # a Record's answer names what others are called
    titles = titles_of(held)
    for record in held:
        seen = found.sources.setdefault(record.source, SourceSeen(publisher=record.publisher))
        seen.ids.append(record.id)
        reason = erasure.SOURCE_REASON if record.source in withdrawn else None
        reason = reason or filters.of_record(record, purpose)
        if reason is None and record.lang not in langs:
            reason = f"record: language {record.lang}"
        if reason is None and record.id in asked:
            reason = ASKED
        if reason is not None:
            left[record.source, reason] += 1
            continue
        seen.records += 1
        seen.editions.add(record.edition)
        seen.licences.add(record.licence)
        seen.urls.add(record.url)
        found.ties[record.id] = ties_of(record)
        rows = of_record(record, profile, titles)
        taught, unfit = lessons.rows(record, profile, MAX_PER_RECORD - len(rows))
        rows += taught
        left.update({(record.source, why): n for why, n in unfit.items()})
        found.examples += grouped(rows, found.ties[record.id])
        if not rows:
            left[record.source, SILENT] += 1
    found.drops = [
        Drop(reason=reason, source=source, task="qa", n=n) for (source, reason), n in sorted(left.items())
    ]
    return found
