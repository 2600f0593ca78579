"""One reader a format. `reader_for` finds the one that a catalog row names, importing no other."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from securetag.errors import SettingsError

if TYPE_CHECKING:  # the PDF reader's own process starts faster without them
    from securetag.extractors.catalog import Source
    from securetag.extractors.readers.base import Reader

#: Name in the catalog → (module, class).
READERS = {
    "cwe-xml": ("mitre.cwe_xml", "CweXmlReader"),
    "cwe-json": ("mitre.cwe_json", "CweJsonReader"),
    "cwe-csv": ("mitre.cwe_csv", "CweCsvReader"),
    "capec-stix": ("mitre.capec_stix", "CapecStixReader"),
    "capec-xml": ("mitre.capec_xml", "CapecXmlReader"),
    "d3fend": ("mitre.d3fend", "D3fendReader"),
    "atlas": ("mitre.atlas", "AtlasReader"),
    "attack-mappings": ("mitre.mappings", "MappingsReader"),
    "attack": ("mitre.attack", "AttackReader"),
    "oscal": ("oscal.reader", "OscalReader"),
    "cprt": ("cprt", "CprtReader"),
    "markdown": ("markdown", "MarkdownReader"),
    "jekyll": ("jekyll", "JekyllReader"),
    "owasp": ("owasp.pages", "OwaspReader"),
    "mastg": ("owasp.mastg", "MastgReader"),
    "asvs": ("owasp.asvs", "AsvsReader"),
    "pdf": ("pdf.reader", "PdfReader"),
    "html": ("html.reader", "HtmlReader"),
    "hf": ("hf", "HfReader"),
    "folder": ("folder", "FolderReader"),
    "nvd": ("advisories.nvd", "NvdReader"),
    "cve": ("advisories.cve_record", "CveRecordReader"),
    "osv": ("advisories.osv", "OsvReader"),
    "rustsec": ("advisories.rustsec", "RustSecReader"),
    "kev": ("advisories.kev", "KevReader"),
    "csaf": ("advisories.csaf", "CsafReader"),
    "merged": ("advisories.merge", "MergeReader"),
}


def reader_for(source: Source) -> Reader:
    """Raises SettingsError for a name that is no reader's, or whose library isn't installed."""
    if source.reader not in READERS:
        raise SettingsError(
            f"{source.name}: there is no reader {source.reader}",
            hint=f"Readers are: {', '.join(sorted(READERS))}.",
        )
    module, name = READERS[source.reader]
    try:
        found: type[Reader] = getattr(import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{source.name}: the reader {source.reader} needs {error.name}",
            hint="pip install 'securetag[extractors,pdf]'",
        ) from error
    return found(source)
