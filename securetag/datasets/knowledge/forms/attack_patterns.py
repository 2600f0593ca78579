"""Questions on attack patterns and weaknesses together: which belong to each other, and why."""

from __future__ import annotations

from collections.abc import Iterator

from securetag.datasets.knowledge.corpus import Corpus
from securetag.datasets.knowledge.draft import Draft, draw, gist
from securetag.records import Record, Task

#: Entries of a list that are all explained; of a longer one some are, and the answer says how many there are.
_MAX_EXPLAINED = 4
#: What MITRE says of the use of a broad weakness.
_BROAD = {"Discouraged", "Prohibited"}


def draft_pattern(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield which weaknesses an attack pattern exploits, and which technique of ATT&CK it is."""
    definition = gist(record.text)
    if not definition:
        return
    yield _list_explained(record, corpus, "pattern-weaknesses", record.facts.cwe, limit)
    for key in record.facts.related:
        entry = corpus.find(key, record.lang, "MITRE")
        if entry is not None and entry.kind == "technique" and entry.gist and entry.gist != definition:
            fields = {"own": definition, "other": entry.name, "other_key": entry.key}
            yield Draft(Task.MAPPING, "pattern-technique", entry.gist, fields, (key,))
            return


def draft_attacks(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield by which attack patterns a weakness is exploited."""
    patterns = [key for key in record.facts.related if key.startswith("CAPEC-")]
    yield _list_explained(record, corpus, "weakness-attacks", patterns, limit)


def _list_explained(record: Record, corpus: Corpus, form: str, keys: list[str], limit: int) -> Draft:
    """All entries with what they are, or some where there are many; none where one has no definition."""
    candidates = [corpus.find(key, record.lang, "MITRE") for key in keys]
    entries = [entry for entry in candidates if entry is not None and entry.gist]
    # A list of nothing but broad entries tells nobody what to look for.
    if len(entries) != len(keys) or all(entry.mapping_usage in _BROAD for entry in entries):
        return Draft(Task.MAPPING, form, "")
    shown = entries
    if len(entries) > _MAX_EXPLAINED:
        form += "-some"
        drawn = sorted(entries, key=lambda entry: draw(record, entry.key))[:_MAX_EXPLAINED]
        shown = sorted(drawn, key=lambda entry: keys.index(entry.key))
    text = "\n".join(f"- {entry.name}: {entry.gist}" for entry in shown)
    fields = {"n": str(len(shown)), "total": str(len(entries)), "own": gist(record.text)}
    used = tuple(entry.key for entry in shown)
    return Draft(Task.MAPPING, form, text if len(text) <= limit else "", fields, used)
