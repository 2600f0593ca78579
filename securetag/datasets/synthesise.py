"""Records → questions and answers, by template: nothing is said that the Record doesn't say.

At most six Examples a Record. Which phrasing a Record gets is drawn from its id, so that no phrasing
dominates and none depends on the order of the Records. Spanish questions come only from Spanish
Records: there is no Spanish question with an English answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

from securetag.records import Example, Lang, Message, Origin, Record, Status, Task
from securetag.triage import Profile

#: Examples that one Record may become.
MAX_PER_RECORD = 6
#: Characters of an answer: what leaves room for the question in the profile's tokens.
MAX_ANSWER_CHARS: dict[Profile, int] = {"compact": 560, "full": 5_000}

_ASK: dict[str, dict[str, Sequence[str]]] = {
    "en": {
        "what": (
            "What is {name}?", "Explain {name}.", "Describe {name} to a developer.",
            "In security, what does {name} mean?", "Give a short account of {name}.",
        ),
        "section": (
            "What does {source} say about “{name}”?", "Summarise the guidance on “{name}” in {source}.",
            "What should I know about “{name}”, according to {source}?",
            "{source}, “{name}”: what does it advise?",
        ),
        "mitigation": (
            "How can {name} be mitigated?", "Which mitigations help against {name}?",
            "What should a team do against {name}?", "Name countermeasures for {name}.",
        ),
        "detection": (
            "How can {name} be detected?", "What reveals {name}?", "Which methods find {name}?",
            "How would you notice {name}?",
        ),
        "consequence": (
            "What are the consequences of {name}?", "What can an attacker gain through {name}?",
            "Why does {name} matter?", "What impact does {name} have?",
        ),
        "parent": (
            "Which entry is the parent of {name}?", "Under which broader entry does {name} fall?",
            "{name} is a kind of what?",
        ),
        "tactic": (
            "Which tactics does {name} serve?", "To which ATT&CK tactics does {name} belong?",
            "What is an adversary after when using {name}?",
        ),
        "severity": (
            "How severe is {name}?", "What severity does {name} have?", "Rate the severity of {name}.",
        ),
        "weakness": (
            "Which weakness underlies {name}?", "Map {name} to CWE.", "What CWE does {name} belong to?",
        ),
    },
    "es": {
        "what": (
            "¿Qué es {name}?", "Explica {name}.", "Describe {name} a una desarrolladora.",
            "En seguridad, ¿qué significa {name}?",
        ),
        "section": (
            "¿Qué dice {source} sobre «{name}»?", "Resume lo que recomienda {source} sobre «{name}».",
            "¿Qué conviene saber sobre «{name}», según {source}?",
        ),
        "mitigation": ("¿Cómo se mitiga {name}?", "¿Qué medidas ayudan contra {name}?"),
        "detection": ("¿Cómo se detecta {name}?", "¿Qué delata {name}?"),
        "consequence": ("¿Qué consecuencias tiene {name}?", "¿Por qué importa {name}?"),
        "parent": ("¿De qué entrada más general depende {name}?", "¿{name} es un tipo de qué?"),
        "tactic": ("¿A qué tácticas sirve {name}?", "¿A qué tácticas de ATT&CK pertenece {name}?"),
        "severity": ("¿Qué gravedad tiene {name}?", "¿Cuán grave es {name}?"),
        "weakness": ("¿Qué debilidad hay detrás de {name}?", "¿A qué CWE corresponde {name}?"),
    },
}  # fmt: skip

#: Kinds of Record that are passages of a document rather than things with a name.
_PASSAGES = frozenset({"section", "chapter", "page"})
_SENTENCE = re.compile(r"(?<=[.!?…])\s+(?=[A-ZÁÉÍÓÚÑ¿¡\d`*\-(])|\n\n+")


def synthesise(records: Iterable[Record], *, profile: Profile, langs: Sequence[Lang]) -> Iterator[Example]:
    """The Examples of every active Record in one of `langs`."""
    for record in records:
        if record.status is Status.ACTIVE and record.lang in langs and record.lang in _ASK:
            yield from of_record(record, profile)


def of_record(record: Record, profile: Profile) -> list[Example]:
    """At most MAX_PER_RECORD Examples of one Record, each about another side of it."""
    limit = MAX_ANSWER_CHARS[profile]
    facts = record.facts
    passage = facts.kind in _PASSAGES
    drafts: list[tuple[Task, str, str]] = [
        (Task.QA, "section" if passage else "what", shortened(record.text, limit)),
        (Task.MAPPING, "mitigation", _listed(facts.mitigations, limit)),
        (Task.MAPPING, "detection", _listed(facts.detections, limit)),
        (Task.QA, "consequence", _listed(facts.consequences, limit)),
        (Task.MAPPING, "parent", ", ".join(facts.parents)),
        (Task.MAPPING, "tactic", ", ".join(facts.tactics)),
        (Task.MAPPING, "weakness", ", ".join(key for key in facts.cwe if key != record.key)),
        (Task.MAPPING, "severity", _severity(record)),
    ]
    found = [_example(record, task, aspect, answer) for task, aspect, answer in drafts if answer]
    return found[:MAX_PER_RECORD]


def _severity(record: Record) -> str:
    facts = record.facts
    if facts.severity is None:
        return ""
    return (
        f"{facts.severity} (CVSS {facts.cvss:.1f})"
        if facts.cvss is not None
        else f"{facts.severity} severity"
    )


def _example(record: Record, task: Task, aspect: str, answer: str) -> Example:
    phrasings = _ASK[record.lang][aspect]
    place = int(hashlib.sha256(f"{record.id}/{aspect}".encode()).hexdigest()[:8], 16)
    question = phrasings[place % len(phrasings)].format(name=_name(record), source=record.publisher)
    return Example.of(
        task=task, messages=[Message("user", question), Message("assistant", answer)], lang=record.lang,
        licence=record.licence, group=f"record/{record.source}/{record.key}", origin="template",
        origins=[Origin(record_id=record.id)], source=record.source,
    )  # fmt: skip


def _name(record: Record) -> str:
    """`SQL Injection (CWE-89)`; for a passage the headings that lead to it."""
    if record.facts.kind in _PASSAGES:
        path = [part for part in record.facts.section if part] or [record.title]
        return " › ".join(path[-2:])
    return record.title if record.key in record.title else f"{record.title} ({record.key})"


def _listed(entries: Sequence[str], limit: int) -> str:
    """Entries as a list, whole ones only, within `limit` characters; one entry alone stands as prose."""
    if not entries:
        return ""
    if len(entries) == 1:
        return shortened(entries[0], limit)
    lines: list[str] = []
    for entry in entries:
        point = shortened(" ".join(entry.split()), max(limit // 3, 120))
        if not point:
            continue
        line = f"- {point}"
        if sum(map(len, lines)) + len(line) + len(lines) > limit:
            break
        lines.append(line)
    return "\n".join(lines)


def shortened(text: str, limit: int) -> str:
    """The first whole sentences within `limit` characters; empty where not even the first fits.

    A code fence that is cut would leave the rest of an answer inside it, so what opens one is cut before it.
    """
    text = text.strip()
    if len(text) <= limit:
        return text
    end = 0
    for found in _SENTENCE.finditer(text):
        if found.start() > limit:
            break
        end = found.start()
    kept = text[:end].rstrip()
    while kept.count("```") % 2:
        kept = kept[: kept.rindex("```")].rstrip()
    return kept
