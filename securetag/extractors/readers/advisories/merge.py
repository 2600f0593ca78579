"""Merge Records of other sources into one a vulnerability, from CVE, NVD, KEV and advisories.

Records that name each other as aliases describe one vulnerability. A CVE id is one vulnerability by
definition, so two CVEs are never merged: an advisory that names both contributes to each. A cluster
without a CVE is named by its GHSA id, else by Go's, PyPA's or RustSec's. The first source in `records` of
the catalog row that has a text leads; of the others only new paragraphs are kept. `options.scores` names
the sources in the order of preference of their CVSS (by default the order of `records`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from securetag.errors import InputError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.advisories.advisory import drop_repeated
from securetag.extractors.readers.advisories.cvss_score import get_cvss_version
from securetag.extractors.readers.advisories.cvss_words import describe_vector
from securetag.extractors.readers.base import Item, Reader, describe_error
from securetag.extractors.record_files import read_records
from securetag.extractors.text import prose
from securetag.records import Facts, Record, Status

_CVE = re.compile(r"CVE-\d{4}-\d{4,19}")
#: Prefixes of the ids that name a cluster without a CVE, the preferred first.
_PREFERRED_PREFIXES = ("GHSA", "GO", "PYSEC", "RUSTSEC")
_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})")
_HEADING = re.compile(r"^(#{1,5}) ", re.M)
_WORDS = re.compile(r"\w+")


class MergeReader(Reader):
    """Reads the Records that `extract` wrote, one file a source."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        yield from self.read([file])

    def read(self, files: Sequence[FetchedFile]) -> Iterator[Item]:
        source_order = {name: place for place, name in enumerate(self.source.records)}
        records: list[Record] = []
        for file in files:
            try:
                records += read_records(file.path)
            except InputError as error:
                yield Failure(str(file.path), "", describe_error(error))
        records.sort(
            key=lambda record: (source_order.get(record.source, len(source_order)), record.key, record.id)
        )
        for key, members in sorted(cluster_records(records).items()):
            yield from self._merged(key, members)

    def _merged(self, key: str, members: list[Record]) -> Iterator[Record]:
        """Yield one Record a language, from `members` in the order of their preference."""
        status = choose_status(members)
        kept = [record for record in members if _was_active(record)] if status is Status.ACTIVE else members
        for lang in drop_repeated(record.lang for record in kept):
            same_language = [record for record in kept if record.lang == lang]
            yield Record.of(
                source=self.source.name,
                publisher=", ".join(drop_repeated(record.publisher for record in kept)),
                key=key,
                title=_make_title(key, same_language),
                text=merge_texts([(record.publisher, record.key, record.text) for record in same_language]),
                lang=lang,
                url=same_language[0].url,
                edition=self.source.edition,
                licence=join_licences(record.licence for record in kept),
                file_sha256=same_language[0].file_sha256,
                locator=" ".join(f"{record.source}:{record.id}" for record in kept),
                facts=self._facts(key, kept, same_language),
                status=status,
            )

    def _facts(self, key: str, members: list[Record], same_language: list[Record]) -> Facts:
        """Return the facts of all members, with prose only of the members in the Record's language."""
        facts = [record.facts for record in members]
        scored = self._best_score(members)
        names = [name for record in members for name in (record.key, *record.facts.aliases)]
        return Facts(
            kind="vulnerability",
            severity=scored.severity if scored else next((f.severity for f in facts if f.severity), None),
            cvss=scored.cvss if scored else None,
            cvss_vector=scored.cvss_vector if scored else None,
            cvss_metrics=list(describe_vector(scored.cvss_vector if scored else None, same_language[0].lang)),
            aliases=drop_repeated(
                name for name in names if name != key and not _is_other_vulnerability(name)
            ),
            related=drop_repeated(name for f in facts for name in f.related if name != key),
            cwe=drop_repeated(cwe for f in facts for cwe in f.cwe),
            mitigations=drop_repeated(text for record in same_language for text in record.facts.mitigations),
            platforms=drop_repeated(name for f in facts for name in f.platforms),
            published=min((f.published for f in facts if f.published), default=None),
            exploited=any(f.exploited for f in facts),
            packages=drop_repeated(name for f in facts for name in f.packages),
            references=drop_repeated(url for f in facts for url in f.references),
        )

    def _best_score(self, members: list[Record]) -> Facts | None:
        """Return the facts with the score to keep: CVSS v2 only without a newer version."""
        order = self.source.options.get("scores", self.source.records)
        places = {name: place for place, name in enumerate(order)}
        scored = [record for record in members if record.facts.cvss is not None]

        def weight(record: Record) -> tuple[bool, int]:
            return get_cvss_version(record.facts.cvss_vector or "") == "2.0", places.get(
                record.source, len(places)
            )

        return min(scored, key=weight).facts if scored else None


def cluster_records(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return key → the Records of one vulnerability, each list in the given order."""
    records = list(records)
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for record in records:
        first, *others = _list_ids(record)
        for other in others:
            if not (_CVE.fullmatch(first) or _CVE.fullmatch(other)):
                parent[root(other)] = root(first)
    cves: defaultdict[str, set[str]] = defaultdict(set)
    names: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        for name in _list_ids(record):
            if not _CVE.fullmatch(name):
                names[root(name)].add(name)
                cves[root(name)].update(filter(_CVE.fullmatch, _list_ids(record)))
    by_key: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        direct = [name for name in _list_ids(record) if _CVE.fullmatch(name)]
        root_id = root(_list_ids(record)[0])
        for key in direct or sorted(cves[root_id]) or [min(names[root_id], key=_rank_id)]:
            by_key[key].append(record)
    return dict(by_key)


def _list_ids(record: Record) -> list[str]:
    """Return the ids of a Record, first those that aren't CVE ids, since only they join Records."""
    names = drop_repeated([record.key, *record.facts.aliases])
    return sorted(names, key=lambda name: _CVE.fullmatch(name) is not None)


def _rank_id(name: str) -> tuple[int, str]:
    prefix = name.split("-", 1)[0]
    return (
        _PREFERRED_PREFIXES.index(prefix) if prefix in _PREFERRED_PREFIXES else len(_PREFERRED_PREFIXES)
    ), name


def _is_other_vulnerability(name: str) -> bool:
    """Whether an id is no alias: a part of a larger advisory (`ICSA-24-004-01/CVE-…`), or another CVE."""
    return "/" in name or _CVE.fullmatch(name) is not None


def _was_active(record: Record) -> bool:
    # What this source supersedes was active before it.
    return record.status in (Status.ACTIVE, Status.SUPERSEDED)


def choose_status(members: list[Record]) -> Status:
    """Return `rejected` when the CVE is, `active` while one member is, else the first member's status."""
    cve = next((record for record in members if _CVE.fullmatch(record.key)), None)
    if cve is not None and cve.status is Status.REJECTED:
        return Status.REJECTED
    return Status.ACTIVE if any(map(_was_active, members)) else members[0].status


def _make_title(key: str, records: list[Record]) -> str:
    """Return the first name that a publisher gives; without one the title of the first Record."""
    for record in records:
        if record.title.startswith(f"{record.key}: "):
            return key + record.title.removeprefix(record.key)
    return key + records[0].title.removeprefix(records[0].key)


def join_licences(licences: Iterable[str]) -> str:
    """Return the SPDX expression of all licenses together."""
    parts = sorted(set(licences))
    return parts[0] if len(parts) == 1 else " AND ".join(f"({p})" if " " in p else p for p in parts)


def merge_texts(parts: list[tuple[str, str, str]]) -> str:
    """Merge (publisher, key, Markdown) of each member into one text without repeated paragraphs.

    The first text is kept whole; the additions of each other follow under a heading.
    """
    seen: set[str] = set()
    texts: list[str] = []
    for publisher, key, text in parts:
        new_blocks = []
        for paragraph in split_blocks(text):
            words = " ".join(_WORDS.findall(paragraph.lower()))
            if paragraph.startswith("#") or words not in seen:
                new_blocks.append(paragraph)
            if words and not paragraph.startswith("#"):
                seen.add(words)
        new_blocks = list(_drop_empty_headings(new_blocks))
        if not new_blocks:
            continue
        body = "\n\n".join(new_blocks)
        if texts:
            body = prose.map_prose(body, lambda piece: _HEADING.sub(r"#\1 ", piece))
            body = f"## {publisher} ({key})\n\n{body}"
        texts.append(body)
    return "\n\n".join(texts)


def split_blocks(text: str) -> Iterator[str]:
    """Yield the blocks between blank lines; fenced code belongs to the block around it."""
    block: list[str] = []
    fence = ""
    for line in text.split("\n"):
        fence_match = _FENCE.match(line)
        if fence:
            fence = "" if fence_match and fence_match[1].startswith(fence) else fence
        elif fence_match:
            fence = fence_match[1]
        elif not line.strip():
            if block:
                yield "\n".join(block)
            block = []
            continue
        block.append(line)
    if block:
        yield "\n".join(block)


def _drop_empty_headings(blocks: list[str]) -> Iterator[str]:
    """Yield the blocks without headings that have no content left."""
    for block, after in zip(blocks, [*blocks[1:], ""], strict=False):
        heading = block.startswith("#") and "\n" not in block
        empty = not after or (after.startswith("#") and _heading_depth(after) <= _heading_depth(block))
        if not (heading and empty):
            yield block


def _heading_depth(block: str) -> int:
    return len(block) - len(block.lstrip("#"))
