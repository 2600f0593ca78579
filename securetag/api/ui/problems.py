"""Errors of the api in the page's words and language: its hints name calls, which nobody makes on a page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import yaml

from securetag.api.ui.rendering import FOLDER
from securetag.records import Lang


@dataclass(frozen=True, slots=True)
class PageProblem:
    """What happened, and what to do next; either may be empty."""

    what: str
    hint: str
    #: The words are English whatever the page's language is: nobody has translated them.
    is_foreign: bool = False


@cache
def _load() -> list[tuple[re.Pattern[str], dict[Lang, tuple[str, str]]]]:
    entries = yaml.safe_load((FOLDER / "problems.yaml").read_text("utf-8"))
    return [
        (re.compile(entry["match"]), {lang: (entry[lang][0], entry[lang][1]) for lang in ("en", "es")})
        for entry in entries
    ]


def describe_problem(message: str, hint: str, lang: Lang) -> PageProblem:
    """Return a message of the api in a language; in English, as it is, where the page has no words for it."""
    for pattern, texts in _load():
        if matched := pattern.fullmatch(message):
            what, advice = (text.format(**matched.groupdict()) for text in texts[lang])
            return PageProblem(what, advice)
    sentence = f"{message[:1].upper()}{message[1:]}." if message else ""
    return PageProblem(sentence, hint, is_foreign=bool(message) and lang != "en")
