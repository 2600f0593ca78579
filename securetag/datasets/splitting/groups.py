"""What rows have in common, and the split that follows from the name of their group.

A group's split is a function of the hash of its name alone (the CVE, the weakness or technique, the
publisher's item, the repository of a fix, the tenant's project), so that no row moves from test to train
when the data grows. Nothing else may decide: if it were the largest or the oldest of the rows that belong
together, a newer row that joins two groups would take one of them to another split.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from securetag.records import Example, Record

Split = Literal["train", "validation", "test"]

#: Shares of all groups, by hash.
TEST_SHARE, VALIDATION_SHARE = 0.10, 0.05

_CVE = re.compile(r"CVE-(\d{4})-(\d{4,})")
#: Names that mean the same thing everywhere: CVE, GHSA, advisories by year, CWE, CAPEC, ATT&CK.
_IDENTIFIER = re.compile(
    r"CVE-\d{4}-\d{4,}|GHSA(?:-[0-9A-Z]{4}){3}|(?:PYSEC|RUSTSEC|GO|OSV|MAL|DSA|RHSA|USN)-\d{4}[-:]\d+"
    r"|CWE-\d+|CAPEC-\d+|(?:T|TA|M|S|G|C|DC|DS)\d{4}(?:\.\d{3})?"
)
_REPOSITORY = re.compile(
    r"https?://(?:www\.)?(github\.com|gitlab\.com|bitbucket\.org|codeberg\.org)/([\w.-]+/[\w.-]+)",
    re.IGNORECASE,
)


class GroupKeys(msgspec.Struct, frozen=True):
    """What the rows of a Record or finding share with those of others."""

    #: Decides the split.
    group: str
    #: May not be in two splits either.
    keys: tuple[str, ...] = ()
    #: `YYYY-MM-DD`, of the Record.
    published: str | None = None


def group_keys_of(record: Record) -> GroupKeys:
    """Return the keys of a Record's rows.

    The group is the repository of a fix, else the lowest CVE, else another identifier, else the item. An
    item is named by publisher and key, not by source: a new edition has another source's name.
    """
    names = [name.upper() for name in (record.key, *record.facts.aliases)]
    identifiers = sorted({name for name in names if _IDENTIFIER.fullmatch(name)}, key=_sort_key)
    keys = [f"id/{name}" for name in identifiers]
    if record.facts.vulnerable or record.facts.fixed:
        urls = (record.url, *record.facts.references)
        repositories = sorted({_repository_of(url) for url in urls} - {""})
        keys = [f"repository/{name}" for name in repositories] + keys
    item = f"record/{record.publisher}/{record.key}"
    # An item's own key is worth more than the aliases it lists, but a CVE unites most advisories.
    item_id = f"id/{record.key.upper()}"
    if item_id in keys and not keys[0].startswith(("id/CVE-", "repository/")):
        return GroupKeys(item_id, tuple(keys), record.facts.published)
    return GroupKeys(keys[0] if keys else item, tuple(keys), record.facts.published)


def _sort_key(name: str) -> tuple[int, int, int, str]:
    """Order identifiers: CVEs first, the oldest before the others."""
    cve = _CVE.fullmatch(name)
    return (0, int(cve[1]), int(cve[2]), "") if cve else (1, 0, 0, name)


def _repository_of(url: str) -> str:
    match = _REPOSITORY.match(url)
    return f"{match[1]}/{match[2]}".lower().removesuffix(".git") if match else ""


def set_group(examples: Iterable[Example], keys: GroupKeys) -> Iterator[Example]:
    """Yield the Examples of one Record with its group."""
    for example in examples:
        yield msgspec.structs.replace(example, group=keys.group)


def split_of(group: str) -> Split:
    """Return the split of a group, the same in every release."""
    # 52 bits of the digest, so that the fraction is exact in a float.
    fraction = int(hashlib.sha256(b"split/" + group.encode()).hexdigest()[:13], 16) / 16**13
    if fraction < TEST_SHARE:
        return "test"
    return "validation" if fraction < TEST_SHARE + VALIDATION_SHARE else "train"
