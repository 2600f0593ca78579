"""Questions on techniques: which one a report describes, how it is found and stopped, which controls help."""

from __future__ import annotations

import re
from collections.abc import Iterator

from securetag.datasets.knowledge.corpus import Corpus
from securetag.datasets.knowledge.draft import Draft, draw, gist
from securetag.records import Record, Task

_PROCEDURE = re.compile(r"(?P<actor>.+?)(?: \((?P<id>[A-Z]\d{4})\))?: (?P<sentence>.+)", re.S)
#: Sentences of one technique that become rows.
_PROCEDURES = 3


def draft_technique(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield what a technique's procedure examples and description answer."""
    del limit
    definition = gist(record.text)
    if not definition:
        return
    place = describe_place(record, corpus)
    names = [record.key, record.title, record.title.rsplit(": ", 1)[-1]]
    number = 0
    for procedure in sorted(record.facts.observed, key=lambda text: draw(record, text)):
        match = _PROCEDURE.fullmatch(procedure)
        if match is None or number >= _PROCEDURES:
            continue
        sentence = " ".join(match["sentence"].split())
        if not 60 <= len(sentence) <= 600 or any(name.lower() in sentence.lower() for name in names):
            continue
        number += 1
        yield Draft(
            Task.MAPPING,
            f"procedure/{number}",
            definition,
            {"about": sentence, "actor": match["actor"], "place": place},
        )
    if masked := without_names(definition, record):
        rest = " ".join(record.text.split("\n\n", 1)[0].split())
        yield Draft(Task.MAPPING, "identify", place, {"about": masked, "rest": rest})


def describe_place(record: Record, corpus: Corpus) -> str:
    """Return where an item stands: its parent and the tactics that it serves, as a clause."""
    facts = record.facts
    parents = [corpus.name(key, record.lang, record.publisher) for key in facts.parents[:1]]
    clauses = [f"a kind of {parents[0]}"] if parents else []
    if facts.tactics:
        tactics = ", ".join(tactic.replace("-", " ") for tactic in facts.tactics)
        clauses.append(f"used for {tactics}")
    if facts.platforms:
        clauses.append(
            f"seen on {', '.join(facts.platforms[:6])}" + (" and others" if len(facts.platforms) > 6 else "")
        )
    return ", ".join(clauses)


def without_names(text: str, record: Record) -> str:
    """Return a description that doesn't give its own key or title away; empty where it does."""
    names = [record.key, record.title, record.title.rsplit(": ", 1)[-1], *record.facts.aliases]
    if any(name and name.lower() in text.lower() for name in names):
        return ""
    return text if len(text) >= 100 else ""


def draft_mapping(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield which controls mitigate a technique, or which techniques a control mitigates, explained."""
    del limit
    entries = [corpus.find(key, record.lang, record.publisher) for key in record.facts.related]
    defined = [entry for entry in entries if entry is not None and entry.gist]
    subject = corpus.find(record.key, record.lang, record.publisher)
    # All are named: a list without one would say that there is none.
    if (
        subject is None
        or not subject.gist
        or not defined
        or len(defined) != len(entries)
        or len(defined) > 120
    ):
        return
    form = "mapped-controls" if record.facts.mitigations else "mapped-techniques"
    listed = [f"- {entry.name}" for entry in defined]
    # What the first ones do, so that a list is more than names; all names are given.
    drawn = sorted(defined, key=lambda entry: draw(record, entry.key))[:3]
    shown = "\n".join(f"- {entry.name}: {entry.gist}" for entry in sorted(drawn, key=lambda e: e.key))
    yield Draft(
        Task.MAPPING,
        form if len(defined) > 3 else f"{form}-few",
        shown,
        {"own": subject.name, "own_gist": subject.gist, "all": "\n".join(listed), "n": str(len(defined))},
        (subject.key, *(entry.key for entry in defined)),
    )
