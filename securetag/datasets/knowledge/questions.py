"""Records → questions and answers, by template: nothing is said that the Record doesn't say.

At most six Examples a Record, of the aspects that it has; which, where it has more, and in which
phrasing, is drawn from its id, so that no aspect or phrasing dominates and none depends on the order
of the Records. Spanish questions come only from Spanish Records: there is no Spanish question with an
English answer. The phrasings are in `phrasings.yaml`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import yaml

from securetag.records import Example, Message, Origin, Record, Status, Task
from securetag.triage import Profile

#: Examples that one Record may become.
MAX_PER_RECORD = 6
#: Characters of an answer: what leaves room for the question in the profile's tokens.
MAX_ANSWER_CHARS: dict[Profile, int] = {"compact": 560, "full": 5_000}

#: Kinds of Record that are passages of a document rather than things with a name.
_PASSAGES = frozenset({"section", "chapter", "page"})
_SENTENCE = re.compile(r"(?<=[.!?…])\s+(?=[A-ZÁÉÍÓÚÑ¿¡\d`*\-(])|\n\n+")


#: Key → title of what Records refer to: an answer names what a key stands for.
Titles = Mapping[str, str]


class _Draft(NamedTuple):
    task: Task
    #: A key of the phrasings.
    aspect: str
    answer: str
    #: What the question is about, where it isn't the Record's name: code, or a description.
    about: str = ""


def index_titles(records: Iterable[Record]) -> dict[str, str]:
    """Titles of active Records by key; an English one where there are several."""
    preferred: dict[str, tuple[bool, str, str]] = {}
    for record in records:
        if record.status is Status.ACTIVE and record.facts.kind not in _PASSAGES:
            entry = (record.lang != "en", record.source, record.title)
            preferred[record.key] = min(preferred.get(record.key, entry), entry)
    return {key: title for key, (_, _, title) in preferred.items()}


def make_questions(record: Record, profile: Profile, titles: Titles | None = None) -> list[Example]:
    """At most MAX_PER_RECORD Examples of one Record, each about another side of it."""
    if record.lang not in _phrasings():
        return []
    drafts = [draft for draft in _drafts(record, MAX_ANSWER_CHARS[profile], titles or {}) if draft.answer]
    if len(drafts) > MAX_PER_RECORD:
        # The first says what the thing is; of the others some, by lot.
        drawn = sorted(drafts[1:], key=lambda draft: _lot(record, draft.aspect))
        drafts = [drafts[0], *drawn[: MAX_PER_RECORD - 1]]
    return [_example(record, draft) for draft in drafts]


def _drafts(record: Record, limit: int, titles: Titles) -> Iterator[_Draft]:
    """Every aspect, in order of worth; an empty answer is none."""
    facts = record.facts
    if facts.instruction and facts.response:
        yield _Draft(Task.QA, "instruction", shorten(facts.response, limit), facts.instruction)
        return
    if facts.vulnerable and facts.fixed:
        code = _fenced(facts.vulnerable, facts.language)
        yield _Draft(Task.REMEDIATION, "fix", _within(_fenced(facts.fixed, facts.language), limit), code)
        yield _Draft(Task.MAPPING, "code-weakness", _referred(facts.cwe, titles), code)
        return
    if facts.kind in _PASSAGES:
        yield _Draft(Task.QA, "section", shorten(record.text, limit))
        yield _Draft(Task.MAPPING, "weakness", _referred(facts.cwe, titles))
        return
    if facts.kind != "prompt":
        yield _Draft(Task.QA, _WHAT.get(facts.kind or "", "what"), shorten(record.text, limit))
    about = [key for key in facts.cwe if key != record.key]
    yield _Draft(Task.MAPPING, "mitigation", _listed(facts.mitigations, limit))
    yield _Draft(Task.MAPPING, "detection", _listed(facts.detections, limit))
    yield _Draft(Task.MAPPING, "weakness", _referred(about, titles))
    yield _Draft(Task.QA, "consequence", _listed(facts.consequences, limit))
    yield _Draft(Task.MAPPING, "parent", _referred(facts.parents, titles))
    yield _Draft(Task.MAPPING, "tactic", ", ".join(facts.tactics))
    yield _Draft(Task.MAPPING, "severity", _severity(record))
    if facts.cvss_metrics and (gist := _without_names(shorten(record.text, _GIST), record)):
        yield _Draft(Task.MAPPING, "score", _within(_score(record), limit), gist)
    yield _Draft(Task.MAPPING, "packages", ", ".join(facts.packages[:_REFERRED]))
    yield _Draft(Task.MAPPING, "platforms", ", ".join(facts.platforms[:_REFERRED]))
    yield _Draft(Task.MAPPING, "related", _referred(facts.related, titles))
    yield _Draft(Task.QA, "example", shorten(facts.examples[0], limit) if facts.examples else "")
    yield _Draft(Task.QA, "observed", _listed(facts.observed, limit))
    yield _Draft(Task.MAPPING, "taxonomies", _listed(facts.taxonomies[:_REFERRED], limit))
    yield _Draft(Task.MAPPING, "levels", ", ".join(facts.levels))
    if facts.kind in _NAMED and (gist := _without_names(shorten(record.text, _GIST), record)):
        yield _Draft(Task.MAPPING, "identify", _name(record), gist)


#: Kinds of which one doesn't ask what they are, but what they want done, or how they are carried out.
_WHAT = dict.fromkeys(
    ("requirement", "control", "enhancement", "practice", "task", "category", "subcategory"), "demand"
) | {"test": "procedure"}
#: Kinds whose entries a person tells from one another by their description.
_NAMED = frozenset(
    {
        "weakness",
        "technique",
        "subtechnique",
        "attack-pattern",
        "control",
        "enhancement",
        "requirement",
        "mitigation",
        "test",
        "subcategory",
        "task",
        "practice",
    }
)
#: Severities in the words of the question's language, where that isn't English.
_SEVERITIES = {"es": {"low": "baja", "medium": "media", "high": "alta", "critical": "crítica"}}
#: Characters of a description that is to be recognized, and entries that an answer refers to.
_GIST, _REFERRED = 420, 12


def _lot(record: Record, aspect: str) -> int:
    return int(hashlib.sha256(f"{record.id}/{aspect}".encode()).hexdigest()[:8], 16)


@lru_cache(maxsize=1)
def _phrasings() -> dict[str, dict[str, list[str]]]:
    phrasings: dict[str, dict[str, list[str]]] = yaml.safe_load(
        Path(__file__).with_name("phrasings.yaml").read_text(encoding="utf-8")
    )
    return phrasings


def _severity(record: Record) -> str:
    facts = record.facts
    if facts.severity is None:
        return ""
    if facts.cvss is None:
        return f"{facts.severity} severity"
    vector = f", {facts.cvss_vector}" if facts.cvss_vector else ""
    return f"{facts.severity} (CVSS {facts.cvss:.1f}{vector})"


def _score(record: Record) -> str:
    """Return the vector, its score, and what each metric says."""
    facts = record.facts
    severity = _SEVERITIES.get(record.lang, {}).get(facts.severity or "", facts.severity or "")
    head = f"`{facts.cvss_vector}`, {facts.cvss or 0.0:.1f}" + (f" ({severity})" if severity else "")
    return "\n".join([f"{head}:", "", *(f"- {metric}" for metric in facts.cvss_metrics)])


def _referred(keys: Sequence[str], titles: Titles) -> str:
    """`CWE-943 (Improper Neutralization …), CWE-74`: keys with what they stand for, as far as known."""
    return ", ".join(f"{key} ({titles[key]})" if key in titles else key for key in keys[:_REFERRED])


def _fenced(code: str, language: str | None) -> str:
    lines = code.strip("\n").expandtabs(4).split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join([f"```{language or ''}", *(line[margin:].rstrip() for line in lines), "```"])


def _within(text: str, limit: int) -> str:
    # Half of a fixed function is no fix.
    return text if len(text) <= limit else ""


def _without_names(text: str, record: Record) -> str:
    """A description that doesn't give its own key or title away; empty where little would be left."""
    if any(name and name.lower() in text.lower() for name in (record.key, record.title)):
        return ""
    return text if len(text) >= _GIST // 4 else ""


def _example(record: Record, draft: _Draft) -> Example:
    phrasings = _phrasings()[record.lang][draft.aspect]
    question = phrasings[_lot(record, draft.aspect) % len(phrasings)].format(
        name=_name(record), source=record.publisher, about=draft.about
    )
    messages = [Message("user", question), Message("assistant", draft.answer)]
    return Example.of(
        task=draft.task,
        messages=messages,
        lang=record.lang,
        licence=record.licence,
        group=f"record/{record.source}/{record.key}",
        origin="template",
        origins=[Origin(record_id=record.id)],
        source=record.source,
    )


def _name(record: Record) -> str:
    """`SQL Injection (CWE-89)`; for a passage the headings that lead to it."""
    if record.facts.kind in _PASSAGES:
        path = [part for part in record.facts.section if part] or [record.title]
        return " › ".join(path[-2:])
    return record.title if record.key in record.title else f"{record.title} ({record.key})"


def _listed(entries: Sequence[str], limit: int) -> str:
    """Entries as a list, whole ones only, within `limit` characters; one entry alone is prose."""
    if not entries:
        return ""
    if len(entries) == 1:
        return shorten(entries[0], limit)
    lines: list[str] = []
    for entry in entries:
        point = shorten(" ".join(entry.split()), max(limit // 3, 120))
        if not point:
            continue
        line = f"- {point}"
        if sum(map(len, lines)) + len(line) + len(lines) > limit:
            break
        lines.append(line)
    return "\n".join(lines)


def shorten(text: str, limit: int) -> str:
    """The first whole sentences within `limit` characters; empty where not even the first fits.

    A code fence that is cut would leave the rest of an answer inside it, so what opens one is cut before it.
    """
    text = text.strip()
    if len(text) <= limit:
        return text
    end = 0
    for boundary in _SENTENCE.finditer(text):
        if boundary.start() > limit:
            break
        end = boundary.start()
    kept = text[:end].rstrip()
    while kept.count("```") % 2:
        kept = kept[: kept.rindex("```")].rstrip()
    return kept
