"""CWE as its XML catalog (`cwec_v….xml`), which the package `cwe2` carries too.

Schema: https://cwe.mitre.org/data/xsd/cwe_schema_latest.xsd; read by local names, so that a change
of the namespace's version needs no change here.
"""

from __future__ import annotations

from collections.abc import Iterator

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Item, describe_error
from securetag.extractors.readers.mitre.cwe import CweReader, Group, Mitigation, Weakness, render_example
from securetag.extractors.text.xhtml import to_code, to_markdown
from securetag.extractors.text.xml_doc import (
    Element,
    find_child,
    find_children,
    get_child_text,
    get_name,
    iter_entries,
    list_texts,
)

_ROOT = "Weakness_Catalog"
_KINDS = {"Weakness": "weakness", "Category": "category", "View": "view"}


class CweXmlReader(CweReader):
    """Reads a `Weakness_Catalog` entry by entry, whatever its size."""

    def groups(self, file: FetchedFile) -> Iterator[Group]:
        for entry in iter_entries(file.path, _ROOT, ("Category", "View")):
            members = find_children(entry, "Relationships", "Has_Member") + find_children(
                entry, "Members", "Has_Member"
            )
            yield Group(
                name=entry.get("Name") or "",
                status=entry.get("Status") or "",
                members=[member.get("CWE_ID") or "" for member in members],
            )

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        for entry in iter_entries(file.path, _ROOT, _KINDS):
            name = get_name(entry)
            locator = f"/{_ROOT}/{get_name(entry.getparent())}/{name}[@ID='{entry.get('ID')}']"
            try:
                yield self.item(_make_weakness(entry, _KINDS[name]), file, locator)
            except (SourceError, KeyError) as error:
                yield Failure(str(file.path), locator, describe_error(error))


def _make_weakness(entry: Element, kind: str) -> Weakness:
    platforms = [
        platform.get("Name") or platform.get("Class") or ""
        for platforms_element in find_children(entry, "Applicable_Platforms")
        for platform in platforms_element
    ]
    description = find_child(entry, "Description")
    if description is None:
        description = find_child(entry, "Summary" if kind == "category" else "Objective")
    return Weakness(
        kind=kind,
        id=entry.attrib["ID"],
        name=entry.attrib["Name"],
        status=entry.get("Status") or "",
        description=to_markdown(description),
        extended=to_markdown(find_child(entry, "Extended_Description")),
        background=[
            to_markdown(child) for child in find_children(entry, "Background_Details", "Background_Detail")
        ],
        relations=[
            (child.get("Nature") or "", child.get("CWE_ID") or "", child.get("View_ID") or "")
            for child in find_children(entry, "Related_Weaknesses", "Related_Weakness")
        ],
        attack_patterns=[
            child.get("CAPEC_ID") or ""
            for child in find_children(entry, "Related_Attack_Patterns", "Related_Attack_Pattern")
        ],
        platforms=[name for name in platforms if not name.startswith("Not ")],
        terms=list_texts(entry, "Alternate_Terms", "Alternate_Term", "Term"),
        mitigations=[
            Mitigation(
                list_texts(child, "Phase"),
                get_child_text(child, "Strategy"),
                to_markdown(find_child(child, "Description")),
            )
            for child in find_children(entry, "Potential_Mitigations", "Mitigation")
        ],
        consequences=[
            (list_texts(child, "Scope"), list_texts(child, "Impact"), to_markdown(find_child(child, "Note")))
            for child in find_children(entry, "Common_Consequences", "Consequence")
        ],
        detections=[
            (get_child_text(child, "Method"), to_markdown(find_child(child, "Description")))
            for child in find_children(entry, "Detection_Methods", "Detection_Method")
        ],
        examples=[
            render_example([_make_example_entry(part) for part in child if get_name(part) in _EXAMPLE_PARTS])
            for child in find_children(entry, "Demonstrative_Examples", "Demonstrative_Example")
        ],
        observed=[
            (get_child_text(child, "Reference"), to_markdown(find_child(child, "Description")))
            for child in find_children(entry, "Observed_Examples", "Observed_Example")
        ],
        taxonomies=[
            (
                child.get("Taxonomy_Name") or "",
                get_child_text(child, "Entry_ID"),
                get_child_text(child, "Entry_Name"),
            )
            for child in find_children(entry, "Taxonomy_Mappings", "Taxonomy_Mapping")
        ],
        mapping_usage=next(iter(list_texts(entry, "Mapping_Notes", "Usage")), ""),
        likelihood=get_child_text(entry, "Likelihood_Of_Exploit"),
        published=next(iter(list_texts(entry, "Content_History", "Submission", "Submission_Date")), ""),
    )


_EXAMPLE_PARTS = {"Intro_Text", "Body_Text", "Example_Code"}


def _make_example_entry(part: Element) -> tuple[str, str, str]:
    if get_name(part) == "Example_Code":
        return part.get("Nature") or "Code", part.get("Language") or "", to_code(part)
    return "", "", to_markdown(part)
