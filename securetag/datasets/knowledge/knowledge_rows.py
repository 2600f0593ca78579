"""Records → knowledge rows, the keys of their groups, and what a release says of their sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial

import msgspec

from securetag.datasets import filters
from securetag.datasets.drops import Drop, DropReason
from securetag.datasets.knowledge.corpus import Corpus
from securetag.datasets.knowledge.credits import split_publishers
from securetag.datasets.knowledge.questions import MAX_PER_RECORD, make_judged_questions
from securetag.datasets.knowledge.teacher import EMPTY, TeacherResponses
from securetag.datasets.licences import Purpose, is_allowed
from securetag.datasets.parallel import Mapper, cut, map_here
from securetag.datasets.splitting.groups import GroupKeys, group_keys_of, set_group
from securetag.records import Example, Record, Status
from securetag.triage import Profile

#: Records of one part of the work that a mapper distributes: a second or two.
_PART = 500


class SourceSummary(msgspec.Struct, kw_only=True):
    """What the Records of one source have in common."""

    publishers: set[str] = set()
    #: Of all its Records, also of those without rows: they decide what an input was.
    ids: list[str] = []
    editions: set[str] = set()
    licences: set[str] = set()
    urls: set[str] = set()
    #: Records that may give rows.
    records: int = 0


class KnowledgeRows(msgspec.Struct, kw_only=True):
    """Knowledge rows, and what a release says of where they come from."""

    rows: list[Example] = []
    drops: list[Drop] = []
    sources: dict[str, SourceSummary] = {}
    #: Record id → keys of its rows.
    keys: dict[str, GroupKeys] = {}


def make_knowledge_rows(
    records: Sequence[Record],
    *,
    profile: Profile,
    purpose: Purpose,
    langs: Collection[str],
    withdrawn: Collection[str] = (),
    in_test: Collection[str] = (),
    responses: TeacherResponses = EMPTY,
    mapper: Mapper = map_here,
) -> KnowledgeRows:
    """Return the rows of every Record in one of `langs`, of no source in `withdrawn`.

    `in_test` holds ids of Records of which a held-out row is made: they give no rows here. `responses` fill
    up what the templates leave of a Record's rows. `mapper` decides where rows are made, not which. Raises
    LicenceError where a Record's license stops every release.
    """
    result = KnowledgeRows()
    dropped: Counter[tuple[str, DropReason, str]] = Counter()
    usable: list[Record] = []
    # What a row quotes is held to the same conditions as the Record that it is about.
    quotable = [record for record in records if record.source not in withdrawn and record.id not in in_test]
    corpus = Corpus(
        (record for record in quotable if filters.check_record(record, purpose) is None),
        superseded=(
            record
            for record in quotable
            if record.status is Status.SUPERSEDED and is_allowed(record.licence, purpose)
        ),
    )
    for record in records:
        source = result.sources.setdefault(record.source, SourceSummary())
        source.ids.append(record.id)
        if record.source in withdrawn:
            reason: DropReason | None = DropReason.RECORD_ERASED
        else:
            reason = filters.check_record(record, purpose)
        if reason is None and record.lang not in langs:
            reason = DropReason.RECORD_LANGUAGE
        if reason is None and record.id in in_test:
            reason = DropReason.RECORD_IN_TEST
        if reason is not None:
            detail = record.lang if reason is DropReason.RECORD_LANGUAGE else ""
            dropped[record.source, reason, detail] += 1
            continue
        source.records += 1
        source.editions.add(record.edition)
        source.licences.add(record.licence)
        source.urls.add(record.url)
        source.publishers.update(split_publishers(record.publisher))
        result.keys[record.id] = group_keys_of(record)
        usable.append(record)
    make_part = partial(_make_rows, profile=profile, corpus=corpus, responses=responses)
    made = [part for parts in mapper(make_part, cut(usable, _PART)) for part in parts]
    for record, (rows, flaws) in zip(usable, made, strict=True):
        dropped.update({(record.source, flaw, ""): n for flaw, n in flaws.items()})
        result.rows += set_group(rows, result.keys[record.id])
        if not rows:
            dropped[record.source, DropReason.RECORD_NO_SENTENCE, ""] += 1
    result.drops = [
        Drop(reason=reason, source=name, task="qa", n=n, detail=detail)
        for (name, reason, detail), n in sorted(dropped.items())
    ]
    return result


def _make_rows(
    records: Sequence[Record], *, profile: Profile, corpus: Corpus, responses: TeacherResponses
) -> list[tuple[list[Example], Counter[DropReason]]]:
    """Return for each Record its rows, and why others were left out."""
    made = []
    for record in records:
        rows, flaws = make_judged_questions(record, profile, corpus)
        from_teacher, unfit = responses.make_rows(record, profile, MAX_PER_RECORD - len(rows))
        made.append((rows + from_teacher, flaws + unfit))
    return made
