"""Detect the language of a text, starting from the language that its publication names.

`detect_language` keeps the publication's language where the text is too short or has too many names.
Otherwise the most common words of that language decide; lingua is used only where they don't.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING

from securetag.extractors.text import prose
from securetag.records import TextLang

if TYPE_CHECKING:
    from lingua import LanguageDetector

#: Minimum UTF-8 bytes of letters outside code for a detection; a Chinese letter counts as three.
MIN_LETTER_BYTES = 60
#: Maximum characters, and words in them, that are examined: the first paragraphs show the language.
MAX_CHARS = 4_000
#: Characters that suffice for most texts, even with code and names among the words.
FIRST_LOOK_CHARS = 1_000
MAX_WORDS = 150
#: Share of its most common words above which a text is in the hinted language. Of 5,500 sections of
#: English prose nine in ten have 0.1 to 0.4, of Spanish a third; German has at most 0.02, Portuguese and
#: Catalan 0.06. Below it lingua decides.
MIN_COMMON_SHARE = 0.1
#: Minimum probability at which lingua's answer wins over the publication's.
MIN_CONFIDENCE = 0.9

#: Languages that security publications are translated to. Similar languages without publications
#: (Esperanto, Latin, Afrikaans, …) are left out: lingua mistakes lists of names for them.
LANGUAGES = (
    "ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi", "hr",
    "hu", "id", "it", "ja", "ko", "nb", "nl", "pl", "pt", "ro", "ru", "sk", "sr", "sv", "th", "tr", "uk",
    "vi", "zh",
)  # fmt: skip
#: Words that are common in one language and rare in the others: no Portuguese `de`, no Catalan `el`.
_COMMON_WORDS = {
    lang: frozenset(words.split())
    for lang, words in {
        "en": "the of and to that with for as by are be this or not it on can from which",
        "es": "los las y del con lo más esta este son pero como ser está sus hay también",
    }.items()
}

#: Characters of an address, a file name or a call, which no word of a language has.
_NOT_A_WORD = re.compile(r"://|[\w)]\.\w|[_\\/@=<>{}()\[\]#$%&*|\d]")
_PUNCTUATION = ".,;:!?\"'()*_“”’«»-"
#: The code of a language as a whole folder name, or at the end of a file name after a separator.
_LANGUAGE_CODE = re.compile(r"(?:^|[-_.])([a-z]{2})(?:[-_][A-Za-z]{2})?(?=$|\.(?:\w+\.)*\w+$)")
_WORD = re.compile(r"[^\W\d_]+")


def detect_language(text: str, hint: TextLang) -> TextLang:
    """Return the language of Markdown `text`, ISO 639-1; `hint`, the publication's, where it is uncertain."""
    common = _COMMON_WORDS.get(hint, frozenset())
    if _common_share(text[:FIRST_LOOK_CHARS].lower().split(), common) > MIN_COMMON_SHARE:
        return hint
    words = _first_words(text)
    if len("".join(words).encode()) < MIN_LETTER_BYTES or _common_share(words, common) > MIN_COMMON_SHARE:
        return hint
    most_likely = _get_detector().compute_language_confidence_values(" ".join(words))[0]
    detected = most_likely.language.iso_code_639_1.name.lower()
    return detected if most_likely.value >= MIN_CONFIDENCE else hint


def detect_path_language(path: PurePath, hint: TextLang) -> TextLang:
    """Return the language that a path names (`docs_es/…`, `es-ES/…`, `…-pt.csv`, `….fr.md`), or `hint`."""
    for part in reversed(path.parts):
        for code in reversed(_LANGUAGE_CODE.findall(part)):
            if code.lower() in LANGUAGES:
                return str(code.lower())
    return hint


def _first_words(text: str) -> list[str]:
    """Return the first MAX_WORDS words of prose in lower case."""
    return list(islice(_iter_prose_words(text[:MAX_CHARS]), MAX_WORDS))


def _iter_prose_words(text: str) -> Iterator[str]:
    for is_code, piece in prose.iter_segments(text):
        for line in () if is_code else piece.lower().split("\n"):
            if line.lstrip()[:1] == "|":  # a table's cells are seldom sentences
                continue
            for token in line.split():
                word = token.strip(_PUNCTUATION)
                if word.isalpha():
                    yield word
                elif not _NOT_A_WORD.search(word):
                    yield from _WORD.findall(word)


def _common_share(words: list[str], common: frozenset[str]) -> float:
    return sum(map(common.__contains__, words)) / len(words) if words else 0.0


@lru_cache(maxsize=1)
def _get_detector() -> LanguageDetector:
    """Return the detector, loaded at first use.

    Low accuracy costs 0.5 CPU-s and 30 MB, high accuracy 8 CPU-s and 400 MB.
    """
    from lingua import IsoCode639_1, LanguageDetectorBuilder

    codes = [getattr(IsoCode639_1, code.upper()) for code in LANGUAGES]
    return LanguageDetectorBuilder.from_iso_codes_639_1(*codes).with_low_accuracy_mode().build()
