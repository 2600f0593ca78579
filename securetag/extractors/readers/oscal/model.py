"""Decode OSCAL catalogs and profiles from JSON, YAML or XML to the same typed values.

Model: https://pages.nist.gov/OSCAL-Reference/models/ (1.0 to 1.2). The first character of a file decides
its format, not its name. Only the fields that Records use are decoded, and all are optional, since
publishers other than NIST omit many. Controls are decoded one by one later, so that a broken one doesn't
affect the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.base import decode_json, read_bytes, read_text, refuse_many_values
from securetag.extractors.text.yaml_doc import decode_yaml

T = TypeVar("T")

#: Bytes of one file: NIST's full SP 800-53 is 10 MB as JSON.
MAX_BYTES = 32 * 1024 * 1024
#: Maximum values of a JSON file, as an upper bound; SP 800-53 has about 450,000.
MAX_VALUES = 1_500_000


class _Oscal(msgspec.Struct, rename="kebab", frozen=True, kw_only=True):
    pass


class Prop(_Oscal, frozen=True):
    """A name and a value; `class_` tells values of one name apart."""

    name: str = ""
    value: str = ""
    class_: str = msgspec.field(name="class", default="")


class Link(_Oscal, frozen=True):
    """`href` is a URL, or `#` and the id of a control, a part or a resource."""

    href: str = ""
    rel: str = ""
    text: str = ""

    @property
    def relation(self) -> str:
        """Return the relation, spelled `incorporated-into` where an edition writes an underscore."""
        return self.rel.replace("_", "-").lower()

    @property
    def target(self) -> str:
        return self.href.removeprefix("#")


class Select(_Oscal, frozen=True):
    """A parameter that is chosen from a list."""

    how_many: str = ""
    choice: list[str] = []


class Param(_Oscal, frozen=True):
    """A place in the prose that an organization fills."""

    id: str = ""
    props: list[Prop] = []
    label: str = ""
    values: list[str] = []
    select: Select | None = None


class Part(_Oscal, frozen=True):
    """A piece of a control: its statement, an item of it, guidance, an example, an assessment."""

    id: str = ""
    name: str = ""
    title: str = ""
    props: list[Prop] = []
    prose: str = ""
    parts: list[Part] = []
    links: list[Link] = []


class Control(_Oscal, frozen=True):
    """A control, an enhancement, a category, a practice, a task: whatever an edition calls `control`."""

    id: str
    class_: str = msgspec.field(name="class", default="")
    title: str = ""
    params: list[Param] = []
    props: list[Prop] = []
    links: list[Link] = []
    parts: list[Part] = []
    controls: list[Any] = []


class Group(_Oscal, frozen=True):
    """A family or function, which holds controls and sometimes an overview."""

    id: str = ""
    class_: str = msgspec.field(name="class", default="")
    title: str = ""
    params: list[Param] = []
    props: list[Prop] = []
    links: list[Link] = []
    parts: list[Part] = []
    groups: list[Group] = []
    controls: list[Any] = []


class Metadata(_Oscal, frozen=True):
    title: str = ""
    version: str = ""
    last_modified: str = ""
    props: list[Prop] = []
    links: list[Link] = []


class _Citation(_Oscal, frozen=True):
    text: str = ""


class Resource(_Oscal, frozen=True):
    """What links of relation `reference` point at."""

    uuid: str = ""
    title: str = ""
    citation: _Citation = _Citation()
    rlinks: list[Link] = []


class _BackMatter(_Oscal, frozen=True):
    resources: list[Resource] = []


class Catalog(_Oscal, frozen=True):
    """Controls in groups. A resolved profile is one too, and names the profile that it came from."""

    metadata: Metadata = Metadata()
    params: list[Param] = []
    groups: list[Group] = []
    controls: list[Any] = []
    back_matter: _BackMatter = _BackMatter()

    @property
    def resolved(self) -> bool:
        """Whether the catalog was made from a profile, so that it holds only the controls of a baseline."""
        relations = {link.relation for link in self.metadata.links}
        tools = {prop.name for prop in self.metadata.props}
        return bool(relations & {"source-profile", "resolution-source"}) or "resolution-tool" in tools


class _Selection(_Oscal, frozen=True):
    with_child_controls: str = ""
    with_ids: list[str] = []


class _Import(_Oscal, frozen=True):
    href: str = ""
    include_all: Any = None
    include_controls: list[_Selection] = []
    exclude_controls: list[_Selection] = []


class Profile(_Oscal, frozen=True):
    """A baseline: which controls of a catalog a level asks for."""

    metadata: Metadata = Metadata()
    imports: list[_Import] = []

    def holds(self, control: str, parents: tuple[str, ...]) -> bool:
        """Whether the baseline contains the control with that id and these ids of parents."""
        return any(
            (imported.include_all is not None or _is_selected(imported.include_controls, control, parents))
            and not _is_selected(imported.exclude_controls, control, parents)
            for imported in self.imports
        )


def _is_selected(selections: list[_Selection], control: str, parents: tuple[str, ...]) -> bool:
    return any(
        control in selection.with_ids
        or (selection.with_child_controls == "yes" and any(p in selection.with_ids for p in parents))
        for selection in selections
    )


class _Document(_Oscal, frozen=True):
    catalog: Catalog | None = None
    profile: Profile | None = None


def decode_document(file: FetchedFile) -> Catalog | Profile:
    """Return the catalog or profile in a file of any of the formats. Raises SourceError."""
    data = read_bytes(file)
    if len(data) > MAX_BYTES:
        raise SourceError(f"OSCAL of more than {MAX_BYTES:,} bytes")
    first = get_first_character(data)
    if first == b"<":
        from securetag.extractors.readers.oscal.xml import decode_xml

        document = convert_builtins(decode_xml(data), _Document)
    elif first == b"{":
        refuse_many_values(data, MAX_VALUES)
        document = decode_json(read_text(file).encode(), _Document)
    else:
        document = decode_yaml(read_text(file), _Document)
    content = document.catalog or document.profile
    if content is None:
        raise SourceError("an OSCAL document was expected that holds a catalog or a profile")
    return content


def get_first_character(data: bytes) -> bytes:
    """Return the character that decides the format: `<` begins XML, `{` JSON, anything else YAML."""
    return data.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:1]


def convert_builtins(value: object, kind: type[T]) -> T:
    """Return builtins as a value of the type `kind`. Raises SourceError that says where they don't fit."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise SourceError(f"not the OSCAL that was expected: {error}") from error


def make_version_key(metadata: Metadata) -> tuple[tuple[int, ...], str]:
    """Return a key that sorts editions.

    `5.1.1+u4` sorts by its numbers; a version that is a date sorts below any number, then by its day.
    """
    numbers = tuple(int(number) for number in re.findall(r"\d{1,9}", metadata.version))
    if re.fullmatch(r"\d{4}-\d\d(-\d\d)?.*", metadata.version):
        numbers = (0, *numbers)
    return numbers, metadata.last_modified


def iter_parts(parts: list[Part]) -> Iterator[Part]:
    """Yield the parts and the parts inside them."""
    for part in parts:
        yield part
        yield from iter_parts(part.parts)
