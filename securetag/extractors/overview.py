"""`docs/sources.md`'s table: what each source gives. `python -m securetag.extractors.overview` prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from securetag.errors import SecuretagError
from securetag.extractors.catalog import load, usable
from securetag.extractors.extract import Report, extract
from securetag.settings import Settings, get_settings

HEADER = (
    "| source | files | Records by status | dropped, by reason | failures | licence | CPU s |\n"
    "| --- | ---: | --- | --- | ---: | --- | ---: |"
)


def row(report: Report) -> str:
    """One line of the table."""
    status = ", ".join(f"{count:,} {name}" for name, count in report.by_status.items())
    dropped = "; ".join(f"{count:,} {reason}" for reason, count in report.dropped.items()) or "none"
    return (
        f"| `{report.source}` ({report.edition}) | {report.files:,} | {status} | {dropped} "
        f"| {len(report.failures)} | {', '.join(report.licences)} | {report.cpu_s:.1f} |"
    )


def table(reports: Iterable[Report]) -> str:
    """The whole table, sources by name."""
    return "\n".join([HEADER, *(row(report) for report in sorted(reports, key=lambda report: report.source))])


def main(settings: Settings) -> int:
    """Extract every usable source and print the table; 1 when one couldn't be."""
    reports, failed = [], 0
    for source in load().values():
        if usable(source, settings):
            try:
                reports.append(extract(source.name, settings).report)
            except SecuretagError as error:
                failed = 1
                print(f"{source.name}: {error}", file=sys.stderr)
    print(table(reports))
    return failed


if __name__ == "__main__":
    sys.exit(main(get_settings()))
