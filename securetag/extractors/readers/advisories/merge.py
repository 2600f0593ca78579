"""Records of other sources → one Record a vulnerability: what CVE, NVD, KEV and advisories say together.

Records that name one another as aliases are of one vulnerability. A CVE id is one by definition, so two
CVEs never become one: an advisory that names both contributes to each. Without a CVE the cluster goes
by its GHSA id, else by Go's, PyPA's or RustSec's. The first of `records` in the catalog row that has a
text leads; of the others only paragraphs stay that nobody before them had. `options.scores` names the
sources in the order in which their CVSS counts (without it: the order of `records`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from securetag.errors import InputError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.advisories.advisory import unique
from securetag.extractors.readers.advisories.cvss_score import version_of
from securetag.extractors.readers.base import Item, Reader, reason_of
from securetag.extractors.record_files import read_records
from securetag.extractors.text import prose
from securetag.records import Facts, Record, Status

_CVE = re.compile(r"CVE-\d{4}-\d{4,19}")
#: Whose id a cluster without a CVE goes by.
_PREFERENCE = ("GHSA", "GO", "PYSEC", "RUSTSEC")
_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})")
_HEADING = re.compile(r"^(#{1,5}) ", re.M)
_WORDS = re.compile(r"\w+")


class MergeReader(Reader):
    """Reads Records as `extract` wrote them, a file a source."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        yield from self.read([file])

    def read(self, files: Sequence[FetchedFile]) -> Iterator[Item]:
        order = {name: place for place, name in enumerate(self.source.records)}
        found: list[Record] = []
        for file in files:
            try:
                found += read_records(file.path)
            except InputError as error:
                yield Failure(str(file.path), "", reason_of(error))
        found.sort(key=lambda record: (order.get(record.source, len(order)), record.key, record.id))
        for key, members in sorted(clusters(found).items()):
            yield from self._merged(key, members)

    def _merged(self, key: str, members: list[Record]) -> Iterator[Record]:
        """One Record a language, from members in the order of their weight."""
        status = status_of(members)
        kept = [record for record in members if _counts(record)] if status is Status.ACTIVE else members
        for lang in unique(record.lang for record in kept):
            own = [record for record in kept if record.lang == lang]
            yield Record.of(
                source=self.source.name,
                publisher=", ".join(unique(record.publisher for record in kept)),
                key=key,
                title=_title(key, own),
                text=compose([(record.publisher, record.key, record.text) for record in own]),
                lang=lang,
                url=own[0].url,
                edition=self.source.edition,
                licence=all_of(record.licence for record in kept),
                file_sha256=own[0].file_sha256,
                locator=" ".join(f"{record.source}:{record.id}" for record in kept),
                facts=self._facts(key, kept, own),
                status=status,
            )

    def _facts(self, key: str, members: list[Record], own: list[Record]) -> Facts:
        """Of all members; prose only of those in the Record's language."""
        facts = [record.facts for record in members]
        scored = self._best_score(members)
        names = [name for record in members for name in (record.key, *record.facts.aliases)]
        return Facts(
            kind="vulnerability",
            severity=scored.severity if scored else next((f.severity for f in facts if f.severity), None),
            cvss=scored.cvss if scored else None,
            cvss_vector=scored.cvss_vector if scored else None,
            aliases=unique(name for name in names if name != key and not _is_other(name)),
            related=unique(name for f in facts for name in f.related if name != key),
            cwe=unique(cwe for f in facts for cwe in f.cwe),
            mitigations=unique(text for record in own for text in record.facts.mitigations),
            platforms=unique(name for f in facts for name in f.platforms),
            published=min((f.published for f in facts if f.published), default=None),
            exploited=any(f.exploited for f in facts),
            packages=unique(name for f in facts for name in f.packages),
            references=unique(url for f in facts for url in f.references),
        )

    def _best_score(self, members: list[Record]) -> Facts | None:
        """Facts with the score to keep: CVSS v2 only where there is nothing newer."""
        order = self.source.options.get("scores", self.source.records)
        places = {name: place for place, name in enumerate(order)}
        scored = [record for record in members if record.facts.cvss is not None]

        def weight(record: Record) -> tuple[bool, int]:
            return version_of(record.facts.cvss_vector or "") == "2.0", places.get(record.source, len(places))

        return min(scored, key=weight).facts if scored else None


def clusters(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Key → the Records of one vulnerability, each in the order given."""
    records = list(records)
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for record in records:
        first, *others = _names(record)
        for other in others:
            if not (_CVE.fullmatch(first) or _CVE.fullmatch(other)):
                parent[root(other)] = root(first)
    cves: defaultdict[str, set[str]] = defaultdict(set)
    names: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        for name in _names(record):
            if not _CVE.fullmatch(name):
                names[root(name)].add(name)
                cves[root(name)].update(filter(_CVE.fullmatch, _names(record)))
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        direct = [name for name in _names(record) if _CVE.fullmatch(name)]
        home = root(_names(record)[0])
        for key in direct or sorted(cves[home]) or [min(names[home], key=_preference)]:
            found[key].append(record)
    return dict(found)


def _names(record: Record) -> list[str]:
    """Ids that the Record goes by; those that aren't CVE ids first, which joins them."""
    names = unique([record.key, *record.facts.aliases])
    return sorted(names, key=lambda name: _CVE.fullmatch(name) is not None)


def _preference(name: str) -> tuple[int, str]:
    prefix = name.split("-", 1)[0]
    return (_PREFERENCE.index(prefix) if prefix in _PREFERENCE else len(_PREFERENCE)), name


def _is_other(name: str) -> bool:
    """True = a part of a larger advisory (`ICSA-24-004-01/CVE-…`), or another CVE: no alias."""
    return "/" in name or _CVE.fullmatch(name) is not None


def _counts(record: Record) -> bool:
    # What this source supersedes was active before it.
    return record.status in (Status.ACTIVE, Status.SUPERSEDED)


def status_of(members: list[Record]) -> Status:
    """Rejected when the CVE is; else active while one member is; else what the first one is."""
    cve = next((record for record in members if _CVE.fullmatch(record.key)), None)
    if cve is not None and cve.status is Status.REJECTED:
        return Status.REJECTED
    return Status.ACTIVE if any(map(_counts, members)) else members[0].status


def _title(key: str, own: list[Record]) -> str:
    """The first name that somebody gave it; else what the first Record was called."""
    for record in own:
        if record.title.startswith(f"{record.key}: "):
            return key + record.title.removeprefix(record.key)
    return key + own[0].title.removeprefix(own[0].key)


def all_of(licences: Iterable[str]) -> str:
    """The SPDX expression under which all parts together stand."""
    parts = sorted(set(licences))
    return parts[0] if len(parts) == 1 else " AND ".join(f"({p})" if " " in p else p for p in parts)


def compose(parts: list[tuple[str, str, str]]) -> str:
    """(publisher, key, Markdown) of each member → one text. The first stands whole; what the others add
    follows under a heading each. No paragraph stands twice."""
    seen: set[str] = set()
    out: list[str] = []
    for publisher, key, text in parts:
        fresh = []
        for paragraph in paragraphs(text):
            norm = " ".join(_WORDS.findall(paragraph.lower()))
            if paragraph.startswith("#") or norm not in seen:
                fresh.append(paragraph)
            if norm and not paragraph.startswith("#"):
                seen.add(norm)
        fresh = list(_with_content(fresh))
        if not fresh:
            continue
        body = "\n\n".join(fresh)
        if out:
            body = prose.map_prose(body, lambda piece: _HEADING.sub(r"#\1 ", piece))
            body = f"## {publisher} ({key})\n\n{body}"
        out.append(body)
    return "\n\n".join(out)


def paragraphs(text: str) -> Iterator[str]:
    """Blocks apart by blank lines; fenced code belongs to the block that it stands in."""
    block: list[str] = []
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and mark[1].startswith(fence) else fence
        elif mark:
            fence = mark[1]
        elif not line.strip():
            if block:
                yield "\n".join(block)
            block = []
            continue
        block.append(line)
    if block:
        yield "\n".join(block)


def _with_content(blocks: list[str]) -> Iterator[str]:
    """Without headings under which nothing is left."""
    for block, after in zip(blocks, [*blocks[1:], ""], strict=False):
        heading = block.startswith("#") and "\n" not in block
        empty = not after or (after.startswith("#") and _depth(after) <= _depth(block))
        if not (heading and empty):
            yield block


def _depth(block: str) -> int:
    return len(block) - len(block.lstrip("#"))
