"""Questions on techniques: which one a report describes, how it is found and stopped, which controls help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from securetag.datasets.knowledge.corpus import Corpus, Entry
from securetag.datasets.knowledge.draft import Draft, draw, gist, list_some, list_whole
from securetag.datasets.knowledge.forms.weaknesses import find_closest
from securetag.records import Record, Task

_PROCEDURE = re.compile(r"(?P<actor>.+?)(?: \((?P<id>[A-Z]\d{4})\))?: (?P<sentence>.+)", re.S)
_STEP = re.compile(
    r"^### (?P<title>[^\n]+) \((?P<tactic>[^()\n]+)\)\n\n(?P<text>.+?)(?=^### |^## |\Z)", re.M | re.S
)
#: Characters of a step that tells enough to be classified alone; steps that are classified together.
_MIN_STEP_CHARS, _STEPS_IN_A_ROW = 60, 4
_DATA_SOURCE = re.compile(r"[A-Z][\w/]+(?: [\w/]+){0,4}: ")
#: Sentences of one technique that become rows.
_PROCEDURES = 4


def draft_technique(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield what a technique's procedure examples, description and ways of detection answer.

    Of a technique whose own Record has no examples those of a superseded edition are quoted, where the
    technique had the same title.
    """
    definition = gist(record.text)
    if not definition:
        return
    place = describe_place(record, corpus)
    old = corpus.find_earlier(record.key, record.lang, record.publisher)
    observed = record.facts.observed
    earlier: tuple[Record, ...] = ()
    if old is not None and old.title == record.title:
        if not record.facts.detections:
            yield _make_detection(old, limit)
        if not observed:
            observed, earlier = old.facts.observed, (old,)
    names = [record.key, record.title, record.title.rsplit(": ", 1)[-1]]
    other = find_closest(record, definition, corpus.siblings(record))
    number = 0
    for procedure in sorted(observed, key=lambda text: draw(record, text)):
        match = _PROCEDURE.fullmatch(procedure)
        if match is None or number >= _PROCEDURES:
            continue
        sentence = " ".join(match["sentence"].split())
        if not 60 <= len(sentence) <= 600 or any(name.lower() in sentence.lower() for name in names):
            continue
        number += 1
        fields = {"about": sentence, "actor": match["actor"], "place": place}
        form = f"procedure/{number}"
        used: tuple[str, ...] = ()
        # One of them is asked with the technique for which it could be taken. An earlier edition can't have
        # meant a technique that it didn't have.
        was_known = not earlier or (
            other is not None and corpus.find_earlier(other.key, record.lang, record.publisher) is not None
        )
        if number == 2 and other is not None and was_known and other.gist != definition:
            form, used = f"procedure-choice/{number}", (other.key,)
            fields |= _name_both(record, other)
        yield Draft(Task.MAPPING, form, definition, fields, used, earlier)
    if masked := without_names(definition, record):
        rest = " ".join(record.text.split("\n\n", 1)[0].split())
        yield Draft(Task.MAPPING, "identify", place, {"about": masked, "rest": rest})


def _name_both(record: Record, other: Entry) -> dict[str, str]:
    """Return the fields of a question with two candidates, in an order that doesn't tell the answer."""
    candidates = [f"{record.title} ({record.key})", other.name]
    if draw(record, "order") % 2:
        candidates.reverse()
    return {
        "first": candidates[0],
        "second": candidates[1],
        "other_key": other.key,
        "other_gist": other.gist,
    }


def _make_detection(old: Record, limit: int) -> Draft:
    """Return what an earlier edition says on how a technique is noticed, by source of data."""
    # The first entry is the whole in prose; those that name a source of data repeat it in parts.
    named = [text for text in old.facts.detections if _DATA_SOURCE.match(text)]
    entries = named or old.facts.detections[:1]
    whole = list_whole(entries, limit)
    if whole:
        return Draft(Task.QA, "detection", whole, earlier=(old,))
    some, n = list_some(entries, limit)
    return Draft(Task.QA, "detection-some", some, {"n": str(n), "total": str(len(entries))}, earlier=(old,))


def draft_case_study(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield which technique each step of an incident is, for some steps alone and for several in a row."""
    steps = _split_steps(record, corpus)
    if not steps:
        return
    order = sorted(range(len(steps)), key=lambda n: draw(record, f"step {n}"))
    clear = [n for n in order if len(steps[n].text) >= _MIN_STEP_CHARS and not steps[n].names_technique]
    for number, n in enumerate(clear[:_PROCEDURES], 1):
        step = steps[n]
        fields = {"about": step.text, "step": step.entry.name, "tactic": step.tactic, "case": record.title}
        yield Draft(Task.MAPPING, f"step/{number}", step.entry.gist, fields, (step.entry.key,))
    start = draw(record, "steps") % max(1, len(steps) - _STEPS_IN_A_ROW + 1)
    part = steps[start : start + _STEPS_IN_A_ROW]
    about = "\n".join(f"{n}. {' '.join(step.text.split())}" for n, step in enumerate(part, 1))
    answer = "\n".join(
        f"{n}. {step.entry.name}, for {step.tactic}: {step.entry.gist}" for n, step in enumerate(part, 1)
    )
    fits = len(part) > 1 and len(answer) <= limit and len(about) <= limit
    used = tuple(dict.fromkeys(step.entry.key for step in part))
    yield Draft(Task.MAPPING, "steps-in-a-row", answer if fits else "", {"about": about}, used)


class _Step(NamedTuple):
    entry: Entry
    tactic: str
    text: str

    @property
    def names_technique(self) -> bool:
        """Whether the text has the name that is asked for."""
        return self.entry.title.rsplit(": ", 1)[-1].lower() in self.text.lower()


def _split_steps(record: Record, corpus: Corpus) -> list[_Step]:
    """Return the steps of an incident; none where a heading isn't the title of one related technique."""
    related = [corpus.find(key, record.lang, record.publisher) for key in record.facts.related]
    entries = [entry for entry in related if entry is not None and entry.gist]
    steps: list[_Step] = []
    for match in _STEP.finditer(f"{record.text}\n\n"):
        named = [entry for entry in entries if entry.title.rsplit(": ", 1)[-1] == match["title"]]
        if len(named) != 1:
            return []
        steps.append(_Step(named[0], match["tactic"], match["text"].strip()))
    return steps


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
