"""The catalog of sources: what is published where, in which edition, under which license.

`catalog.yaml` in this folder holds our rows. Nothing here reads a publication or opens a connection::

    from securetag.extractors import catalog

    sources = catalog.load(settings.catalog)
    catalog.check_availability(sources["mitre-cwe"], settings).methods  # ["mirror", "network"]
"""

from securetag.extractors.catalog.availability import (
    Availability,
    check_availability,
    find_package_file,
    is_usable,
)
from securetag.extractors.catalog.editions import (
    find_newer_edition,
    list_default_sources,
    list_usable_parts,
)
from securetag.extractors.catalog.licences import to_spdx
from securetag.extractors.catalog.loading import get_source, load
from securetag.extractors.catalog.mirror_creation import CreatedMirror, create_mirror
from securetag.extractors.catalog.mirror_manifest import MirrorEntry, MirrorManifest
from securetag.extractors.catalog.source import (
    Ecosystem,
    FetchMethod,
    FolderMethod,
    NetworkMethod,
    PackageMethod,
    PublishedFix,
    Source,
    WebMethod,
)

__all__ = [
    "Availability",
    "CreatedMirror",
    "Ecosystem",
    "FetchMethod",
    "FolderMethod",
    "MirrorEntry",
    "MirrorManifest",
    "NetworkMethod",
    "PackageMethod",
    "PublishedFix",
    "Source",
    "WebMethod",
    "check_availability",
    "create_mirror",
    "find_newer_edition",
    "find_package_file",
    "get_source",
    "is_usable",
    "list_default_sources",
    "list_usable_parts",
    "load",
    "to_spdx",
]
