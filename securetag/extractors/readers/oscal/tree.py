"""Index the controls of an OSCAL catalog, and the baselines that contain them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import describe_error, read_bytes
from securetag.extractors.readers.oscal.model import (
    Catalog,
    Control,
    Group,
    Metadata,
    Profile,
    Resource,
    convert_builtins,
    get_first_character,
    iter_parts,
    make_version_key,
)
from securetag.extractors.readers.oscal.prose import Parameters, get_value

#: Maximum controls of one catalog, and parts of one control; SP 800-53 has 1,200 and 60.
MAX_CONTROLS = 20_000
MAX_PARTS = 5_000

_LEVEL = re.compile(r"([\w-]+)\)?(?:[ -]impact)?(?:[ -]security)?[ -]baseline\b", re.I)
_ORDER = ("LOW", "MODERATE", "HIGH")
_PLAIN = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class Entry:
    """A control with its position in the catalog."""

    control: Control
    key: str
    groups: tuple[Group, ...]
    above: tuple[Control, ...]
    locator: str


@dataclass
class Document:
    """The indexed file of a catalog."""

    file: FetchedFile
    catalog: Catalog
    entries: list[Entry] = field(default_factory=list)
    groups: list[tuple[Group, str]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    parameters: Parameters = field(default_factory=lambda: Parameters([]))
    resources: dict[str, Resource] = field(default_factory=dict)

    @property
    def rank(self) -> tuple[tuple[int, ...], str, bool, int]:
        """Sort key of the files that hold a control: newest edition, full catalog before baseline."""
        return *make_version_key(self.catalog.metadata), not self.catalog.resolved, len(self.entries)

    @property
    def edition(self) -> tuple[int, ...]:
        return make_version_key(self.catalog.metadata)[0]


class Levels:
    """The newest baseline of each level: a profile, or a catalog that was resolved from one."""

    def __init__(self, profiles: Iterable[Profile], documents: Iterable[Document]) -> None:
        baselines: list[tuple[Metadata, Profile | set[str]]] = [
            (profile.metadata, profile) for profile in profiles
        ]
        baselines += [
            (document.catalog.metadata, {entry.key for entry in document.entries})
            for document in documents
            if document.catalog.resolved
        ]
        self._holders = {
            parse_level(metadata.title): holder
            for metadata, holder in sorted(baselines, key=lambda pair: make_version_key(pair[0]))
        }

    def of(self, entry: Entry) -> list[str]:
        """Return the levels whose baseline contains a control, lowest first."""
        above = tuple(control.id for control in entry.above)
        levels = [
            level
            for level, holder in self._holders.items()
            if (entry.key in holder if isinstance(holder, set) else holder.holds(entry.control.id, above))
        ]
        return sorted(
            levels, key=lambda level: (_ORDER.index(level) if level in _ORDER else len(_ORDER), level)
        )


def index_catalog(file: FetchedFile, catalog: Catalog) -> Document:
    """Index all controls of a catalog; a broken control becomes a failure."""
    document = Document(file, catalog)
    params, seen = list(catalog.params), set[str]()
    xml = get_first_character(read_bytes(file)) == b"<"

    def controls(
        raws: list[object], groups: tuple[Group, ...], above: tuple[Control, ...], pointer: str
    ) -> None:
        for number, raw in enumerate(raws):
            place = f"{pointer}/controls/{number}"
            if len(document.entries) + len(document.failures) >= MAX_CONTROLS:
                raise SourceError(f"a catalog of more than {MAX_CONTROLS:,} controls")
            try:
                control = convert_builtins(raw, Control)
                if sum(1 for _ in iter_parts(control.parts)) > MAX_PARTS:
                    raise SourceError(f"a control of more than {MAX_PARTS:,} parts")
            except SourceError as error:
                document.failures.append(Failure(str(file.path), place, describe_error(error)))
                continue
            locator = f"//control[@id='{control.id}']" if xml else place
            if control.id in seen:
                document.failures.append(Failure(str(file.path), place, f"{control.id} stands twice"))
                continue
            seen.add(control.id)
            params.extend(control.params)
            document.entries.append(Entry(control, make_key(control), groups, above, locator))
            controls(control.controls, groups, (*above, control), place)

    def walk(groups: list[Group], outer: tuple[Group, ...], pointer: str) -> None:
        for number, group in enumerate(groups):
            place = f"{pointer}/groups/{number}"
            params.extend(group.params)
            document.groups.append((group, f"//group[@id='{group.id}']" if xml else place))
            controls(group.controls, (*outer, group), (), place)
            walk(group.groups, (*outer, group), place)

    controls(catalog.controls, (), (), "#/catalog")
    walk(catalog.groups, (), "#/catalog")
    document.parameters = Parameters(params)
    document.resources = {resource.uuid: resource for resource in catalog.back_matter.resources}
    return document


def make_key(item: Control | Group) -> str:
    """Return the key as the publisher prints it: the label `AC-2(1)`, or `ID.AM` of `Asset Management
    (ID.AM)`.
    """
    label = get_value(item.props, "label").strip()
    if match := re.fullmatch(r"(.*\S)\s+\(([^()\s]+)\)", label):
        before, inside = match.groups()
        return f"{before}({inside})" if re.fullmatch(r"[A-Z]+-\d+", before) else inside
    if label and " " not in label:
        return label
    return item.id.upper() if isinstance(item, Group) and _PLAIN.fullmatch(item.id) else item.id


def get_kind(item: Control | Group) -> str:
    """Return upstream's word for the item (`category`, `task`, `family`), where it is one word."""
    class_ = item.class_.lower()
    if _PLAIN.fullmatch(class_):
        return class_
    if isinstance(item, Group):
        return "group"
    return "enhancement" if "enhancement" in class_ else "control"


def parse_level(title: str) -> str:
    """Return `LOW` of "… Revision 5.1.1 LOW IMPACT BASELINE"; the whole title where it names no baseline."""
    match = _LEVEL.search(title)
    return match[1].upper() if match else title
