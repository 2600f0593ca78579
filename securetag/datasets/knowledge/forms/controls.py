"""Questions on controls, requirements, tests and guidance: what, how to do it, how to test it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from securetag.datasets.knowledge import grounding
from securetag.datasets.knowledge.corpus import Corpus, Entry
from securetag.datasets.knowledge.draft import Draft, define, fit, list_some, list_whole, split_parts
from securetag.datasets.knowledge.forms.weaknesses import find_closest
from securetag.records import Record, Task

#: Forms by what a part's heading says; the first that matches.
_PARTS = (
    (re.compile(r"^discussion$", re.I), "discussion"),
    (re.compile(r"discussion|implementations?|how (?:it )?works", re.I), "implement"),
    (re.compile(r"^test objectives|control objective", re.I), "objective"),
    (re.compile(r"^steps$|^procedure|how to test|static analysis|dynamic analysis", re.I), "how-to-test"),
    (re.compile(r"^observation|^evaluation", re.I), "evaluate"),
    (re.compile(r"remediation|how to prevent|cómo prevenir|prevention|prevenci", re.I), "prevent"),
    (re.compile(r"scenarios?$|escenarios", re.I), "scenario"),
    (re.compile(r"^prerequisites", re.I), "prerequisite"),
    (re.compile(r"^execution flow", re.I), "steps"),
    (re.compile(r"considerations", re.I), "limits"),
    (re.compile(r"^techniques$", re.I), "against"),
    (
        re.compile(r"^(?:description|overview|summary|background|introduction|descrip|antecedentes)", re.I),
        "what",
    ),
    (re.compile(r"^threats|is the api vulnerable", re.I), "threats"),
)
#: Parts that name people, links or bookkeeping.
_SKIPPED = re.compile(
    r"references?|referencias|tools|leaders|authors|copyright|license|related|whitepapers|books|sites|videos"
    r"|digital artifacts|skills|resources|mitigates|is mitigated by|changes|contribut|mapped|score|puntuación"
    r"|vulnerabilities prevented|taxonom|mapeados|effectiveness",
    re.I,
)
#: Characters of a part that is one line.
_MIN_PART_CHARS = 100
#: Characters of a discussion that is more than an example.
_MIN_DISCUSSION_CHARS = 150
#: Requirements of an earlier edition of which one of a newer was made, beyond which a change isn't told.
_MAX_PREDECESSORS = 3
#: Content words that only one of the two has, below which a change is one of spelling.
_MIN_CHANGED_STEMS = 4
#: Kinds of which one asks what they want done, or how they are carried out.
DEMANDS = frozenset(
    ("requirement", "control", "enhancement", "practice", "task", "category", "subcategory", "mitigation")
)


def draft_parts(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield the lead text and each part under a heading, in the form that the heading asks for."""
    del corpus
    lead, parts = split_parts(record.text)
    kind = record.facts.kind or ""
    first = "demand" if kind in DEMANDS else "procedure" if kind == "test" else "what"
    if not lead.startswith(("|", "```")):
        yield Draft(Task.QA, first, fit(lead, limit))
    used = {first} if lead else set()
    for heading, body in parts:
        if _SKIPPED.search(heading):
            continue
        form = next((form for pattern, form in _PARTS if pattern.search(heading)), "part")
        if form in used and form != "part":
            form = "part"
        # A single short step that only has the heading's word in it.
        if form in used or (form == "part" and "\n" not in body and len(body) < _MIN_PART_CHARS):
            continue
        if form == "discussion" and len(body) < _MIN_DISCUSSION_CHARS:
            continue
        used.add(form)
        task = Task.REMEDIATION if form == "prevent" else Task.QA
        yield Draft(task, form, fit(body, limit), {"heading": heading})


def draft_enhancement(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield what an enhancement adds to its control, and what another enhancement adds instead."""
    requirement = define(record)
    parents = [corpus.find(key, record.lang, record.publisher) for key in record.facts.parents[:1]]
    control = parents[0] if parents else None
    if not requirement or control is None or not control.gist or len(control.gist) + len(requirement) > limit:
        return
    fields = {"control": control.name, "control_key": control.key, "own": requirement, "name_key": record.key}
    if control.gist != requirement:
        yield Draft(Task.MAPPING, "enhancement", control.gist, fields, (control.key,))
    other = find_closest(record, requirement, corpus.siblings(record))
    if other is not None and not _says_its_name(record, requirement, other):
        fields |= {"other": other.name, "other_key": other.key}
        yield Draft(Task.MAPPING, "compare-enhancements", other.gist, fields, (other.key, control.key))


def _says_its_name(record: Record, requirement: str, other: Entry) -> bool:
    """Whether two requirements differ by no more than the names of what they require."""
    stems = grounding.content_stems(requirement, record.lang) ^ grounding.content_stems(
        other.gist, record.lang
    )
    return not stems - grounding.content_stems(f"{record.title} {other.name}", record.lang)


def draft_requirement(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield which weakness a requirement keeps out, and what an earlier edition required in its place."""
    required = re.sub(r"^Verify that ", "", record.text.strip())
    for key in record.facts.cwe[:1]:
        entry = corpus.find(key, record.lang, "MITRE")
        if entry is not None and entry.gist and len(required) < limit:
            fields = {"demand": required, "weakness": entry.name, "gist": entry.gist}
            yield Draft(Task.MAPPING, "requirement-weakness", entry.gist, fields, (key,))

    yield _change(record, corpus, limit)


def _change(record: Record, corpus: Corpus, limit: int) -> Draft:
    """What the requirements of an earlier edition, from which this one came, said."""
    predecessors = [corpus.find_earlier(key, record.lang, record.publisher) for key in record.facts.related]
    earlier = tuple(old for old in predecessors if old is not None and old.facts.kind == "requirement")
    stems = grounding.content_stems(record.text, record.lang)
    differences = [len(stems ^ grounding.content_stems(old.text, old.lang)) for old in earlier]
    if not 1 <= len(earlier) <= _MAX_PREDECESSORS or min(differences) < _MIN_CHANGED_STEMS:
        return Draft(Task.QA, "requirement-change", "")
    old_texts = "\n".join(f"- {old.key}{_levels(old)}: {old.text}" for old in earlier)
    fields = {
        "old_keys": " and ".join(old.key for old in earlier),
        "old_edition": earlier[0].edition,
        "demand": f"{record.text}{_levels(record)}",
    }
    fits = len(old_texts) + len(record.text) <= limit
    return Draft(Task.QA, "requirement-change", old_texts if fits else "", fields, earlier=earlier)


def _levels(record: Record) -> str:
    return f" ({', '.join(record.facts.levels)})" if record.facts.levels else ""


def draft_advice(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield mitigations, detections, consequences and examples, without what every Record says."""
    facts = record.facts
    yield _make_advice(corpus, "mitigation", facts.mitigations, limit, Task.REMEDIATION)
    yield _make_advice(corpus, "detection", facts.detections, limit, Task.QA)
    yield _assessment(record, limit)
    # `Integrity: Modify Application Data` is a value of an enum; a note makes it an answer.
    noted = [text for text in facts.consequences if re.search(r"\. \S.{20,}", text, re.S)]
    yield _make_advice(corpus, "consequence", noted, limit, Task.QA)
    if facts.kind in {"attack-pattern", "task", "subcategory"}:
        examples = [text for text in facts.examples if len(text) > 60]
        yield _make_advice(corpus, "example", examples, limit, Task.QA)


def _make_advice(corpus: Corpus, form: str, entries: list[str], limit: int, task: Task) -> Draft:
    telling = [entry for entry in entries if not corpus.is_boilerplate(entry) and entry.count("```") % 2 == 0]
    # One that another repeats, with more before or behind it.
    telling = [entry for entry in telling if not any(entry != other and entry in other for other in telling)]
    whole = list_whole(telling, limit)
    if whole:
        return Draft(task, form, whole)
    # Some of many: the answer says that they aren't all.
    some, n = list_some(telling, limit)
    if not n:
        return Draft(task, form, "")
    return Draft(task, f"{form}-some", some, {"n": str(n), "total": str(len(telling))})


def _assessment(record: Record, limit: int) -> Draft:
    """How a control is tested: what is determined, then what is examined, whom one asks, what is tried."""
    methods = [text for text in record.facts.assessments if re.match(r"(?:Examine|Interview|Test): ", text)]
    aims = [text for text in record.facts.assessments if text not in methods]
    if not methods or not aims:
        return Draft(Task.QA, "assess", "")
    aim = "\n\n".join(aims)
    steps = "\n".join(f"- {text}" for text in methods)
    size = len(aim) + len(steps)
    return Draft(Task.QA, "assess", steps if size <= limit else "", {"aim": aim})
