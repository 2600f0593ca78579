"""Which questions and answers aren't worth a row, each by a rule with a reason of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from securetag.datasets.drops import DropReason
from securetag.datasets.knowledge import grounding
from securetag.datasets.knowledge.corpus import Corpus
from securetag.records import Message

#: Characters of an answer that can only be a key, a status, a category or a number.
LOOKUP_CHARS = 40
#: Share of an answer's content words that its question may have; more where the question has a text to reason
#: about, whose words an answer takes up.
MAX_GIVEN_AWAY, MAX_TAKEN_UP = 0.6, 0.9
#: Characters above which a question has a text beside what it asks.
_TEXT_CHARS = 250
_REQUEST = re.compile(r"\b(?:summari[sz]e|sum up|quote|in short|resume|resumen|cita)\b", re.IGNORECASE)
_CODE = re.compile(r"```.*?```|`[^`]*`", re.S)
#: Small words enough to tell a language by.
_LANGUAGE_WORDS = 12


def find_flaw(messages: Sequence[Message], lang: str, corpus: Corpus) -> DropReason | None:
    """Return why a conversation isn't worth training on; None where it is.

    Each turn is judged. Raises KeyError for a language that isn't `en` or `es`.
    """
    for question, answer in zip(messages[::2], messages[1::2], strict=True):
        if flaw := _find_flaw_of_turn(question.content, answer.content, lang, corpus):
            return flaw
    return None


def _find_flaw_of_turn(question: str, answer: str, lang: str, corpus: Corpus) -> DropReason | None:
    # A little longer is an answer where it is a sentence.
    if len(answer) <= LOOKUP_CHARS or (len(answer) <= 2 * LOOKUP_CHARS and answer[-1] not in ".!?)`”"):
        return DropReason.ANSWER_LOOKUP
    if corpus.is_boilerplate(answer):
        return DropReason.ANSWER_BOILERPLATE
    prose = _CODE.sub(" ", answer)
    if not grounding.is_in_language(question, lang) or (
        len(prose.split()) >= _LANGUAGE_WORDS and not grounding.is_in_language(prose, lang)
    ):
        return DropReason.ANSWER_LANGUAGE
    if _REQUEST.search(question) and answer.strip() in question:
        return DropReason.ANSWER_VERBATIM
    if is_given_away(question, answer, lang):
        return DropReason.ANSWER_IN_QUESTION
    if ends_abruptly(answer):
        return DropReason.ANSWER_CUT
    return None


def is_given_away(question: str, answer: str, lang: str) -> bool:
    """Whether the question has nearly all words of the answer, so that nothing is learned from it."""
    stems = grounding.content_stems(answer, lang)
    if not stems:
        return False
    given = stems & grounding.content_stems(question, lang)
    has_text = len(question) > _TEXT_CHARS or "\n\n" in question
    limit = MAX_TAKEN_UP if has_text else MAX_GIVEN_AWAY
    return len(given) > limit * len(stems)


def ends_abruptly(answer: str) -> bool:
    """Whether an answer stops before what it announces: at a colon, an ellipsis, or inside a fence."""
    text = answer.rstrip()
    return text.endswith((":", "…", "...", ",")) or text.count("```") % 2 == 1
