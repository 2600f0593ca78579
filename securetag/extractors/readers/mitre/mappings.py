"""Mappings of security capabilities onto ATT&CK, by the Center for Threat-Informed Defense.

Format: https://center-for-threat-informed-defense.github.io/mappings-explorer/ (JSON, one row a pair of
capability and ATT&CK object). A row alone says little, so a Record is one capability with all that it
maps to, and one ATT&CK object with all that maps to it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader, decode_json, read_bytes, reason_of
from securetag.extractors.text import prose
from securetag.records import Facts

Side = Literal["capability", "attack"]

#: How a mapping reads: from capability to ATT&CK, and back.
_VERBS = {"mitigates": ("mitigates", "is mitigated by"), "detects": ("detects", "is detected by")}


class Metadata(msgspec.Struct, frozen=True):
    """What a file maps."""

    mapping_framework: str
    mapping_framework_version: str | None = ""
    attack_version: str | None = ""
    technology_domain: str | None = ""


class Mapping(msgspec.Struct, frozen=True):
    """One pair."""

    attack_object_id: str
    attack_object_name: str | None = ""
    capability_id: str | None = None
    capability_description: str | None = ""
    mapping_type: str | None = None
    status: str | None = ""
    #: How well a capability does, in some frameworks: `protect`, `partial`.
    score_category: str | None = ""
    score_value: str | None = ""
    comments: str | None = ""


class _File(msgspec.Struct):
    metadata: Metadata
    mapping_objects: list[msgspec.Raw]


class MappingsReader(Reader):
    """Reads the JSON of any framework that is mapped onto ATT&CK."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        content = decode_json(read_bytes(file), _File)
        by_capability: dict[str, list[Mapping]] = defaultdict(list)
        by_object: dict[str, list[Mapping]] = defaultdict(list)
        for index, raw in enumerate(content.mapping_objects):
            locator = f"/mapping_objects/{index}"
            try:
                mapping = decode_json(bytes(raw), Mapping)
            except SourceError as error:
                yield Failure(str(file.path), locator, reason_of(error))
                continue
            if not mapping.capability_id or not mapping.attack_object_id or not mapping.mapping_type:
                yield Drop("upstream found nothing to map it to", locator)
                continue
            by_capability[mapping.capability_id].append(mapping)
            by_object[mapping.attack_object_id].append(mapping)
        for side, groups in (("capability", by_capability), ("attack", by_object)):
            for key, mappings in groups.items():
                yield self._item(key, mappings, side, content.metadata, file)  # type: ignore[arg-type]

    def _item(
        self, key: str, mappings: list[Mapping], side: Side, metadata: Metadata, file: FetchedFile
    ) -> Item:
        capability = side == "capability"
        name = (mappings[0].capability_description if capability else mappings[0].attack_object_name) or key
        framework, attack = framework_name(metadata), f"ATT&CK {metadata.attack_version or ''}".strip()
        other = attack if capability else framework
        text = [f"{name} ({key}, {framework if capability else attack}), mapped to {other}:"]
        for kind in dict.fromkeys(mapping.mapping_type or "" for mapping in mappings):
            lines = [_line(mapping, side) for mapping in mappings if mapping.mapping_type == kind]
            text.append(f"## {_verb(kind, side)}\n\n" + "\n".join(dict.fromkeys(lines)))
        ids = [
            mapping.attack_object_id if capability else mapping.capability_id or "" for mapping in mappings
        ]
        return self.record(
            file,
            key=key,
            title=f"{name}: {other}",
            text="\n\n".join(text),
            locator=f"/mapping_objects ({side}: {key})",
            lang=self.source.lang,
            certain=True,  # a list of names, which tells no language
            facts=Facts(
                kind="mapping",
                related=list(dict.fromkeys(joined_key(found) for found in ids)),
                aliases=[joined_key(key)] if joined_key(key) != key else [],
                mitigations=[] if capability else list(dict.fromkeys(_mitigations(mappings, framework))),
            ),
        )


def framework_name(metadata: Metadata) -> str:
    """`NIST 800-53 rev5` of `nist_800_53` and `rev5`."""
    words = re.sub(r"(?<=\d)_(?=\d)", "-", metadata.mapping_framework).replace("_", " ")
    words = re.sub(
        r"\b(nist|aws|gcp|csa|ccm|kev|cve|m365|cri)\b", lambda found: found[0].upper(), words, flags=re.I
    )
    return f"{words} {metadata.mapping_framework_version or ''}".strip()


def joined_key(key: str) -> str:
    """A NIST control as NIST itself writes it, so that Records join: `AC-2(1)` of `AC-02(01)`."""
    found = re.fullmatch(r"([A-Z]{2})-0*(\d{1,3})(?:\(0*(\d{1,3})\))?", key)
    return f"{found[1]}-{found[2]}{f'({found[3]})' if found[3] else ''}" if found else key


def _mitigations(mappings: list[Mapping], framework: str) -> Iterator[str]:
    for mapping in mappings:
        if mapping.mapping_type == "mitigates":
            yield f"{_name(mapping.capability_description or '')} ({framework} {mapping.capability_id})"


@lru_cache(maxsize=4096)
def _name(text: str) -> str:
    """A name that many rows repeat, as clean text."""
    return prose.clean_line(text)


def _verb(kind: str, side: Side) -> str:
    there, back = _VERBS.get(kind, (kind.replace("_", " "), kind.replace("_", " ")))
    verb = there if side == "capability" else back
    return verb[:1].upper() + verb[1:]


def _line(mapping: Mapping, side: Side) -> str:
    if side == "capability":
        head = f"{_name(mapping.attack_object_name or '')} ({mapping.attack_object_id})".strip()
    else:
        head = f"{_name(mapping.capability_description or '')} ({mapping.capability_id})".strip()
    score = ", ".join(part for part in (mapping.score_category, mapping.score_value) if part)
    comment = prose.clean_line(mapping.comments) if mapping.comments else ""
    return f"- {head}{f' [{score}]' if score else ''}{f': {comment}' if comment else ''}"
