"""CWE → Records: what its XML, its JSON and its CSV have in common.

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

#: An obsolete entry is still right, and another took its place; all else (Draft, Stable, …) is active.
STATUS = {"deprecated": Status.DEPRECATED, "obsolete": Status.SUPERSEDED}
#: `[REF-867]` points into a list that no Record carries.
_REFERENCE = re.compile(r"\s*\[REF-\d+\](?=[\s.,;:)]|$)")
_FENCE_NAMES = {"c#": "csharp", "c++": "cpp", "asp.net": "aspx", "shell": "sh", "other": ""}


class Mitigation(msgspec.Struct, frozen=True):
    """One way to avoid a weakness."""

    phases: list[str]
    strategy: str
    text: str


class Weakness(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of CWE, its prose still as upstream has it (Markdown or plain text)."""

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
    #: Each a Markdown text with its code blocks, ready.
    examples: list[str] = []
    mapping_usage: str = ""
    #: Of exploit.
    likelihood: str = ""
    #: Day of submission, `YYYY-MM-DD`.
    published: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A category or view and the weaknesses directly in it."""

    name: str
    status: str
    #: Numbers of weaknesses and of other groups.
    members: list[str]


def tidy_prose(text: str) -> str:
    """Clean Markdown without pointers into CWE's list of references."""
    return prose.map_prose(prose.clean(text), lambda piece: _REFERENCE.sub("", piece))


def example(entries: list[tuple[str, str, str]]) -> str:
    """A demonstrative example from (nature, language, text) entries; prose has no nature."""
    parts = []
    for nature, language, text in entries:
        if not nature:
            parts.append(tidy_prose(text))
            continue
        fence = _FENCE_NAMES.get(language.lower(), language.lower())
        label = f"{nature} code" if nature.lower() in {"good", "bad"} else nature
        parts.append(f"{label}{f' ({language})' if language else ''}:")
        parts.append(prose.make_code_block(text, re.sub(r"[^\w+#-]", "", fence)))
    return "\n\n".join(part for part in parts if part)


def unique(values: Iterable[str]) -> list[str]:
    """In order, without repetitions and empty ones."""
    return list(dict.fromkeys(value for value in values if value))


def _facts(weakness: Weakness, groups: list[str]) -> Facts:
    parents = unique(f"CWE-{target}" for nature, target, _ in weakness.relations if nature == "ChildOf")
    related = unique(f"CWE-{target}" for nature, target, _ in weakness.relations if nature != "ChildOf")
    return Facts(
        kind=weakness.kind,
        parents=parents,
        related=[key for key in related if key not in parents]
        + [f"CAPEC-{n}" for n in weakness.attack_patterns],
        aliases=unique(prose.clean_line(term) for term in weakness.terms),
        cwe=[f"CWE-{weakness.id}"] if weakness.kind == "weakness" else [],
        mitigations=unique(map(_mitigation, weakness.mitigations)),
        detections=unique(_labelled(method, text) for method, text in weakness.detections),
        consequences=unique(consequence(*parts) for parts in weakness.consequences),
        examples=unique(weakness.examples),
        platforms=unique(weakness.platforms),
        mapping_usage=weakness.mapping_usage or None,
        likelihood=_known(weakness.likelihood),
        levels=groups,
        published=weakness.published[:10] or None,
    )


def _known(likelihood: str) -> str | None:
    return None if likelihood.lower() in {"", "unknown"} else likelihood


def _labelled(label: str, text: str) -> str:
    text = tidy_prose(text)
    return f"{label}: {text}" if label and text else text


def _mitigation(mitigation: Mitigation) -> str:
    phases = ", ".join(mitigation.phases)
    label = (
        f"{phases} ({mitigation.strategy})"
        if phases and mitigation.strategy
        else phases or mitigation.strategy
    )
    return _labelled(label, mitigation.text)


def consequence(scopes: list[str], impacts: list[str], note: str) -> str:
    """`Confidentiality, Integrity: Read Data. Note.`; CAPEC writes its consequences alike."""
    head = ": ".join(part for part in (", ".join(scopes), ", ".join(impacts)) if part)
    note = tidy_prose(note)
    return f"{head}. {note}" if head and note else head or note


class CweReader(Reader):
    """Base of the three: a subclass finds `Weakness` items, this one makes Records of them."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.kinds = set(source.options.get("kinds", ["weakness"]))
        #: Number of a weakness → names of the groups that hold it.
        self.holders: dict[str, list[str]] = defaultdict(list)

    def groups(self, file: FetchedFile) -> Iterator[Group]:  # noqa: ARG002
        """Categories and views of one file. Raises SourceError."""
        yield from ()

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        """Learn which groups hold a weakness; a file that can't be read is left to `read_file`."""
        self.holders.clear()
        for file in files:
            try:
                for group in self.groups(file):
                    if group.status.lower() not in STATUS:
                        for member in group.members:
                            self.holders[member].append(prose.clean_line(group.name))
            except SecuretagError:
                continue
        yield from ()

    def item(self, weakness: Weakness, file: FetchedFile, locator: str) -> Item:
        """The Record of one entry, or why it is left out."""
        if weakness.kind not in self.kinds:
            return Drop(f"a {weakness.kind} groups weaknesses and is none", locator)
        text = "\n\n".join(
            part
            for part in map(tidy_prose, [weakness.description, weakness.extended, *weakness.background])
            if part
        )
        return self.record(
            file,
            key=f"CWE-{weakness.id}",
            title=weakness.name,
            text=text,
            locator=locator,
            url=f"https://cwe.mitre.org/data/definitions/{weakness.id}.html",
            facts=_facts(weakness, sorted(set(self.holders.get(weakness.id, [])))),
            status=STATUS.get(weakness.status.lower(), Status.ACTIVE),
        )
