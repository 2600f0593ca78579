"""Questions on passages of documents: what they advise, their code, and what they don't speak of."""

from __future__ import annotations

import re
from collections.abc import Iterator

from securetag.datasets.knowledge import grounding
from securetag.datasets.knowledge.corpus import Corpus
from securetag.datasets.knowledge.draft import (
    GENERIC,
    Draft,
    draw,
    fit,
    gist,
    name_record,
    split_blocks,
    split_sentences,
    strip_number,
)
from securetag.records import Record, Task

#: Headings of passages that nobody asks about.
_NO_SUBJECT = re.compile(
    r"^(?:references?|bibliograph\w*|related (?:articles|frameworks|resources).*|tools|authors?.*"
    r"|(?:further|suggested) reading|acknowledg\w*|contributors?.*|table of contents|contents|copyright.*"
    r"|license|disclaimer"
    r"|revision history|change ?log|index|foreword|preface|leaders?|about (?:this|the|owasp).*|list of .*"
    r"|document (?:history|status).*|referencias.*|enlaces.*|autores|trademark.*|frameworks y taxonomías.*"
    r"|errata.*|authority|abstract|keywords|purpose|audience|release|puntuación.*|score table|mapped cwes?"
    r"|lista de.*|cover.*|requirements notation.*|note to reviewers|what's new.*|tabla de puntuación.*"
    r"|.*acronyms.*|glossary.*|appendix.*revision.*|revision \d+.*|frontispiece.*|document conventions"
    r"|reports on .*|thank you to .*|.*selected bibliography|appendix .*contributors"
    r"|owasp references|references and .*)$",
    re.IGNORECASE,
)
_ENTRIES = re.compile(
    r"related frameworks|frameworks y taxonom|list of mapped|mapped cwes?$|lista de cwe", re.I
)
_TABLE = re.compile(r"score table|tabla de puntuaci", re.I)
#: A part of a passage that only points elsewhere.
_POINTERS = re.compile(
    r"^#{2,6} (?:related|reference|further|referencias|enlaces|tools)[^\n]*\n.*?(?=^#{1,6} |\Z)",
    re.I | re.M | re.S,
)
#: What a sentence demands, and its opposite, by language; a claim turns one into the other.
_OPPOSITES: dict[str, tuple[tuple[str, str], ...]] = {
    "en": (
        ("should not", "should"),
        ("must not", "must"),
        ("shall not", "shall"),
        ("cannot", "can"),
        ("should", "should not"),
        ("must", "must not"),
        ("shall", "shall not"),
        ("never", "always"),
        ("always", "never"),
        ("is not", "is"),
        ("are not", "are"),
        ("does not", "does"),
    ),
    "es": (
        ("no debe", "debe"),
        ("debe", "no debe"),
        ("deben", "no deben"),
        ("nunca", "siempre"),
        ("siempre", "nunca"),
    ),
}
_LINK = re.compile(r"https?://\S+|\[[^\]]*\]\([^)]*\)")
#: What a title page says.
_TITLE_PAGE = re.compile(
    r"available free of charge from|(?:Acting|Under) (?:NIST )?(?:Director|Secretary)"
    r"|^\W*U\.S\. Department of",
    re.I | re.M,
)
#: Prose that a passage needs before it is asked about.
_MIN_CHARS = 140


def has_subject(record: Record) -> bool:
    """Whether a passage's headings say what it is about, and its text is prose or code on that."""
    path = [strip_number(part) for part in record.facts.section if part] or [record.title]
    if _NO_SUBJECT.match(path[-1]) or re.match(r"^[\W\d]*$", path[-1]):
        return False
    if GENERIC.match(path[-1]) and (len(path) < 2 or _NO_SUBJECT.match(path[-2]) or GENERIC.match(path[-2])):
        return False
    if _TITLE_PAGE.search(record.text):
        return False
    prose = _LINK.sub("", record.text)
    words = re.findall(r"[^\W\d_]{2,}", prose)
    lines = [line for line in record.text.split("\n") if line.strip()]
    links = sum(bool(_LINK.search(line)) for line in lines)
    # A list of links, a table of numbers, or a page that a scanner of PDFs took to pieces.
    return len(prose) >= _MIN_CHARS and len(words) >= 25 and links * 2 <= len(lines) and _reads_well(prose)


def _reads_well(prose: str) -> bool:
    """Whether most lines are longer than the pieces of a broken table, and sentences end."""
    lines = [
        line.strip()
        for line in prose.split("\n")
        if line.strip() and not line.startswith(("|", "```", "    "))
    ]
    short = sum(len(line) < 25 and not re.match(r"[-*#+\d]|.*[.:;?!]$", line) for line in lines)
    letters = sum(char.isalpha() or char.isspace() for char in prose)
    return (
        short * 3 <= len(lines) and letters >= 0.7 * len(prose) and bool(re.search(r"[.!?:](?:\s|$)", prose))
    )


def draft_passage(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield what a passage says, in one turn or two, its code, and a question that it doesn't answer."""
    yield from _listing(record, limit)
    if not has_subject(record):
        return
    text = drop_pointers(record.text)
    blocks = split_blocks(text)
    prose = [block for block in blocks if "```" not in block]
    code = [block for block in blocks if "```" in block]
    halves = _halve(blocks, limit) if len(text) > 900 else None
    if halves:
        yield Draft(Task.QA, "section-turns", halves[0], {"rest": halves[1]})
    else:
        yield Draft(Task.QA, "section", fit(text, limit))
    if code and len(prose) > 1 and len(code[0]) > 60:
        place = blocks.index(code[0])
        around = "\n\n".join(blocks[max(0, place - 1) : place + 2])
        if len(around) <= limit and len(around) < 0.8 * len(text):
            yield Draft(Task.QA, "section-code", around)
    yield from draft_claim(record, corpus, limit)
    lead = gist(text, 700)
    other = _find_other(record, corpus)
    if lead and other and len(lead) >= _MIN_CHARS:
        yield Draft(
            Task.QA, "not-said-section", lead, {"about": fit(text, min(limit, 1_500)) or lead, "other": other}
        )


def _listing(record: Record, limit: int) -> Iterator[Draft]:
    """Yield the lists and tables that say which entries and figures belong to a subject, whole."""
    path = [strip_number(part) for part in record.facts.section if part]
    text = record.text.strip()
    if len(path) < 2 or len(text) > limit:
        return
    fields = {
        "heading": path[-1],
        "parent": next((part for part in path[-2::-1] if not GENERIC.match(part)), path[0]),
    }
    if _ENTRIES.match(path[-1]):
        yield Draft(Task.MAPPING, "related-entries", text, fields)
    elif _TABLE.match(path[-1]):
        yield Draft(Task.QA, "score-table", text, fields)


def _halve(blocks: list[str], limit: int) -> tuple[str, str] | None:
    """Return two parts of whole blocks of about the same length; None where that isn't possible."""
    total = sum(map(len, blocks))
    size = 0
    for n, block in enumerate(blocks[:-1], 1):
        size += len(block)
        ends_well = not block.rstrip().endswith(":") and not block.startswith("#")
        begins_well = not re.match(r"[-*+•|]|\d+[.)] |```", blocks[n])
        if size >= 0.4 * total and ends_well and begins_well:
            first, second = "\n\n".join(blocks[:n]), "\n\n".join(blocks[n:])
            fits = max(len(first), len(second)) <= limit and size <= 0.75 * total
            return (first, second) if fits and not second.startswith("#") else None
    return None


def _find_other(record: Record, corpus: Corpus) -> str:
    """Return the heading of another passage of the source of which this one has no word."""
    headings = corpus.headings(record.source)
    if len(headings) < 5:
        return ""
    stems = grounding.content_stems(f"{name_record(record)} {record.text}", record.lang)
    start = draw(record, "other")
    for step in range(4):
        heading = headings[(start + step * 7919) % len(headings)]
        wanted = grounding.content_stems(heading, record.lang)
        plain = not _NO_SUBJECT.match(heading) and not GENERIC.match(heading)
        if plain and len(wanted) >= 2 and len(heading) <= 60 and not wanted & stems:
            return heading
    return ""


def drop_pointers(text: str) -> str:
    """Return a passage without the parts that only name other pages."""
    return _POINTERS.sub("", text.strip() + "\n").strip()


def draft_claim(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield a claim to be checked against the text: a sentence of it, or the opposite of one."""
    del corpus
    text = fit(drop_pointers(record.text), min(limit, 1_500))
    sentences = [
        sentence
        for block in split_blocks(text)
        if "```" not in block and not block.startswith(("|", "#", "-", "*"))
        for sentence in split_sentences(block)
    ]
    pairs = list(zip(sentences, [*sentences[1:], ""], strict=False))
    for sentence, after in sorted(pairs, key=lambda pair: draw(record, pair[0])):
        opposite = oppose(sentence, record.lang)
        if opposite and len(text) > 2 * len(sentence) and 50 <= len(sentence) <= 280:
            fields = {"about": text, "claim": sentence.rstrip("."), "after": after}
            if draw(record, "claim") % 2:
                yield Draft(Task.QA, "claim-false", sentence, fields | {"claim": opposite.rstrip(".")})
                return
            if len(after) > 40 and not after.endswith(":"):
                yield Draft(Task.QA, "claim-true", sentence, fields)
                return


def oppose(sentence: str, lang: str) -> str:
    """Return a sentence that says the opposite; empty where it isn't a plain statement of one thing."""
    if not sentence.endswith(".") or "“" in sentence or '"' in sentence or not sentence[0].isupper():
        return ""
    hits = [
        (match, new)
        for old, new in _OPPOSITES.get(lang, ())
        for match in re.finditer(rf"\b{old}\b(?! (?:only|not|never|always)\b)", sentence)
    ]
    spans = [(match.start(), match.end()) for match, _ in hits]
    # `should` within `should not` is one demand; two demands have no single opposite.
    outer = [
        (match, new)
        for match, new in hits
        if not any(s <= match.start() and match.end() <= e and (s, e) != match.span() for s, e in spans)
    ]
    if len(outer) != 1:
        return ""
    match, new = outer[0]
    return sentence[: match.start()] + new + sentence[match.end() :]
