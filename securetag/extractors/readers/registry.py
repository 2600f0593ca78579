"""The built-in readers and those of other packages, by the name that a catalog row gives.

A package adds a reader with an entry point of the group `securetag.readers`; see
docs/howto/add-a-reader.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeGuard

from securetag.errors import InputError, SettingsError
from securetag.extractors.catalog import Source
from securetag.extractors.readers.base import Reader
from securetag.system.registry import Registry

_PACKAGE = "securetag.extractors.readers"


def _is_reader(value: object) -> TypeGuard[type[Reader]]:
    return isinstance(value, type) and issubclass(value, Reader)


READERS: Registry[type[Reader]] = Registry(
    "reader",
    {
        "advisory-fixes": f"{_PACKAGE}.packages.advisory_fixes:AdvisoryFixesReader",
        "asvs": f"{_PACKAGE}.owasp.asvs:AsvsReader",
        "atlas": f"{_PACKAGE}.mitre.atlas:AtlasReader",
        "attack": f"{_PACKAGE}.mitre.attack:AttackReader",
        "attack-mappings": f"{_PACKAGE}.mitre.mappings:MappingsReader",
        "capec-stix": f"{_PACKAGE}.mitre.capec_stix:CapecStixReader",
        "capec-xml": f"{_PACKAGE}.mitre.capec_xml:CapecXmlReader",
        "cprt": f"{_PACKAGE}.cprt:CprtReader",
        "csaf": f"{_PACKAGE}.advisories.csaf:CsafReader",
        "cve": f"{_PACKAGE}.advisories.cve_record:CveRecordReader",
        "cwe-csv": f"{_PACKAGE}.mitre.cwe_csv:CweCsvReader",
        "cwe-json": f"{_PACKAGE}.mitre.cwe_json:CweJsonReader",
        "cwe-xml": f"{_PACKAGE}.mitre.cwe_xml:CweXmlReader",
        "d3fend": f"{_PACKAGE}.mitre.d3fend:D3fendReader",
        "folder": f"{_PACKAGE}.folder:FolderReader",
        "hf": f"{_PACKAGE}.hf:HfReader",
        "html": f"{_PACKAGE}.html:HtmlReader",
        "jekyll": f"{_PACKAGE}.jekyll:JekyllReader",
        "kev": f"{_PACKAGE}.advisories.kev:KevReader",
        "markdown": f"{_PACKAGE}.markdown:MarkdownReader",
        "mastg": f"{_PACKAGE}.owasp.mastg:MastgReader",
        "merged": f"{_PACKAGE}.advisories.merge:MergeReader",
        "nvd": f"{_PACKAGE}.advisories.nvd:NvdReader",
        "oscal": f"{_PACKAGE}.oscal.reader:OscalReader",
        "osv": f"{_PACKAGE}.advisories.osv:OsvReader",
        "owasp": f"{_PACKAGE}.owasp.pages:OwaspReader",
        "pdf": f"{_PACKAGE}.pdf.reader:PdfReader",
        "rustsec": f"{_PACKAGE}.advisories.rustsec:RustSecReader",
    },
    group="securetag.readers",
    accepts=_is_reader,
    hint="pip install 'securetag[extractors,pdf]'",
)


def create_reader(source: Source) -> Reader:
    """Return a reader of the kind that the catalog row names.

    Raises SettingsError for an unknown name, a missing library, or a broken package that declares it.
    """
    with _naming_source(source):
        reader_class = READERS.get(source.reader)
    return reader_class(source)


def get_reader_origin(source: Source) -> str:
    """Return `securetag`, or the package and version whose reader the catalog row names.

    Raises SettingsError for an unknown name.
    """
    with _naming_source(source):
        return READERS.get_origin(source.reader)


@contextmanager
def _naming_source(source: Source) -> Iterator[None]:
    """Add the name of the source to the message of an error of the registry."""
    try:
        yield
    except (InputError, SettingsError) as error:
        raise SettingsError(f"{source.name}: {error}", hint=error.hint) from error
