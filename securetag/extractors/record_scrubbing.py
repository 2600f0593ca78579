"""Scrub the Records of a source: every text of them, and the key where it is made of a heading."""

from __future__ import annotations

from collections import Counter

import msgspec

from securetag.extractors.readers.base import make_slug
from securetag.records import Facts, Record
from securetag.scrubbing import scrub_document


def scrub_record(record: Record, counts: Counter[str]) -> Record:
    """Return the record without secrets and personal data in any field; add their numbers to `counts`.

    The id is computed again, so that it comes from what is left alone.
    """
    scrubbed = Counter[str]()
    key = record.key
    for heading in record.facts.section:
        if (bare := _scrub(heading, Counter())) != heading:
            key = key.replace(make_slug(heading), make_slug(bare))
    fields = {
        "key": _scrub(key, Counter()),
        "title": _scrub(record.title, Counter()),
        "text": _scrub(record.text, scrubbed),
        "facts": msgspec.convert(_scrub_value(msgspec.to_builtins(record.facts), Counter()), Facts),
        "url": _scrub(record.url, Counter()),
        "locator": _scrub(record.locator, Counter()),
    }
    changed = {name: value for name, value in fields.items() if value != getattr(record, name)}
    if not changed:
        return record
    counts.update(scrubbed or {"other field": 1})
    builtins = {name: getattr(record, name) for name in Record.__struct_fields__ if name != "id"}
    return Record.of(**(builtins | changed))


def _scrub(text: str, counts: Counter[str]) -> str:
    result = scrub_document(text)
    counts.update(result.counts)
    return result.text


def _scrub_value(value: object, counts: Counter[str]) -> object:
    if isinstance(value, str):
        return _scrub(value, counts)
    if isinstance(value, list):
        return [_scrub_value(item, counts) for item in value]
    if isinstance(value, dict):
        return {name: _scrub_value(item, counts) for name, item in value.items()}
    return value
