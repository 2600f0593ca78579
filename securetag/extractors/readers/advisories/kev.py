"""Read CISA's Known Exploited Vulnerabilities catalog, as JSON or CSV.

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
from securetag.extractors.readers.advisories.advisory import (
    Advisory,
    Note,
    Versions,
    get_day,
    list_cwe_ids,
    make_records,
)
from securetag.extractors.readers.base import Drop, Item, Reader, decode_json, describe_error, read_text
from securetag.extractors.text import prose

_URL = re.compile(r"https?://[^\s;,]+")


class Entry(msgspec.Struct, rename="camel", frozen=True):
    """One vulnerability that is exploited."""

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
    """Reads the catalog in either form; the JSON schema next to it is dropped."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        text = read_text(file)
        if not text.lstrip().startswith("{"):
            rows = _read_csv_rows(text)
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
                yield Failure(str(file.path), locator, describe_error(error))
                continue
            url = f"https://www.cisa.gov/known-exploited-vulnerabilities-catalog?field_cve={entry.cve}"
            yield from make_records(self, file, partial(make_advisory, entry), locator=locator, url=url)


def _read_csv_rows(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield (line, row as JSON) of the CSV form. Raises SourceError for another table."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if "cveID" not in (reader.fieldnames or []):
            raise SourceError("neither the JSON nor the CSV form of the catalog: no column cveID")
        for row in reader:
            fields = {name: value for name, value in row.items() if name and value}
            yield f"line {reader.line_num}", msgspec.json.encode(fields)
    except csv.Error as error:
        raise SourceError(f"line {reader.line_num}: not a CSV row: {error}") from error


def make_advisory(entry: Entry) -> Advisory:
    """Return an entry of the catalog as an advisory."""
    notes: list[tuple[Note, str]] = [("exploited", "")]
    if entry.known_ransomware_campaign_use.lower() == "known":
        notes.append(("ransomware", ""))
    if due := get_day(entry.due_date):
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
        cwe=list_cwe_ids(weaknesses),
        references=[url.rstrip(".)") for url in _URL.findall(entry.notes)],
        published=get_day(entry.date_added),
        exploited=True,
    )
