"""Make Records of CWE: the model that its XML, its JSON and its CSV share.

Schema: https://cwe.mitre.org/documents/schema/ (7.x). Weaknesses become Records, which name the
categories and views that hold them (an OWASP Top Ten category, a Top 25); those group weaknesses and
are dropped by name unless the option `kinds` names them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from securetag.errors import SecuretagError
from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader
from securetag.extractors.text import prose
from securetag.records import Facts, Status

#: An obsolete entry is right but replaced by another; any other status (Draft, Stable, …) is active.
STATUS_BY_WORD = {"deprecated": Status.DEPRECATED, "obsolete": Status.SUPERSEDED}
#: `[REF-867]` refers to a list of publications that no Record includes.
_REFERENCE = re.compile(r"\s*\[REF-\d+\](?=[\s.,;:)]|$)")
_FENCE_LANGUAGES = {"c#": "csharp", "c++": "cpp", "asp.net": "aspx", "shell": "sh", "other": ""}


class Mitigation(msgspec.Struct, frozen=True):
    """One mitigation of a weakness."""

    phases: list[str]
    strategy: str
    text: str


class Weakness(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of CWE, its prose as upstream has it (Markdown or plain text)."""

    kind: str
    id: str
    name: str
    status: str
    description: str
    extended: str = ""
    background: list[str] = []
    #: (nature, CWE id, view) in upstream's order.
    relations: list[tuple[str, str, str]] = []
    attack_patterns: list[str] = []
    platforms: list[str] = []
    terms: list[str] = []
    mitigations: list[Mitigation] = []
    #: (scopes, impacts, note)
    consequences: list[tuple[list[str], list[str], str]] = []
    #: (method, text)
    detections: list[tuple[str, str]] = []
    #: Markdown texts with their code blocks.
    examples: list[str] = []
    #: (CVE, sentence)
    observed: list[tuple[str, str]] = []
    #: (taxonomy, id, name)
    taxonomies: list[tuple[str, str, str]] = []
    mapping_usage: str = ""
    #: Likelihood of exploit.
    likelihood: str = ""
    #: Day of submission, `YYYY-MM-DD`.
    published: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A category or view and its direct members."""

    name: str
    status: str
    #: Numbers of weaknesses and groups.
    members: list[str]


def clean_prose(text: str) -> str:
    """Return clean Markdown without references into CWE's list of publications."""
    return prose.map_prose(prose.clean(text), lambda piece: _REFERENCE.sub("", piece))


def render_example(entries: list[tuple[str, str, str]]) -> str:
    """Return a demonstrative example of (nature, language, text) entries; prose has no nature."""
    parts = []
    for nature, language, text in entries:
        if not nature:
            parts.append(clean_prose(text))
            continue
        fence = _FENCE_LANGUAGES.get(language.lower(), language.lower())
        label = f"{nature} code" if nature.lower() in {"good", "bad"} else nature
        parts.append(f"{label}{f' ({language})' if language else ''}:")
        parts.append(prose.make_code_block(text, re.sub(r"[^\w+#-]", "", fence)))
    return "\n\n".join(part for part in parts if part)


def drop_repeated(values: Iterable[str]) -> list[str]:
    """Return the values in order, without empty and repeated ones."""
    return list(dict.fromkeys(value for value in values if value))


def _make_facts(weakness: Weakness, groups: list[str]) -> Facts:
    parents = drop_repeated(
        f"CWE-{target}" for nature, target, _ in weakness.relations if nature == "ChildOf"
    )
    related = drop_repeated(
        f"CWE-{target}" for nature, target, _ in weakness.relations if nature != "ChildOf"
    )
    return Facts(
        kind=weakness.kind,
        parents=parents,
        related=[key for key in related if key not in parents]
        + [f"CAPEC-{n}" for n in weakness.attack_patterns],
        aliases=drop_repeated(prose.clean_line(term) for term in weakness.terms),
        cwe=[f"CWE-{weakness.id}"] if weakness.kind == "weakness" else [],
        mitigations=drop_repeated(map(_render_mitigation, weakness.mitigations)),
        detections=drop_repeated(_add_label(method, text) for method, text in weakness.detections),
        consequences=drop_repeated(render_consequence(*parts) for parts in weakness.consequences),
        examples=drop_repeated(weakness.examples),
        observed=drop_repeated(_add_label(*case) for case in weakness.observed if case[1]),
        taxonomies=drop_repeated(map(render_taxonomy, weakness.taxonomies)),
        platforms=drop_repeated(weakness.platforms),
        mapping_usage=weakness.mapping_usage or None,
        likelihood=_get_likelihood(weakness.likelihood),
        levels=groups,
        published=weakness.published[:10] or None,
    )


def _get_likelihood(likelihood: str) -> str | None:
    return None if likelihood.lower() in {"", "unknown"} else likelihood


def _add_label(label: str, text: str) -> str:
    text = clean_prose(text)
    return f"{label}: {text}" if label and text else text


def _render_mitigation(mitigation: Mitigation) -> str:
    phases = ", ".join(mitigation.phases)
    label = (
        f"{phases} ({mitigation.strategy})"
        if phases and mitigation.strategy
        else phases or mitigation.strategy
    )
    return _add_label(label, mitigation.text)


def render_consequence(scopes: list[str], impacts: list[str], note: str) -> str:
    """Return `Confidentiality, Integrity: Read Data. Note.`; CAPEC uses the same form."""
    head = ": ".join(part for part in (", ".join(scopes), ", ".join(impacts)) if part)
    note = clean_prose(note)
    return f"{head}. {note}" if head and note else head or note


def render_taxonomy(mapping: tuple[str, str, str]) -> str:
    """Return `WASC 19: SQL Injection`; CAPEC uses the same form."""
    taxonomy, entry, name = (prose.clean_line(part) for part in mapping)
    key = f"{taxonomy} {entry}".strip()
    return f"{key}: {name}" if name else key


class CweReader(Reader):
    """Base of the three readers: a subclass decodes `Weakness` items, this one makes Records of them."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.kinds = set(source.options.get("kinds", ["weakness"]))
        #: Number of a weakness → names of the groups that contain it.
        self.holders: dict[str, list[str]] = defaultdict(list)

    def groups(self, file: FetchedFile) -> Iterator[Group]:  # noqa: ARG002
        """Yield the categories and views of one file. Raises SourceError."""
        yield from ()

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        """Find the groups of each weakness; `read_file` reports a file that can't be read."""
        self.holders.clear()
        for file in files:
            try:
                for group in self.groups(file):
                    if group.status.lower() not in STATUS_BY_WORD:
                        for member in group.members:
                            self.holders[member].append(prose.clean_line(group.name))
            except SecuretagError:
                continue
        yield from ()

    def item(self, weakness: Weakness, file: FetchedFile, locator: str) -> Item:
        """Return the Record of one entry, or a Drop with the reason."""
        if weakness.kind not in self.kinds:
            return Drop(f"a {weakness.kind} groups weaknesses and is none", locator)
        text = "\n\n".join(
            part
            for part in map(clean_prose, [weakness.description, weakness.extended, *weakness.background])
            if part
        )
        return self.record(
            file,
            key=f"CWE-{weakness.id}",
            title=weakness.name,
            text=text,
            locator=locator,
            url=f"https://cwe.mitre.org/data/definitions/{weakness.id}.html",
            facts=_make_facts(weakness, sorted(set(self.holders.get(weakness.id, [])))),
            status=STATUS_BY_WORD.get(weakness.status.lower(), Status.ACTIVE),
        )
