"""Does a section say what an answer says? Decided without a model, so that a model's error isn't judged by
another's.

An answer is grounded when

- every number, identifier (`CVE-…`, `CWE-…`, `T1059.001`, `AC-2(1)`), name, piece of code and quoted term of
  it occurs in the section: a hallucination that does harm nearly always carries one of these;
- of each of its sentences, enough content words, stemmed (Snowball, https://snowballstem.org), occur in one
  place of the section, that is in some few sentences that follow each other: in a long section nearly
  every word of the trade occurs somewhere;
- no sentence denies what its place affirms, affirms what it denies, or puts a word's opposite in its place.

What it can't see: who does what to whom, where all the words are the section's. `THRESHOLD` was chosen
on one half of the labeled answers in `tests/datasets/knowledge/grounding.yaml`; the test holds the
figures of the other half.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import msgspec
import yaml

from securetag.datasets.drops import DropReason

#: Share of a sentence's content words that must be in one place of the section.
THRESHOLD = 0.8
#: Sentences of the section that make one place.
PLACE = 3

REASONS = (
    DropReason.INVENTED_NUMBER,
    DropReason.INVENTED_NAME,
    DropReason.INVENTED_CODE,
    DropReason.INVENTED_QUOTE,
    DropReason.UNSUPPORTED,
    DropReason.CONTRADICTED,
)

_SENTENCE = re.compile(r"(?<=[.!?…;])\s+|\n+")
#: Finer than sentences: also at commas, and before what sets against, gives a reason, or denies.
_CLAUSE = re.compile(
    r"(?<=[.!?…;,:])\s+|\n+|\s+(?=(?:but|because|since|though|pero|porque|aunque|sino)\b)"
    r"|\s+(?=(?:and|y|e)\s+(?:(?:should|must|may|deben?|pueden?)\s+)?(?:not|never|no|nunca)\b)"
)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
#: Runs that hold a digit, with what joins them: 4.5, 3-5, T1059.001, AC-2(1), CVE-2021-44228, SHA-256.
_NUMBERED = re.compile(r"(?<![\w.])[\w$€%]*(?:[-./:(][\w]+\)?)*", re.UNICODE)
_CODE = re.compile(r"```[^\n]*\n(?P<block>.*?)```|`(?P<span>[^`\n]+)`", re.DOTALL)
#: Names as only code has them: snake_case, camelCase, dotted.name, call().
_CODELIKE = re.compile(
    r"\b(?:[A-Za-z]+_\w+|[a-z]+[A-Z]\w*|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[A-Za-z_][\w.]*(?=\(\)))"
)
_QUOTED = re.compile(r"“([^”]+)”|\"([^\"\n]+)\"|«([^»]+)»|‘([^’]+)’")
_MARKUP = re.compile(r"[*#>|~]+|\[([^\]]*)\]\([^)]*\)")


class _Language(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words of `grounding.yaml` for one language."""

    #: Words that carry no content.
    function: frozenset[str]
    #: Words that deny.
    negation: frozenset[str]
    #: Pairs of words with opposite meanings.
    opposites: list[tuple[str, str]]
    #: What turns a word into its opposite when it is put before it.
    reversing: frozenset[str]


class Section(msgspec.Struct, frozen=True):
    """A section, prepared once for all its answers."""

    lang: str
    #: Everything, in the form in which terms are looked up.
    flat: str
    numbered: frozenset[str]
    words: frozenset[str]
    sentences: list[_Span]
    #: Finer: what is denied is denied within a clause.
    clauses: list[_Span]


class _Span(msgspec.Struct, frozen=True):
    """A sentence or a clause."""

    stems: frozenset[str]
    #: Words as written, lower case: opposites and negations are told by them.
    words: frozenset[str]
    denies: bool


def read_section(text: str, lang: str) -> Section:
    """Raises KeyError for a language that isn't `en` or `es`."""
    return Section(
        lang=lang,
        flat=_flat(text),
        numbered=frozenset(_numbered(text)),
        words=frozenset(_folded(word) for word in _WORD.findall(text)),
        sentences=_spans(text, lang, _SENTENCE),
        clauses=_spans(text, lang, _CLAUSE),
    )


def check_grounding(answer: str, source: Section, *, threshold: float = THRESHOLD) -> DropReason | None:
    """Why the section doesn't carry the answer, of `REASONS`; None = grounded."""
    return check_terms(answer, source) or _unsupported(answer, source, threshold)


def check_terms(text: str, source: Section) -> DropReason | None:
    """The first kind of term in a text that its section doesn't hold, of `REASONS`."""
    if any(token not in source.numbered for token in _numbered(text)):
        return DropReason.INVENTED_NUMBER
    if any(_flat(term) not in source.flat for term in _code(text)):
        return DropReason.INVENTED_CODE
    prose = _CODE.sub(" ", text)
    for quotation in _QUOTED.finditer(prose):
        quoted = next(group for group in quotation.groups() if group)
        if _flat(quoted).strip(" .,;:!?") not in source.flat:
            return DropReason.INVENTED_QUOTE
    if any(_folded(name) not in source.words for name in _names(prose)):
        return DropReason.INVENTED_NAME
    return None


def measure_support(text: str, source: Section) -> float:
    """Return the share of content words that are in one place of the section: that of the worst sentence."""
    prose = _CODE.sub(_as_words, text)
    return min((_share(sentence, source) for sentence in _spans(prose, source.lang, _SENTENCE)), default=0.0)


def content_stems(text: str, lang: str) -> frozenset[str]:
    """Stems of the words that carry content."""
    return frozenset(_stems(text, lang))


def is_in_language(text: str, lang: str) -> bool:
    """Whether the text's small words are those of `lang` rather than those of another language."""
    words = [_folded(word) for word in _WORD.findall(text)]
    shares = {
        name: sum(word in language.function for word in words) for name, language in _languages().items()
    }
    return shares[lang] >= max(shares.values())


def _unsupported(answer: str, source: Section, threshold: float) -> DropReason | None:
    if measure_support(answer, source) < threshold:
        return DropReason.UNSUPPORTED
    return DropReason.CONTRADICTED if _contradicted(answer, source) else None


def _as_words(match: re.Match[str]) -> str:
    # A block of code was looked up as a whole; a name within a sentence is one of its words.
    return " " if match["block"] is not None else f" {match['span']} "


def _share(sentence: _Span, source: Section) -> float:
    """The greatest share of a sentence's content words that one place of the section holds."""
    starts = range(max(1, len(source.sentences) - PLACE + 1))
    places = (source.sentences[start : start + PLACE] for start in starts)
    place_stems = (frozenset[str]().union(*(span.stems for span in place)) for place in places)
    return max(len(sentence.stems & stems) / len(sentence.stems) for stems in place_stems)


def _contradicted(text: str, source: Section) -> bool:
    """Whether something said is the opposite of the nearest sentence of the section."""
    prose, lang = _CODE.sub(_as_words, text), source.lang
    return any(
        all(opposed(part, near, lang) for near in nearest)
        for end, spans, opposed in (
            (_CLAUSE, source.clauses, _denied),
            (_SENTENCE, source.sentences, _reversed),
        )
        for part in _spans(prose, lang, end)
        if (nearest := _nearest(part, spans))
    )


def _nearest(claim: _Span, spans: list[_Span]) -> list[_Span]:
    """Those that share most words; none where even they speak of something else."""
    shared = [len(claim.stems & span.stems) for span in spans]
    most = max(shared, default=0)
    if most < max(2, 0.5 * len(claim.stems)):
        return []
    return [span for span, n in zip(spans, shared, strict=True) if n == most]


def _denied(claim: _Span, nearest: _Span, _lang: str) -> bool:
    """Whether the one denies, the other doesn't."""
    return claim.denies != nearest.denies


def _reversed(claim: _Span, nearest: _Span, lang: str) -> bool:
    """Whether the one has the opposite of a word that only the other has."""
    only_claim, only_nearest = claim.words - nearest.words, nearest.words - claim.words
    language = _languages()[lang]
    if any(
        {first, opposite} & only_claim and {first, opposite} & only_nearest
        for first, opposite in language.opposites
    ):
        return True
    return any(
        prefix + word in second
        for first, second in ((only_claim, only_nearest), (only_nearest, only_claim))
        for word in first
        for prefix in language.reversing
    )


def _spans(text: str, lang: str, end: re.Pattern[str]) -> list[_Span]:
    spans = []
    language = _languages()[lang]
    for part in end.split(_plain(text)):
        words = frozenset(_folded(word) for word in _WORD.findall(part))
        if stems := frozenset(_stems(part, lang)):
            denies = any(word in language.negation or word.endswith("n't") for word in words)
            spans.append(_Span(stems, words, denies))
    return spans


def _stems(text: str, lang: str) -> Iterator[str]:
    small = _languages()[lang].function
    words = [_folded(part) for word in _WORD.findall(text) for part in re.split("[-’']", word)]
    return (_stem(word, lang) for word in words if len(word) > 1 and word not in small)


@lru_cache(maxsize=1 << 16)
def _stem(word: str, lang: str) -> str:
    import snowballstemmer

    stem: str = snowballstemmer.stemmer({"en": "english", "es": "spanish"}[lang]).stemWord(word)
    # Without accents only now: Spanish endings are told by them.
    return "".join(c for c in unicodedata.normalize("NFD", stem) if not unicodedata.combining(c))


def _numbered(text: str) -> Iterator[str]:
    """Numbers and identifiers, in one spelling: without thousands' commas, brackets and marks around."""
    # The figures that begin the points of a list count the points.
    text = re.sub(r"(?m)^\s*\d{1,2}[.)]\s+", "", text)
    for match in _NUMBERED.finditer(re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)):
        token = _folded(match[0]).strip("$€%.:/-(")
        token = token if "(" in token else token.rstrip(")")
        if any(c.isdigit() for c in token):
            yield token


def _code(text: str) -> Iterator[str]:
    for match in _CODE.finditer(text):
        yield from (line for line in (match["block"] or match["span"]).splitlines() if line.strip())
    for match in _CODELIKE.finditer(_CODE.sub(" ", text)):
        # A sentence that begins without a space before it is no dotted name.
        if not re.fullmatch(r"[a-zé]+\.[A-Z]\w*", match[0]):
            yield match[0]


def _names(text: str) -> Iterator[str]:
    """Words written large where a sentence doesn't begin, and abbreviations wherever they stand."""
    for sentence in _SENTENCE.split(_plain(text)):
        for match in _WORD.finditer(sentence):
            word = match[0]
            begins = (
                not re.search(r"\w", sentence[: match.start()])
                or sentence[: match.start()].rstrip()[-1:] == ":"
            )
            if (len(word) > 1 and word.isupper()) or (word[0].isupper() and not begins):
                yield word


def _plain(text: str) -> str:
    return _MARKUP.sub(lambda match: match[1] or " ", text)


def _flat(text: str) -> str:
    """One line, folded, without Markdown's marks and with straight quotes."""
    text = _folded(text).translate({ord(c): "'" for c in "’‘`´"} | {ord(c): '"' for c in "“”«»"})
    return " ".join(text.replace("`", "").replace("'", "").replace("*", "").split())


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("’", "'")


@lru_cache(maxsize=1)
def _languages() -> dict[str, _Language]:
    raw = yaml.safe_load(Path(__file__).with_name("grounding.yaml").read_text(encoding="utf-8"))
    return {
        lang: _Language(
            function=frozenset(words["function"].split()),
            negation=frozenset(words["negation"].split()),
            opposites=[(first, second) for first, second in (pair.split() for pair in words["opposites"])],
            reversing=frozenset(words["reversing"].split()),
        )
        for lang, words in raw.items()
    }
