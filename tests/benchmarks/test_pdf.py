"""The scores of `benchmarks pdf`: what a right page, and each wrong one, is given."""

from __future__ import annotations

import csv

import pytest

from benchmarks.pdf import LABELS, fingerprint, score

PAGE = """## 2.1 Closing of doors

Doors are closed in the evening. Windows are closed too.

| door | closed at eight |
| --- | --- |

```
close(door)
```

1 A note about keys.
"""
CHECKS = [
    ("heading", "Closing of doors"),
    ("order", fingerprint("Doors are closed")),
    ("order", fingerprint("Windows are closed")),
    ("cell", fingerprint("closed at eight")),
    ("code", fingerprint("close door")),
    ("note", fingerprint("a note about keys")),
    ("running", fingerprint("PUBLICATION 99")),
]


def test_a_right_page_gets_everything() -> None:
    scores = score(CHECKS, PAGE, PAGE)
    assert len(scores) == 7
    assert all(right == total == 1 for right, total in scores.values())


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        pytest.param("## 2.1 Closing", "2.1 Closing", "headings: recall", id="a heading as text"),
        pytest.param("Windows are", "\n\n## Windows are", "headings: precision", id="text as a heading"),
        pytest.param("Doors are closed", "Keys", "reading order", id="a lost paragraph"),
        pytest.param("| closed at eight |", "\n\nclosed at eight", "table cells", id="a cell as text"),
        pytest.param("```", "", "code in blocks", id="code as text"),
        pytest.param(
            "1 A note", "This is the end, and a note", "footnotes apart", id="a note in a paragraph"
        ),
        pytest.param(
            "1 A note", "Publication 99\n\n1 A note", "heads and feet left out", id="a running head"
        ),
    ],
)
def test_a_wrong_page_loses_the_check(before: str, after: str, kind: str) -> None:
    page = PAGE.replace(before, after)
    assert page != PAGE
    right, total = score(CHECKS, page, page)[kind]
    assert right < total


def test_labels_hold_at_least_twenty_pages_and_no_text_but_short_headings() -> None:
    with LABELS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({(row["sha256"], row["page"]) for row in rows}) >= 20
    for row in rows:
        if row["kind"] in {"heading", "maybe"}:
            assert len(row["value"].split()) <= 14
        else:
            assert len(row["value"].partition(":")[2]) == 12
