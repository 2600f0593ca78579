"""Questions on a fix of a real project: repair the code, and say what was wrong and what changed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from securetag.datasets.knowledge.corpus import Corpus
from securetag.datasets.knowledge.draft import Draft, make_fence
from securetag.records import Record, Task

#: Lines of a change that is told line by line.
_MAX_CHANGED = 8


def draft_fix(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield the repaired code with an explanation, and the flaw with the lines that show it."""
    facts = record.facts
    entries = [corpus.find(key, record.lang, "MITRE") for key in facts.cwe[:1]]
    entry = entries[0] if entries else None
    if not facts.vulnerable or not facts.fixed or entry is None or not entry.gist:
        return
    removed, added = compare_lines(facts.vulnerable, facts.fixed)
    if not added or len(removed) + len(added) > 2 * _MAX_CHANGED:
        return
    code, fixed = make_fence(facts.vulnerable, facts.language), make_fence(facts.fixed, facts.language)
    fields = {
        "about": code,
        "weakness": entry.name,
        "gist": entry.gist,
        "removed": make_fence("\n".join(removed), facts.language) if removed else "",
        "added": make_fence("\n".join(added), facts.language),
    }
    used = (entry.key,)
    if len(fixed) + len(entry.gist) + len(fields["added"]) <= limit:
        yield Draft(Task.REMEDIATION, "fix" if removed else "fix-added", fixed, fields, used)
    if removed and len(removed) <= _MAX_CHANGED:
        yield Draft(Task.MAPPING, "code-weakness", fields["removed"], fields, used)


def compare_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    """Return the lines that a fix removed and added, without those that only moved or got other blanks."""
    diff = list(difflib.ndiff(before.expandtabs(4).splitlines(), after.expandtabs(4).splitlines()))
    removed = [line[2:] for line in diff if line.startswith("- ") and re.search(r"\w", line)]
    added = [line[2:] for line in diff if line.startswith("+ ") and re.search(r"\w", line)]
    moved = {_drop_blanks(line) for line in removed} & {_drop_blanks(line) for line in added}
    return (
        [line for line in removed if _drop_blanks(line) not in moved],
        [line for line in added if _drop_blanks(line) not in moved],
    )


def _drop_blanks(line: str) -> str:
    return re.sub(r"\s+", "", line)
