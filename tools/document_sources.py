"""Write the table of docs/sources.md: what every source in reach gives, read afresh.

    python tools/document_sources.py           extract all that is in reach, then write the table
    python tools/document_sources.py --print   the table alone, to standard output

Which sources are in reach is the settings' business: SECURETAG_MIRROR, the data packages.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from securetag.errors import SecuretagError
from securetag.extractors.catalog import is_usable, load
from securetag.extractors.extract import refresh
from securetag.extractors.record_files import Report
from securetag.settings import Settings, get_settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "sources.md"
BEGIN = "<!-- Written by tools/document_sources.py from here -->"
END = "<!-- to here -->"
HEADER = (
    "| source | files | Records by status | dropped, by reason | failures | license | CPU s |\n"
    "| --- | ---: | --- | --- | ---: | --- | ---: |"
)
#: Reasons named in a cell; the rest are one sum, the report on disk has them all.
REASONS = 4


def row(report: Report) -> str:
    """One line of the table."""
    return (
        f"| `{report.source}` ({report.edition}) | {report.files:,} | {_status(report.by_status)} "
        f"| {_reasons(report.dropped)} | {len(report.failures)} | {', '.join(report.licences)} "
        f"| {report.cpu_s:.1f} |"
    )


def _status(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _reasons(dropped: dict[str, int]) -> str:
    most = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{count:,} {reason.replace('|', '/')}" for reason, count in most[:REASONS]]
    if rest := sum(count for _, count in most[REASONS:]):
        parts.append(f"{rest:,} for {len(most) - REASONS} other reasons")
    return "; ".join(parts) or "none"


def table(reports: Sequence[Report]) -> str:
    """The whole table, sources by name, and their sum."""
    status = sum((Counter(report.by_status) for report in reports), Counter[str]())
    total = (
        f"| **all {len(reports)}** | {sum(report.files for report in reports):,} "
        f"| {_status(dict(sorted(status.items())))} "
        f"| {sum(sum(report.dropped.values()) for report in reports):,} "
        f"| {sum(len(report.failures) for report in reports)} | "
        f"| {sum(report.cpu_s for report in reports):.1f} |"
    )
    rows = [row(report) for report in sorted(reports, key=lambda report: report.source)]
    return "\n".join([HEADER, *rows, total])


def section(page: str, content: str) -> str:
    """`page` with what stands between the two markers replaced. Raises ValueError without them."""
    before, after = page.index(BEGIN) + len(BEGIN), page.index(END)
    return f"{page[:before]}\n\n{content}\n\n{page[after:]}"


def read_all(settings: Settings) -> tuple[list[Report], list[str], bool]:
    """(reports, sources out of reach and why, True = none was broken)."""
    reports, missing, whole = [], list[str](), True
    for source in load(settings.catalog).values():
        if not is_usable(source, settings):
            missing.append(source.name)
            continue
        try:
            report, _ = refresh(source.name, settings, settings.records_dir, force=True)
        except SecuretagError as error:
            whole = False
            print(f"{source.name}: {error}", file=sys.stderr)
        else:
            reports.append(report)
            print(f"{source.name}: {report.records:,} Records", file=sys.stderr)
    return reports, missing, whole


def main(arguments: list[str]) -> int:
    """Exit code 1 when a source in reach couldn't be read."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SECURETAG_DATA"] = folder  # nothing cached is taken for granted
        reports, missing, whole = read_all(get_settings())
    content = table(reports)
    if missing:
        content += (
            "\n\nIn the catalog, but reached over the network only: "
            + ", ".join(f"`{name}`" for name in sorted(missing))
            + "."
        )
    if "--print" in arguments:
        print(content)
    else:
        PAGE.write_text(section(PAGE.read_text(encoding="utf-8"), content), encoding="utf-8")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
