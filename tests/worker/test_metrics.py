"""What a worker counts of an attempt."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from securetag.records import Decision, Verdict
from securetag.wire.queue import ModelMetrics, OccurrenceVerdict, ResultRequest, ToolExecution, ToolMetrics
from securetag.worker.metrics import WorkerMetrics


def _run(tool: str, seconds: float) -> ToolExecution:
    return ToolExecution(
        tool=tool,
        version="1",
        arguments=[],
        exit_code=0,
        duration_s=seconds,
        started_at=datetime.now(UTC),
        metrics=ModelMetrics() if tool == "triage" else ToolMetrics(tool=tool),
    )


def _verdict(decision: Decision, duration_ms: int) -> OccurrenceVerdict:
    verdict = Verdict(decision=decision, alias="base", model_id="f" * 64, duration_ms=duration_ms)
    return OccurrenceVerdict(occurrence_id=uuid4(), verdict=verdict)


def test_attempts_tools_verdicts_and_the_models_answers_are_counted() -> None:
    metrics = WorkerMetrics()
    metrics.count_runs([_run("semgrep", 3.0)])
    result = ResultRequest(
        task_id=uuid4(),
        outcome="completed",
        tool_executions=[_run("triage", 7.0)],
        findings_sent=True,
        verdicts=[
            _verdict(Decision.TRUE_POSITIVE, 1_500),
            _verdict(Decision.TRUE_POSITIVE, 500),
            # One that no model was asked about.
            _verdict(Decision.NEEDS_REVIEW, 0),
        ],
    )
    metrics.count_attempt("codeaudit", 12.0, result)
    metrics.count_attempt("codeaudit", 1.0, None)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"securetag_worker_{name}", labels)

    assert value("tasks_total", kind="codeaudit", outcome="completed") == 1
    assert value("tasks_total", kind="codeaudit", outcome="lost") == 1
    assert value("task_seconds_sum", kind="codeaudit") == 13
    assert value("tool_seconds_sum", tool="semgrep") == 3
    assert value("tool_seconds_sum", tool="triage") == 7
    assert value("verdicts_total", decision="true_positive") == 2
    assert value("verdicts_total", decision="needs_review") == 1
    assert (value("model_seconds_count"), value("model_seconds_sum")) == (2, 2.0)
