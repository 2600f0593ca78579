"""What the publishers' servers would send for the rows of the catalog, made of the files of a mirror.

Archives and bundles are put together as upstream lays them out; what the mirror lacks is written here.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from upstream import Body, Reply, Request

from securetag.extractors.catalog import MirrorEntry, MirrorManifest, NetworkMethod, Source
from securetag.extractors.fetching.mirror import read_entry, unpack_entry

#: Ecosystems of OSV in whose archive an advisory belongs, by what its entries name.
_OSV_ARCHIVE = re.compile(r"https://osv-vulnerabilities\.storage\.googleapis\.com/([^/]+)/all\.zip")
_GITHUB_ARCHIVE = re.compile(r"https://codeload\.github\.com/([^/]+)/([^/]+)/zip/([0-9a-f]+)")
#: Files that the mirror holds object by object, and other editions of which have the same name.
_BUNDLES = ("enterprise-attack.json", "stix-capec.json")
_FEED = re.compile(r"https://nvd\.nist\.gov/feeds/json/cve/2\.0/nvdcve-2\.0-(\d{4})\.json\.gz")
_CAPEC_XML = """<?xml version="1.0" encoding="UTF-8"?>
<Attack_Pattern_Catalog xmlns="http://capec.mitre.org/capec-3" xmlns:xhtml="http://www.w3.org/1999/xhtml"
  Name="CAPEC" Version="3.9" Date="2023-01-24"><Attack_Patterns>
<Attack_Pattern ID="9001" Name="Trying Every Door" Abstraction="Standard" Status="Draft">
<Description>An attacker walks along a corridor and tries each door until one of them opens.</Description>
<Mitigations><Mitigation>Lock the doors, and count how often each is tried.</Mitigation></Mitigations>
</Attack_Pattern></Attack_Patterns></Attack_Pattern_Catalog>"""


class UpstreamFiles:
    """The bodies of a mirror by URL."""

    def __init__(self, mirror: Path) -> None:
        self.mirror = mirror
        self.entries = MirrorManifest.load(mirror).entries
        self.by_url: dict[str, MirrorEntry] = {}
        self.by_repository: dict[str, dict[str, MirrorEntry]] = defaultdict(dict)
        for entry in self.entries:
            for url in filter(None, (entry.url, entry.url_pinned)):
                self.by_url[url] = entry
                if match := re.match(r"https://raw\.githubusercontent\.com/([^/]+/[^/]+)/([^/]+)/(.+)", url):
                    self.by_repository[match[1]][match[3]] = entry

    def make_body(self, source: Source, method: NetworkMethod) -> Body:
        """Return what the server of the URL sends."""
        url = method.url
        if method.api == "nvd":
            return NvdPages(self.read_vulnerabilities())
        if match := _GITHUB_ARCHIVE.fullmatch(url):
            return self.make_archive(match[1], match[2], match[3])
        if match := _OSV_ARCHIVE.fullmatch(url):
            return self.make_osv_archive(match[1])
        if match := _FEED.fullmatch(url):
            return self.make_feed(match[1])
        if entry := self.find(url):
            data = read_entry(self.mirror, entry)
            # The mirror keeps some files packed that the publisher serves as they are.
            is_plain = entry.content_encoding == "gzip" and not url.endswith(".gz")
            return (unpack_entry(entry, data) or data) if is_plain else data
        if source.reader in ("attack", "capec-stix"):
            return self.make_bundle(source)
        if source.reader == "capec-xml":
            return _CAPEC_XML.encode()
        if source.tier == "replay":
            return _INSTRUCTIONS
        raise LookupError(f"{source.name}: nothing stands for {url}")

    def find(self, url: str) -> MirrorEntry | None:
        """Return the file at the URL, else the same path at another commit, else a file of the same name."""
        path = re.sub(r"https://raw\.githubusercontent\.com/([^/]+/[^/]+)/[^/]+/", r"\1/", url)
        name = path.rsplit("/", 1)[-1].replace("rev5_catalog.json", "rev5_catalog-min.json")
        repository = self.by_repository["/".join(path.split("/")[:2])]
        of_that_name = (entry for other, entry in self.by_url.items() if other.rsplit("/", 1)[-1] == name)
        if url in self.by_url or name in _BUNDLES:
            return self.by_url.get(url)
        here = repository.get("/".join(path.split("/")[2:]))
        return here or (next(of_that_name, None) if "." in name else None)

    def read_vulnerabilities(self) -> dict[str, Any]:
        """Return the items of NVD's pages by their CVE."""
        items: dict[str, Any] = {}
        for url, entry in self.by_url.items():
            if url.startswith("https://services.nvd.nist.gov/"):
                page = json.loads(read_entry(self.mirror, entry))
                items |= {item["cve"]["id"]: item for item in page["vulnerabilities"]}
        return items

    def make_archive(self, owner: str, repository: str, commit: str) -> bytes:
        """Return the archive of a repository at a commit, as GitHub makes it: below one folder."""
        paths = {**self.by_repository[f"{owner}/{repository}"]}
        if repository == "vulndb":
            paths |= {
                f"data/osv/{url.rsplit('/', 1)[-1]}": entry
                for url, entry in self.by_url.items()
                if url.startswith("https://vuln.go.dev/ID/")
            }
        return _zip(
            {f"{repository}-{commit}/{path}": read_entry(self.mirror, entry) for path, entry in paths.items()}
        )

    def make_osv_archive(self, ecosystem: str) -> bytes:
        """Return the archive of one ecosystem, which holds advisories of other databases too."""
        members = {"PYSEC-2099-1.json": b"{}"} if ecosystem == "PyPI" else {}
        for path, entry in self.by_repository["github/advisory-database"].items():
            data = read_entry(self.mirror, entry)
            names = {affected["package"]["ecosystem"] for affected in json.loads(data)["affected"]}
            if ecosystem in names:
                members[path.rsplit("/", 1)[-1]] = data
        # An ecosystem without an advisory here holds one of this file's own.
        return _zip(members if len(members) > bool("PYSEC-2099-1.json" in members) else {**members, **_OWN})

    def make_feed(self, year: str) -> bytes:
        """Return NVD's feed of one year."""
        items = [item for cve, item in self.read_vulnerabilities().items() if cve.startswith(f"CVE-{year}-")]
        page = {"resultsPerPage": len(items), "startIndex": 0, "totalResults": len(items)}
        return gzip.compress(json.dumps({**page, "format": "NVD_CVE", "vulnerabilities": items}).encode())

    def make_bundle(self, source: Source) -> bytes:
        """Return one STIX bundle of the bundles of one object that the mirror holds."""
        objects: list[msgspec.Raw] = []
        head: dict[str, msgspec.Raw] = {}
        for entry in MirrorManifest.load(self.mirror).select(source.mirror):
            bundle = msgspec.json.decode(read_entry(self.mirror, entry), type=dict[str, msgspec.Raw])
            objects += msgspec.json.decode(bundle.pop("objects"), type=list[msgspec.Raw])
            head = bundle
        return msgspec.json.encode({**head, "objects": objects})


class NvdPages:
    """NVD's API: pages of all items, or of none for what changed since."""

    def __init__(self, items: dict[str, Any]) -> None:
        self.items = list(items.values())

    def __call__(self, request: Request) -> Reply:
        """Answer one request for a page."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
        items = [] if "lastModStartDate" in query else self.items
        start, size = int(query["startIndex"]), int(query["resultsPerPage"])
        page = {
            "resultsPerPage": len(items[start : start + size]),
            "startIndex": start,
            "totalResults": len(items),
            "vulnerabilities": items[start : start + size],
        }
        return Reply(200, json.dumps(page).encode(), {"Content-Type": "application/json"})


_OWN = {
    "GHSA-aaaa-bbbb-cccc.json": json.dumps(
        {
            "schema_version": "1.6.0",
            "id": "GHSA-aaaa-bbbb-cccc",
            "modified": "2031-01-01T00:00:00Z",
            "summary": "A lock that opens for any key",
            "details": "The lock compares lengths only, so that any key of that length opens it.",
            "affected": [{"package": {"ecosystem": "npm", "name": "lock"}, "versions": ["1.0.0"]}],
        }
    ).encode()
}


_INSTRUCTIONS = b"".join(
    json.dumps(
        {
            "instruction": f"Why does a corridor with {doors} doors take longer to walk than one with none?",
            "context": "A guard tries each door on the way and writes down whether it was locked.",
            "response": f"Because the guard stops {doors} times to try a door and to write the result down.",
            "category": "closed_qa",
        }
    ).encode()
    + b"\n"
    for doors in (3, 5, 8)
)


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in sorted(members.items()):
            archive.writestr(zipfile.ZipInfo(name, (2031, 1, 1, 0, 0, 0)), data)
    return out.getvalue()
