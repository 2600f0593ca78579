"""Questions on weaknesses: how they look in code, what tells them apart, which products had them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from securetag.datasets.knowledge import grounding
from securetag.datasets.knowledge.corpus import Corpus, Entry
from securetag.datasets.knowledge.draft import Draft, draw, find_support, gist
from securetag.records import Record, Task

_BLOCK = re.compile(
    r"(?:^(?P<label>Good|Bad|Attack|Result|Informative|Mitigation|Other)[^\n]*:\n\n)?```(?P<language>[^\n]*)\n(?P<code>.*?)\n```",
    re.M | re.S,
)
_CASE = re.compile(r"(?P<cve>CVE-\d{4}-\d{4,}): (?P<sentence>.+)", re.S)
#: Examples and cases of one weakness that become rows.
_EXAMPLES, _CASES = 3, 6
#: Content words that two siblings share before one is taken for the other.
MIN_SIBLING_STEMS = 3


class Piece(NamedTuple):
    """Prose (no label), or a block of code."""

    label: str
    language: str
    text: str


def split_example(text: str) -> list[Piece]:
    """Return the prose and the blocks of a demonstrative example, in order."""
    pieces: list[Piece] = []
    end = 0
    for match in _BLOCK.finditer(text):
        if prose := text[end : match.start()].strip():
            pieces.append(Piece("", "", prose))
        pieces.append(Piece((match["label"] or "Informative").lower(), match["language"], match["code"]))
        end = match.end()
    if prose := text[end:].strip():
        pieces.append(Piece("", "", prose))
    return pieces


def draft_weakness(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield what the examples, siblings and cases of a weakness answer."""
    order = sorted(range(len(record.facts.examples)), key=lambda n: draw(record, f"example {n}"))
    shown = 0
    for n in order:
        draft = _draft_example(record.facts.examples[n], limit, number=shown)
        if draft is not None and shown < _EXAMPLES:
            shown += 1
            yield draft
    yield from draft_siblings(record, corpus, limit)
    yield from _cases(record, corpus)


def _draft_example(example: str, limit: int, *, number: int) -> Draft | None:
    """Vulnerable code with what is wrong, or with its fix; None for an example that explains nothing."""
    pieces = split_example(example)
    bad = next((n for n, piece in enumerate(pieces) if piece.label == "bad"), None)
    if bad is None:
        return None
    good = next((n for n, piece in enumerate(pieces) if piece.label == "good" and n > bad), None)
    intro = "\n\n".join(piece.text for piece in pieces[:bad] if not piece.label)
    code = _fence(pieces[bad])
    behind = pieces[bad + 1 :]
    explanation = _render(behind)
    prose = " ".join(piece.text for piece in behind if not piece.label)
    if len(prose) < 60 or len(explanation) > limit or len(code) > limit:
        return None
    if code.split("\n")[1].lstrip().startswith("|"):  # a table of registers
        return None
    language = pieces[bad].language or "pseudo"
    fields = {
        "about": f"{intro}\n\n{code}" if intro else code,
        "code": code,
        "intro": intro,
        "language": language,
    }
    if number == 0:
        # The first shows the whole: a question without code, answered with it.
        whole = "\n\n".join(part for part in (intro, code, explanation) if part)
        return Draft(Task.QA, "code-look", whole, fields) if len(whole) <= limit else None
    if good is not None:
        return Draft(Task.REMEDIATION, f"code-fix/{number}", explanation, fields)
    return Draft(Task.MAPPING, f"code-flaw/{number}", explanation, fields)


def _fence(piece: Piece) -> str:
    return f"```{piece.language}\n{piece.text}\n```"


_LABELS = {"good": "Fixed:", "bad": "Also vulnerable:", "attack": "Attack:", "result": "Result:"}


def _render(pieces: Sequence[Piece]) -> str:
    parts: list[str] = []
    for piece in pieces:
        if not piece.label:
            parts.append(piece.text)
            continue
        if label := _LABELS.get(piece.label):
            parts.append(label)
        parts.append(_fence(piece))
    return "\n\n".join(parts)


def draft_siblings(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Compare an item with one child of the same parent, or with its parent."""
    definition = gist(record.text)
    parents = [
        entry
        for key in record.facts.parents
        if (entry := corpus.find(key, record.lang, record.publisher)) is not None and entry.gist
    ]
    siblings = corpus.siblings(record)
    if not definition or not parents:
        return
    parent = parents[0]
    fields = {"parent": parent.name, "own": definition}
    if siblings:
        other = find_closest(record, definition, siblings)
        if other is not None and other.gist != definition and len(other.gist) + len(definition) < limit:
            shared = next((p.name for p in parents if p.key in other.parents), parent.name)
            yield Draft(
                Task.MAPPING,
                "compare",
                other.gist,
                fields
                | {"other": other.name, "parent": shared, "name_key": record.key, "other_key": other.key},
                (other.key, parent.key),
            )
    if len(parent.gist) + len(definition) < limit and parent.gist != definition:
        yield Draft(
            Task.MAPPING,
            "parent",
            parent.gist,
            fields | {"parent_key": parent.key, "name_key": record.key},
            (parent.key,),
        )


def find_closest(record: Record, definition: str, siblings: Sequence[Entry]) -> Entry | None:
    """Return the sibling that shares most content words; None where nobody would mix the two up."""
    stems = list_stems(record.title, definition, record.lang)
    shared = [len(stems & list_stems(entry.title, entry.gist, record.lang)) for entry in siblings]
    best = max(range(len(siblings)), key=lambda n: (shared[n], draw(record, siblings[n].key)), default=None)
    return siblings[best] if best is not None and shared[best] >= MIN_SIBLING_STEMS else None


@lru_cache(maxsize=8_192)
def list_stems(title: str, text: str, lang: str) -> frozenset[str]:
    """Return the stems of the content words of an item's title and definition."""
    return frozenset(grounding.content_stems(f"{title}. {text}", lang))


def _cases(record: Record, corpus: Corpus) -> Iterator[Draft]:
    """A sentence on a real product → the weakness, with what of the sentence shows it."""
    definition = gist(record.text)
    cases = sorted(record.facts.observed, key=lambda case: draw(record, case))
    number = 0
    for case in cases:
        match = _CASE.fullmatch(case)
        if match is None or number >= _CASES or not definition:
            continue
        sentence = " ".join(match["sentence"].split())
        # One that names a weakness by its number tells the answer, or means a chain of several.
        if "CWE-" in sentence or sentence.lower().startswith("chain") or not 50 <= len(sentence) <= 500:
            continue
        if not find_support(
            sentence, f"{record.title}. {definition} {' '.join(record.facts.aliases)}", record.lang
        ):
            continue
        number += 1
        parents = [corpus.name(key, record.lang, record.publisher) for key in record.facts.parents[:1]]
        yield Draft(
            Task.MAPPING,
            f"case/{number}",
            definition,
            {"about": sentence, "cve": match["cve"], "parent": parents[0] if parents else record.title},
        )
