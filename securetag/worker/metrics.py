"""What a worker counts for Prometheus: tasks, runs of tools and of the triage, verdicts, the model's answers.

Labels are kinds, outcomes, tools and decisions: no tenant, no id.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram

from securetag.wire.queue import ResultRequest, TaskKind, ToolExecution

#: Seconds; the smallest project takes half of one, the longest task is stopped after 1,800.
_LONG = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
#: Seconds of one answer of a model, on a GPU and on two cores.
_SHORT = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0)


class WorkerMetrics:
    """The counts of one process; its threads share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._tasks = Counter(
            "securetag_worker_tasks_total",
            "Attempts by kind of task and outcome.",
            ["kind", "outcome"],
            registry=self.registry,
        )
        self._task_seconds = Histogram(
            "securetag_worker_task_seconds",
            "Wall time of attempts.",
            ["kind"],
            buckets=_LONG,
            registry=self.registry,
        )
        self._tool_seconds = Histogram(
            "securetag_worker_tool_seconds",
            "Wall time of a scan by one tool, and of the triage of a scan's findings.",
            ["tool"],
            buckets=_LONG,
            registry=self.registry,
        )
        self._verdicts = Counter(
            "securetag_worker_verdicts_total", "Verdicts by decision.", ["decision"], registry=self.registry
        )
        self._model_seconds = Histogram(
            "securetag_worker_model_seconds",
            "Time of one answer of the model.",
            buckets=_SHORT,
            registry=self.registry,
        )

    def count_attempt(self, kind: TaskKind, seconds: float, result: ResultRequest | None) -> None:
        """Count an attempt; None is one whose lease was lost."""
        self._tasks.labels(kind, result.outcome if result is not None else "lost").inc()
        self._task_seconds.labels(kind).observe(seconds)
        if result is None:
            return
        self.count_runs(result.tool_executions)
        verdicts = [item.verdict for item in result.findings if item.verdict is not None]
        for verdict in (*verdicts, *(item.verdict for item in result.verdicts)):
            self._verdicts.labels(verdict.decision.value).inc()
            if verdict.duration_ms:
                self._model_seconds.observe(verdict.duration_ms / 1000)

    def count_runs(self, executions: Iterable[ToolExecution]) -> None:
        """Count runs of tools that are sent before the result, or with it."""
        for execution in executions:
            self._tool_seconds.labels(execution.tool).observe(execution.duration_s)
