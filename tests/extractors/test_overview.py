from __future__ import annotations

from securetag.extractors.extract import Report
from securetag.extractors.fetch import Failure
from securetag.extractors.overview import table


def test_a_row_says_what_came_of_a_source() -> None:
    report = Report(
        source="s", edition="1", licences=["MIT"], files=1200, records=3,
        by_status={"active": 2, "revoked": 1}, dropped={"no text": 4},
        failures=[Failure("f", "", "cut short")], cpu_s=1.26,
    )  # fmt: skip
    last = table([report]).splitlines()[-1]
    assert last == "| `s` (1) | 1,200 | 2 active, 1 revoked | 4 no text | 1 | MIT | 1.3 |"
