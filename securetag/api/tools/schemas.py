"""The state of tools, queue and workers as JSON."""

from __future__ import annotations

from securetag.api.paging import Answer, Time


class ToolAnswer(Answer):
    """One version of one tool, over the tenant's scans of the last seven days."""

    tool: str
    version: str
    runs: int
    failed: int
    timed_out: int
    last_run_at: Time
    #: Seconds of wall time.
    mean_s: float


class ToolsStatus(Answer):
    """What a person wants to know when a scan doesn't move."""

    tools: list[ToolAnswer]
    #: State → number of the tenant's tasks.
    tasks: dict[str, int]
    #: Workers heard of lately, and when the last one was.
    workers: int
    worker_seen_at: Time | None
