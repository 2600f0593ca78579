"""CISA's Known Exploited Vulnerabilities catalog, as JSON or CSV.

Format: https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities_schema.json.
The CSV has the JSON's field names as its header, and CWE ids apart by commas.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from functools import partial

import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.advisories.advisory import Advisory, Note, Versions, cwes, day, records
from securetag.extractors.readers.base import Drop, Item, Reader, decode_json, read_text, reason_of
from securetag.extractors.text import prose

_URL = re.compile(r"https?://[^\s;,]+")


class Entry(msgspec.Struct, rename="camel", frozen=True):
    """One vulnerability that is known to be exploited."""

    cve: str = msgspec.field(name="cveID")
    vendor_project: str = ""
    product: str = ""
    vulnerability_name: str = ""
    date_added: str = ""
    short_description: str = ""
    required_action: str = ""
    due_date: str = ""
    known_ransomware_campaign_use: str = ""
    notes: str = ""
    cwes: list[str] | str = []


class _Catalog(msgspec.Struct, frozen=True):
    vulnerabilities: list[msgspec.Raw] | None = None
    schema: str = msgspec.field(name="$schema", default="")


class KevReader(Reader):
    """Reads the catalog in either form; its JSON schema, which lies beside it, is dropped."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        text = read_text(file)
        if not text.lstrip().startswith("{"):
            rows = _rows(text)
        else:
            catalog = decode_json(text.encode(), _Catalog)
            if catalog.vulnerabilities is None:
                if not catalog.schema:
                    raise SourceError("a JSON document without `vulnerabilities`")
                yield Drop("a JSON schema, which describes the catalog and is none")
                return
            rows = ((f"/vulnerabilities/{n}", bytes(raw)) for n, raw in enumerate(catalog.vulnerabilities))
        for locator, row in rows:
            try:
                entry = decode_json(row, Entry)
            except SourceError as error:
                yield Failure(str(file.path), locator, reason_of(error))
                continue
            url = f"https://www.cisa.gov/known-exploited-vulnerabilities-catalog?field_cve={entry.cve}"
            yield from records(self, file, partial(advisory, entry), locator=locator, url=url)


def _rows(text: str) -> Iterator[tuple[str, bytes]]:
    """(line, row as JSON) of the CSV form. Raises SourceError for another table."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if "cveID" not in (reader.fieldnames or []):
            raise SourceError("neither the JSON nor the CSV form of the catalog: no column cveID")
        for row in reader:
            given = {name: value for name, value in row.items() if name and value}
            yield f"line {reader.line_num}", msgspec.json.encode(given)
    except csv.Error as error:
        raise SourceError(f"line {reader.line_num}: not a CSV row: {error}") from error


def advisory(entry: Entry) -> Advisory:
    """What CISA says of an exploited vulnerability."""
    notes: list[tuple[Note, str]] = [("exploited", "")]
    if entry.known_ransomware_campaign_use.lower() == "known":
        notes.append(("ransomware", ""))
    if due := day(entry.due_date):
        notes.append(("due", due))
    weaknesses = [entry.cwes] if isinstance(entry.cwes, str) else entry.cwes
    name = "/".join(part for part in (entry.vendor_project.strip(), entry.product.strip()) if part)
    return Advisory(
        key=entry.cve,
        kind="vulnerability",
        name=entry.vulnerability_name,
        texts={"en": prose.clean(entry.short_description)},
        affected=[Versions(name)] if name else [],
        sections=[("action", "en", prose.clean(entry.required_action))],
        notes=notes,
        cwe=cwes(weaknesses),
        references=[url.rstrip(".)") for url in _URL.findall(entry.notes)],
        published=day(entry.date_added),
        exploited=True,
    )
