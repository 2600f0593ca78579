"""A question in the making, and what all forms of questions need: fitting, listing, quoting."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from securetag.datasets.knowledge import grounding
from securetag.records import Record, Task

_SENTENCE = re.compile(r"(?<=[.!?…])\s+(?=[A-ZÁÉÍÓÚÑ¿¡\d`*\-(])|\n\n+")
_HEADING = re.compile(r"^##+ (.+)$", re.M)
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,2}[.)]) ")
#: Characters of what a Record is about, where an answer names another Record.
GIST_CHARS = 420
#: Characters of a control's demand, where another row quotes all of it.
DEMAND_CHARS = 700
#: Headings that say nothing without the one above.
GENERIC = re.compile(
    r"^(?:introduction|overview|summary|description|background|context|examples?|conclusion|objectives?"
    r"|general|how to test|test objectives|remediation|static analysis|dynamic analysis|release|scope"
    r"|details|definitions|(?:black|gr[ae]y|white)-box testing|introducción|descripción|antecedentes|resumen"
    r"|appendix .*definitions.*|what to review|sample [\d.]+|key risks|implementation|recommendations"
    r"|best practices|storage|php|java|security implications)$",
    re.IGNORECASE,
)
#: Kinds of Record that are passages of a document rather than things with a name.
PASSAGES = frozenset({"section", "chapter", "page"})


class Draft(NamedTuple):
    """One question and its answer before they are worded."""

    task: Task
    #: A key of `phrasings.yaml`.
    form: str
    #: `{answer}` of the form's answers; empty: the Record doesn't have what the form asks for.
    answer: str
    #: What the phrasings name beside `{name}` and `{source}`.
    fields: Mapping[str, str] = {}
    #: Keys of other Records whose words the answer quotes.
    used: tuple[str, ...] = ()
    #: Records of superseded editions whose words it quotes.
    earlier: tuple[Record, ...] = ()


def draw(record: Record, purpose: str) -> int:
    """Return a number that depends on the item and the purpose: two sources of it ask the same."""
    identity = f"{record.key}/{record.lang}/{record.title}/{purpose}"
    return int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16)


def name_record(record: Record) -> str:
    """Return `SQL Injection (CWE-89)`; for a passage the headings that lead to it."""
    if record.facts.kind in PASSAGES:
        path = [strip_number(part) for part in record.facts.section if part] or [record.title]
        *above, last = path
        # Of the headings above the nearest that says something; two, where the last says nothing itself.
        telling = [part for part in above if not GENERIC.match(part)]
        return " › ".join([*telling[-2 if GENERIC.match(last) else -1 :], last])
    return record.title if record.key in record.title else f"{record.title} ({record.key})"


def strip_number(heading: str) -> str:
    """Return a heading without the number in front of it."""
    return re.sub(r"^(?:[A-Z]\.)?\d+(?:\.\d+)*\.?\s+(?=\S)", "", heading).strip() or heading


def split_parts(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return what precedes the first heading, and (heading, body) of each part."""
    pieces = _HEADING.split(text)
    return pieces[0].strip(), [
        (heading.strip(), body.strip()) for heading, body in zip(pieces[1::2], pieces[2::2], strict=True)
    ]


def split_blocks(text: str) -> list[str]:
    """Return paragraphs, whole lists and whole fences, in order."""
    blocks: list[str] = []
    fenced = False
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        is_item = bool(_LIST_ITEM.match(paragraph))
        continues = blocks and (fenced or (is_item and _ends_in_list(blocks[-1])))
        if continues:
            blocks[-1] += f"\n\n{paragraph}"
        elif paragraph.strip():
            blocks.append(paragraph)
        if paragraph.count("```") % 2:
            fenced = not fenced
    return blocks


def _ends_in_list(block: str) -> bool:
    # An item's own paragraphs are indented.
    lines = [line for line in block.split("\n") if line.strip() and not line.startswith((" ", "\t"))]
    return bool(lines) and bool(_LIST_ITEM.match(lines[-1]))


def fit(text: str, limit: int) -> str:
    """Return the first blocks within `limit` characters, each list and fence whole; empty where none fits.

    Of a first paragraph that is too long the first sentences stay. What announces a list goes with it.
    """
    text = text.strip()
    if len(text) <= limit:
        return text
    kept: list[str] = []
    size = 0
    for block in split_blocks(text):
        if size + len(block) + 2 > limit:
            break
        kept.append(block)
        size += len(block) + 2
    else:
        return "\n\n".join(kept)
    while kept and (kept[-1].rstrip().endswith(":") or _HEADING.match(kept[-1])):
        kept.pop()
    if kept:
        return "\n\n".join(kept)
    first = split_blocks(text)[0] if text else ""
    if "```" in first or re.search(r"^[ \t]*(?:[-*+•]|\d{1,2}[.)]|\|) ?", first, re.M):
        return ""
    sentences = shorten(first, limit)
    return "" if sentences.endswith(":") else sentences


def shorten(text: str, limit: int) -> str:
    """Return the first whole sentences within `limit` characters; empty where not even the first fits.

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


def gist(text: str, limit: int = GIST_CHARS) -> str:
    """Return the first sentences of prose of a text, on one line; empty where it has none.

    A text that begins with a list is described by its first part (the discussion of a control).
    """
    lead, parts = split_parts(text)
    for candidate in (lead, *(body for _, body in parts[:1])):
        first = next(iter(split_blocks(candidate)), "")
        if first and not _LIST_ITEM.match(first) and not first.startswith(("|", "```", "#")):
            prose = shorten(" ".join(first.split()), limit)
            if prose.endswith((".", "!", "?", ")", "”")):
                return prose
    return ""


def define(record: Record) -> str:
    """Return what a Record says first: its gist; of a control the whole demand, where it is short.

    A control's demand is often a list, and its first prose the discussion, which demands nothing.
    """
    lead = " ".join(re.sub(r"(?m)^[ \t]*[-*] ", "", split_parts(record.text)[0]).split())
    if record.facts.kind in {"control", "enhancement"} and 0 < len(lead) <= DEMAND_CHARS:
        return lead
    return gist(record.text)


def split_sentences(text: str) -> Iterator[str]:
    """Yield the sentences of prose, each on one line."""
    for sentence in _SENTENCE.split(text):
        if line := " ".join(sentence.split()):
            yield line


def list_whole(entries: Sequence[str], limit: int) -> str:
    """Return all entries as a list, or as prose where there is one; empty where they don't all fit.

    Each entry stays whole: a list that was cut would say that there is no more.
    """
    texts = [entry.strip() for entry in entries if entry.strip()]
    if not texts:
        return ""
    if len(texts) == 1:
        return texts[0] if len(texts[0]) <= limit else ""
    lines = [f"- {indent(text)}" for text in texts]
    whole = "\n".join(lines)
    return whole if len(whole) <= limit else ""


def list_some(entries: Sequence[str], limit: int) -> tuple[str, int]:
    """Return the first entries that fit, as a list, and how many they are."""
    for n in range(len(entries), 0, -1):
        if text := list_whole(entries[:n], limit):
            return text, n
    return "", 0


def indent(text: str) -> str:
    """Return a text as the body of a list's item."""
    first, *rest = text.split("\n")
    return "\n".join([first, *(f"  {line}" if line.strip() else line for line in rest)])


def make_fence(code: str, language: str | None) -> str:
    """Return code in a fence, without the indentation that all lines have."""
    lines = code.strip("\n").expandtabs(4).split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join([f"```{language or ''}", *(line[margin:].rstrip() for line in lines), "```"])


def find_support(text: str, target: str, lang: str, least: int = 2) -> str:
    """Return the sentence of `text` that shares most content words with `target`; empty below `least`."""
    wanted = grounding.content_stems(target, lang)
    scored = [
        (len(grounding.content_stems(sentence, lang) & wanted), -number, sentence)
        for number, sentence in enumerate(split_sentences(text))
        if len(sentence) <= GIST_CHARS
    ]
    shared, _, sentence = max(scored, default=(0, 0, ""))
    return sentence if shared >= least else ""
