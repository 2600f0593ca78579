"""Read mappings of security capabilities onto ATT&CK, by the Center for Threat-Informed Defense.

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
from securetag.extractors.readers.base import Drop, Item, Reader, decode_json, describe_error, read_bytes
from securetag.extractors.text import prose
from securetag.records import Facts

Side = Literal["capability", "attack"]

#: Type of a mapping → its verb from capability to ATT&CK, and back.
_VERBS_BY_TYPE = {"mitigates": ("mitigates", "is mitigated by"), "detects": ("detects", "is detected by")}


class Metadata(msgspec.Struct, frozen=True):
    """The framework that a file maps, and the versions."""

    mapping_framework: str
    mapping_framework_version: str | None = ""
    attack_version: str | None = ""
    technology_domain: str | None = ""


class Mapping(msgspec.Struct, frozen=True):
    """One pair of a capability and an ATT&CK object."""

    attack_object_id: str
    attack_object_name: str | None = ""
    capability_id: str | None = None
    capability_description: str | None = ""
    mapping_type: str | None = None
    status: str | None = ""
    #: Rating of the capability in some frameworks: `protect`, `partial`.
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
                yield Failure(str(file.path), locator, describe_error(error))
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
        framework, attack = format_framework(metadata), f"ATT&CK {metadata.attack_version or ''}".strip()
        other = attack if capability else framework
        text = [f"{name} ({key}, {framework if capability else attack}), mapped to {other}:"]
        for kind in dict.fromkeys(mapping.mapping_type or "" for mapping in mappings):
            lines = [_render_line(mapping, side) for mapping in mappings if mapping.mapping_type == kind]
            text.append(f"## {_make_verb(kind, side)}\n\n" + "\n".join(dict.fromkeys(lines)))
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
            is_lang_certain=True,  # a list of names, which tells no language
            facts=Facts(
                kind="mapping",
                related=list(dict.fromkeys(normalize_key(object_id) for object_id in ids)),
                aliases=[normalize_key(key)] if normalize_key(key) != key else [],
                mitigations=[] if capability else list(dict.fromkeys(_list_mitigations(mappings, framework))),
            ),
        )


def format_framework(metadata: Metadata) -> str:
    """Return `NIST 800-53 rev5` for `nist_800_53` and `rev5`."""
    words = re.sub(r"(?<=\d)_(?=\d)", "-", metadata.mapping_framework).replace("_", " ")
    words = re.sub(
        r"\b(nist|aws|gcp|csa|ccm|kev|cve|m365|cri)\b", lambda match: match[0].upper(), words, flags=re.I
    )
    return f"{words} {metadata.mapping_framework_version or ''}".strip()


def normalize_key(key: str) -> str:
    """Return a NIST control as NIST writes it, so that Records join: `AC-2(1)` for `AC-02(01)`."""
    match = re.fullmatch(r"([A-Z]{2})-0*(\d{1,3})(?:\(0*(\d{1,3})\))?", key)
    return f"{match[1]}-{match[2]}{f'({match[3]})' if match[3] else ''}" if match else key


def _list_mitigations(mappings: list[Mapping], framework: str) -> Iterator[str]:
    for mapping in mappings:
        if mapping.mapping_type == "mitigates":
            yield f"{_clean_name(mapping.capability_description or '')} ({framework} {mapping.capability_id})"


@lru_cache(maxsize=4096)
def _clean_name(text: str) -> str:
    """Return a name as clean text; cached, since many rows repeat it."""
    return prose.clean_line(text)


def _make_verb(kind: str, side: Side) -> str:
    forward, backward = _VERBS_BY_TYPE.get(kind, (kind.replace("_", " "), kind.replace("_", " ")))
    verb = forward if side == "capability" else backward
    return verb[:1].upper() + verb[1:]


def _render_line(mapping: Mapping, side: Side) -> str:
    if side == "capability":
        head = f"{_clean_name(mapping.attack_object_name or '')} ({mapping.attack_object_id})".strip()
    else:
        head = f"{_clean_name(mapping.capability_description or '')} ({mapping.capability_id})".strip()
    score = ", ".join(part for part in (mapping.score_category, mapping.score_value) if part)
    comment = prose.clean_line(mapping.comments) if mapping.comments else ""
    return f"- {head}{f' [{score}]' if score else ''}{f': {comment}' if comment else ''}"
