"""Which files a scan has read, so that a finding in them is fixed when it isn't reported."""

from __future__ import annotations

from securetag.db.branch_states import Reach
from securetag.system.clock import utc_now
from securetag.wire.queue import (
    Coverage,
    Metrics,
    SkippedFile,
    SkipReason,
    ToolExecution,
    ToolMetrics,
    UnpackMetrics,
)


def execution(tool: str, metrics: Metrics) -> ToolExecution:
    return ToolExecution(
        tool=tool, version="1", arguments=[], exit_code=0, duration_s=1, started_at=utc_now(), metrics=metrics
    )


def test_a_finding_in_a_file_that_was_excluded_or_left_out_is_not_fixed() -> None:
    before = Coverage(
        skipped=[SkippedFile(path="link.py", reason=SkipReason.LINK, bytes=1)],
        # The client left out all that it matches, so that no file is counted here.
        excluded={"docs/": 0},
        skipped_by_reason={SkipReason.EXCLUDED: 1_000, SkipReason.FOLDER: 3},
    )
    reach = Reach.of(
        [
            execution("unpack", UnpackMetrics(coverage=before)),
            execution("semgrep", ToolMetrics(coverage=Coverage(files={"python": 1}))),
        ],
        "codeaudit",
    )
    assert reach.covers(["semgrep"], "app.py")
    assert not reach.covers(["semgrep"], "docs/conf.py")
    assert not reach.covers(["semgrep"], "link.py")


def test_a_finding_in_what_the_client_did_not_send_is_not_fixed() -> None:
    before = Coverage(
        skipped=[
            SkippedFile(path="large.py", reason=SkipReason.TOO_LARGE, bytes=1),
            SkippedFile(path="vendor", reason=SkipReason.FOLDER, bytes=0),
        ],
        skipped_by_reason={SkipReason.TOO_LARGE: 1, SkipReason.FOLDER: 900, SkipReason.DATA: 7},
    )
    semgrep = execution("semgrep", ToolMetrics(coverage=Coverage(files={"python": 1})))
    reach = Reach.of([execution("unpack", UnpackMetrics(coverage=before)), semgrep], "codeaudit")
    assert reach.covers(["semgrep"], "app.py")
    assert reach.covers(["semgrep"], "vendored.py")
    assert not reach.covers(["semgrep"], "large.py")
    assert not reach.covers(["semgrep"], "vendor/lib/a.py")
    # Nobody knows which file it is: then it may be any.
    cut = before.model_copy(update={"skipped_by_reason": {SkipReason.TOO_LARGE: 2}})
    reach = Reach.of([execution("unpack", UnpackMetrics(coverage=cut)), semgrep], "codeaudit")
    assert not reach.covers(["semgrep"], "app.py")
