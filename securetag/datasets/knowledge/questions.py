"""Records → questions and answers, by template: nothing is said that Records don't say.

At most `MAX_PER_RECORD` Examples a Record, of what it has to say; which, where it has more, and in which
words, is drawn from its key, so that no form dominates and none depends on the order of the Records. Two
questions of some Records are put one after the other, as a follow-up. Spanish questions come only from
Spanish Records: there is no Spanish question with an English answer. The words are in `phrasings.yaml`, what
each kind of Record is asked in `forms/`, and what isn't worth a row in `answer_rules.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import msgspec

from securetag.datasets.drops import DropReason
from securetag.datasets.knowledge.answer_rules import find_flaw
from securetag.datasets.knowledge.corpus import EMPTY_CORPUS, Corpus, Entry
from securetag.datasets.knowledge.credits import credit, credit_line
from securetag.datasets.knowledge.draft import PASSAGES, Draft, draw, fit, name_record
from securetag.datasets.knowledge.forms import (
    attack_patterns,
    controls,
    fixes,
    passages,
    techniques,
    vulnerabilities,
    weaknesses,
)
from securetag.datasets.knowledge.personal_data import mask_personal_data
from securetag.records import PACKAGE_FIX, Example, Message, Origin, Record, Task
from securetag.triage import Profile

#: Examples that one Record may become.
MAX_PER_RECORD = 6
#: Of Records with two questions that can be put one after the other, one in so many asks them so.
TURNS_EVERY = 4
#: Characters of an answer: what leaves room for the question in the profile's tokens.
MAX_ANSWER_CHARS: dict[Profile, int] = {"compact": 560, "full": 5_000}

Drafter = Callable[[Record, Corpus, int], Iterator[Draft]]

_ITEMS: tuple[Drafter, ...] = (controls.draft_parts, controls.draft_advice)
#: Kind → what it is asked, the most telling first; any other kind is asked `_ITEMS`.
_DRAFTERS: dict[str, tuple[Drafter, ...]] = {
    "vulnerability": (vulnerabilities.draft_vulnerability,),
    "weakness": (weaknesses.draft_weakness, *_ITEMS, attack_patterns.draft_attacks),
    "technique": (techniques.draft_technique, *_ITEMS, weaknesses.draft_siblings),
    "subtechnique": (techniques.draft_technique, *_ITEMS, weaknesses.draft_siblings),
    "countermeasure": (*_ITEMS, weaknesses.draft_siblings, techniques.draft_technique),
    "attack-pattern": (
        *_ITEMS,
        weaknesses.draft_siblings,
        techniques.draft_technique,
        attack_patterns.draft_pattern,
    ),
    "case-study": (*_ITEMS, techniques.draft_case_study),
    "mapping": (techniques.draft_mapping,),
    "requirement": (*_ITEMS, controls.draft_requirement, weaknesses.draft_siblings),
    "control": (*_ITEMS, weaknesses.draft_siblings, passages.draft_claim),
    "enhancement": (*_ITEMS, controls.draft_enhancement, passages.draft_claim),
    "test": (*_ITEMS, passages.draft_claim),
    "article": (*_ITEMS, passages.draft_claim),
    "risk": (*_ITEMS, passages.draft_claim),
    "fix": (fixes.draft_fix,),
    **dict.fromkeys(PASSAGES, (passages.draft_passage,)),
}


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one form of question is worded in one language."""

    questions: list[str]
    answers: tuple[str, ...] = ("{answer}",)
    follow: tuple[str, ...] = ()


def make_questions(record: Record, profile: Profile, corpus: Corpus = EMPTY_CORPUS) -> list[Example]:
    """Return at most MAX_PER_RECORD Examples of one Record, each about something else."""
    return make_judged_questions(record, profile, corpus)[0]


def make_judged_questions(
    record: Record, profile: Profile, corpus: Corpus = EMPTY_CORPUS
) -> tuple[list[Example], Counter[DropReason]]:
    """Return the Examples of one Record, and why others of its questions gave none."""
    dropped: Counter[DropReason] = Counter()
    forms = read_forms().get(record.lang)
    if forms is None:
        return [], dropped
    worded: list[tuple[Draft, list[Message]]] = []
    for draft in _list_drafts(record, corpus, MAX_ANSWER_CHARS[profile]):
        form = forms.get(draft.form.split("/")[0])
        if form is None or not draft.answer.strip():
            continue
        messages = _word(record, draft, form)
        if flaw := find_flaw(messages, record.lang, corpus):
            dropped[flaw] += 1
        else:
            worded.append((draft, messages))
    if len(worded) > MAX_PER_RECORD:
        worded = sorted(worded, key=lambda pair: draw(record, pair[0].form))[:MAX_PER_RECORD]
    worded = _join_turns(record, worded, forms)
    return [_make_example(record, draft, messages, corpus) for draft, messages in worded], dropped


@lru_cache(maxsize=1)
def read_forms() -> dict[str, dict[str, Form]]:
    """Return language → form → its wordings."""
    path = Path(__file__).with_name("phrasings.yaml")
    return msgspec.yaml.decode(path.read_bytes(), type=dict[str, dict[str, Form]])


def _list_drafts(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    facts = record.facts
    if facts.instruction and facts.response:
        yield Draft(Task.QA, "instruction", fit(facts.response, limit), {"about": facts.instruction})
        return
    if facts.kind in ("prompt", PACKAGE_FIX):
        return
    kind = "fix" if facts.vulnerable and facts.fixed else facts.kind or ""
    for drafter in _DRAFTERS.get(kind, _ITEMS):
        yield from drafter(record, corpus, limit)


def _word(record: Record, draft: Draft, form: Form) -> list[Message]:
    """Return the question and the answer in the words that are drawn for this Record."""
    fields = {
        "name": name_record(record),
        "key": record.key,
        "title": record.title,
        "source": record.publisher,
        "levels": ", ".join(record.facts.levels),
        "answer": draft.answer,
        **draft.fields,
    }
    question = form.questions[draw(record, draft.form) % len(form.questions)].format(**fields)
    answer = form.answers[draw(record, f"{draft.form} answer") % len(form.answers)].format(**fields)
    messages = [Message("user", question.strip()), Message("assistant", answer.strip())]
    if rest := draft.fields.get("rest" if form.follow and draft.form == "section-turns" else "", ""):
        follow = form.follow[draw(record, "follow") % len(form.follow)]
        messages += [Message("user", follow), Message("assistant", rest)]
    return messages


def _join_turns(
    record: Record, worded: list[tuple[Draft, list[Message]]], forms: dict[str, Form]
) -> list[tuple[Draft, list[Message]]]:
    """Put one question of some Records as a follow-up to another, in place of two rows."""
    if len(worded) < 2 or draw(record, "turns") % TURNS_EVERY:
        return worded
    openers = [
        pair for pair in worded if pair[0].form in {"what", "demand", "procedure", "compare", "code-look"}
    ]
    for opener in openers[:1]:
        for other in worded:
            follow = forms[other[0].form.split("/")[0]].follow
            if other is opener or not follow:
                continue
            question = follow[draw(record, "follow") % len(follow)].format(**other[0].fields)
            messages = [*opener[1], Message("user", question), other[1][-1]]
            used = (*opener[0].used, *other[0].used)
            earlier = (*opener[0].earlier, *other[0].earlier)
            joined = opener[0]._replace(used=used, earlier=earlier), messages
            return [joined, *(pair for pair in worded if pair is not opener and pair is not other)]
    return worded


def _make_example(record: Record, draft: Draft, messages: list[Message], corpus: Corpus) -> Example:
    quoted: list[Entry] = []
    for key in draft.used:
        entry = corpus.find(key, record.lang, record.publisher)
        if entry is not None:
            quoted.append(entry)
    # Of a superseded edition: the row is made of that Record too, and says which edition it was.
    earlier = list({old.id: old for old in draft.earlier}.values())
    quoted += [
        msgspec.structs.replace(Entry.of(old), title=f"{old.title}, edition {old.edition}") for old in earlier
    ]
    example = Example.of(
        task=draft.task,
        messages=[Message(message.role, mask_personal_data(message.content)) for message in messages],
        lang=record.lang,
        licence=record.licence,
        group=f"record/{record.source}/{record.key}",
        origin="template",
        origins=[Origin(record_id=origin.id) for origin in (record, *earlier)],
        source=record.source,
    )
    return credit(example, credit_line(record), quoted)
