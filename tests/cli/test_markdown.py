"""The comment of a CI job: what it lists, and that nothing in the scanned code can shape it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rows import make_finding

from securetag.cli.scan.local import answer_of, describe_scan
from securetag.cli.scan.markdown import MARKER, to_markdown
from securetag.wire.api import FindingAnswer, ScanDetail


def scan(project: str = "shop") -> ScanDetail:
    return describe_scan(project, datetime.now(UTC), [], [], None)


def finding(name: str, *, state: Any = None, **changes: Any) -> FindingAnswer:
    return answer_of(scan(), make_finding(name, **changes), None).model_copy(update={"state": state})


def test_nothing_of_the_code_is_markup() -> None:
    hostile = finding("a", path="a`|b](http://x)\n@all<img>.py", title="![x](y) @team")
    text = to_markdown(scan("`x`\n# y"), [hostile])
    (row,) = [line for line in text.splitlines() if line.startswith("| high")]
    assert row.count("|") == 6
    assert "`a'¦b](http://x) @all<img>.py:12`" in row
    assert "`![x](y) @team`" in row
    assert text.startswith(MARKER)
    assert "# y" not in [line.strip() for line in text.splitlines()]


def test_only_what_is_new_where_states_are_known() -> None:
    findings = [finding("new", state="new", path="new.py"), finding("old", state="open", path="old.py")]
    text = to_markdown(scan(), findings)
    assert "1 new finding in `shop`" in text
    assert "new.py" in text
    assert "old.py" not in text
    assert "1 older findings are still there." in text
    without = to_markdown(scan(), [finding("a"), finding("b", path="b.py")])
    assert "2 findings in `shop`" in without


def test_a_comment_stays_within_what_a_comment_may_hold() -> None:
    many = [finding(f"{n}", path=f"{'x' * 300}/{n}.py", title="t" * 500) for n in range(300)]
    text = to_markdown(scan(), many)
    assert len(text) < 60_000
    assert "and 250 more" in text


def test_a_clean_scan_says_so() -> None:
    assert "no findings in `shop`" in to_markdown(scan(), [])
