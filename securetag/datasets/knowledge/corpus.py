"""What rows say of other Records: titles, definitions, siblings; and which sentences are boilerplate.

A key is looked up at the publisher that owns it (`AC-2` is NIST's, `T1059` MITRE's), and never in a mapping
between two publications: those name a control after the technique that it mitigates. Records of superseded
editions give no rows; what an item had in one (the procedures of a technique) may be quoted where the
item's own Record lacks it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from securetag.datasets.knowledge.draft import PASSAGES, define, strip_number
from securetag.records import PACKAGE_FIX, Record, Status

#: Records that may say the same before it tells nothing of any of them. Above it are "Assume all input is
#: malicious" (153 weaknesses) and "Apply updates per vendor instructions" (1,037 vulnerabilities).
MAX_REPEATS = 8
#: Forms of keys and the publisher that gives them.
_OWNERS = (
    (re.compile(r"(?:CWE|CAPEC)-\d+|(?:T|TA|M|S|G|C|DC)\d{4}(?:\.\d{3})?|AML\.\S+|D3-[\w-]+"), "MITRE"),
    (re.compile(r"[A-Z]{2}-\d+(?:\(\d+\))?|[A-Z]{2}(?:\.[A-Z]{2}(?:-\d+)?)?|P[OSWR]\.\d+(?:\.\d+)?"), "NIST"),
    (re.compile(r"(?:ASVS|MASVS|MASTG|WSTG)-\S+|(?:A|API|LLM|C)\d+:\d{4}"), "OWASP"),
)
#: Kinds that don't define what their key names.
_NO_DEFINITIONS = PASSAGES | {"mapping", "vulnerability", "instruction", "prompt", "fix", PACKAGE_FIX}


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What other rows may say of a Record."""

    key: str
    title: str
    gist: str
    kind: str
    publisher: str
    licence: str
    url: str
    parents: tuple[str, ...]
    mapping_usage: str

    @classmethod
    def of(cls, record: Record) -> Entry:
        """Return what rows may say of a Record."""
        return cls(
            key=record.key,
            title=record.title,
            gist=define(record),
            kind=record.facts.kind or "",
            publisher=record.publisher,
            licence=record.licence,
            url=record.url,
            parents=tuple(record.facts.parents),
            mapping_usage=record.facts.mapping_usage or "",
        )

    @property
    def name(self) -> str:
        return self.title if self.key in self.title else f"{self.title} ({self.key})"


class Corpus:
    """The Records of a build as far as rows of other Records quote them."""

    def __init__(self, records: Iterable[Record] = (), superseded: Iterable[Record] = ()) -> None:
        self._entries: dict[tuple[str, str, str], Entry] = {}
        self._children: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._repeats: Counter[str] = Counter()
        self._headings: defaultdict[str, list[str]] = defaultdict(list)
        self._controls: defaultdict[str, list[str]] = defaultdict(list)
        self._earlier: dict[tuple[str, str, str], Record] = {}
        for record in superseded:
            self._add_earlier(record)
        for record in records:
            if record.status is Status.ACTIVE:
                self._add(record)
        for children in self._children.values():
            children.sort()
        for headings in self._headings.values():
            headings[:] = sorted(set(headings))

    def _add(self, record: Record) -> None:
        facts = record.facts
        for text in {
            _flatten(entry) for entry in (*facts.mitigations, *facts.detections, *facts.consequences)
        }:
            self._repeats[text] += 1
        if facts.kind in PASSAGES:
            if facts.section:
                self._headings[record.source].append(strip_number(facts.section[-1]))
            return
        if facts.kind in _NO_DEFINITIONS:
            return
        owner = _find_owner(record.key)
        if owner and owner != record.publisher:
            return
        place = (record.publisher, record.lang, record.key)
        entry = Entry.of(record)
        # Of two sources with one key the one whose entry sorts first, whatever the order of the Records.
        present = self._entries.get(place)
        if present is None or (entry.title, entry.gist) < (present.title, present.gist):
            self._entries[place] = entry
        if present is None:
            for parent in facts.parents:
                self._children[record.publisher, parent].append(record.key)
        if facts.kind == "requirement":
            for cwe in facts.cwe:
                self._controls[cwe].append(record.key)

    def _add_earlier(self, record: Record) -> None:
        """Keep, of an item's superseded Records, the one that has most to quote."""
        place = (record.publisher, record.lang, record.key)
        present = self._earlier.get(place)
        if present is None or _rank_earlier(present) < _rank_earlier(record):
            self._earlier[place] = record

    def find_earlier(self, key: str, lang: str, publisher: str) -> Record | None:
        """Return what a superseded edition says of a key."""
        return self._earlier.get((publisher, lang, key))

    def find(self, key: str, lang: str, publisher: str) -> Entry | None:
        """Return the entry of a key in a language: that of its owner, else of `publisher`."""
        return self._entries.get((_find_owner(key) or publisher, lang, key))

    def name(self, key: str, lang: str, publisher: str) -> str:
        """Return the title with its key, the key alone where nothing is known of it."""
        entry = self.find(key, lang, publisher)
        return entry.name if entry else key

    def siblings(self, record: Record) -> list[Entry]:
        """Return the other children of a Record's parents that have a definition, by key."""
        return self.siblings_of(record.key, record.facts.parents, record.lang, record.publisher)

    def siblings_of(self, key: str, parents: Iterable[str], lang: str, publisher: str) -> list[Entry]:
        """Return the other children of `parents` that have a definition, by key."""
        keys = {
            child
            for parent in parents
            for child in self._children.get((publisher, parent), ())
            if child != key
        }
        entries = (self.find(child, lang, publisher) for child in sorted(keys))
        return [entry for entry in entries if entry and entry.gist]

    def children(self, key: str, publisher: str) -> Sequence[str]:
        """Return the keys of the items below one."""
        return self._children.get((publisher, key), ())

    def headings(self, source: str) -> Sequence[str]:
        """Return the headings of a source's passages."""
        return self._headings.get(source, ())

    def requirements(self, cwe: str) -> Sequence[str]:
        """Return the keys of the requirements that are about a weakness."""
        return sorted(set(self._controls.get(cwe, ())))

    def is_boilerplate(self, text: str) -> bool:
        """Whether so many Records say the same that it tells nothing of any."""
        flat = _flatten(text)
        return self._repeats[flat] > MAX_REPEATS or bool(_BOILERPLATE.search(flat))


#: Sentences that advise nothing in particular, in advisories and entries whose number doesn't show it.
_BOILERPLATE = re.compile(
    r"^(?:apply (?:updates|mitigations)|follow the (?:vendor|instructions)|see (?:the )?vendor)"
    r"|^update to the latest"
    r"|per vendor'?s? instructions|end-of-life and should be disconnected|according to soar"
    r"|commonly referred to as static application security testing"
)


def _rank_earlier(record: Record) -> tuple[int, str, str]:
    return len(record.facts.observed) + len(record.facts.detections), record.edition, record.id


def _flatten(text: str) -> str:
    return " ".join(text.lower().split())


def _find_owner(key: str) -> str:
    return next((publisher for pattern, publisher in _OWNERS if pattern.fullmatch(key)), "")


EMPTY_CORPUS = Corpus()
