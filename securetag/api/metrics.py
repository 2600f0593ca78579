"""Prometheus metrics of one api process, in a registry of its own so that a process may hold two apps."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from securetag.db.queue import OpenTasks
from securetag.db.repositories.webhooks import WebhookCounts

#: Seconds; the keyed reads take single milliseconds, uploads seconds.
_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
MEDIA_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """What the process counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "securetag_http_requests_total",
            "Requests by method, route template and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "securetag_http_request_seconds",
            "Wall time of requests, the body's streaming included.",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        #: Tasks that lost their lease and were put back or given up by this process.
        self.reaped = Counter(
            "securetag_tasks_reaped_total", "Tasks whose lease ran out.", registry=self.registry
        )
        self.claims = Counter(
            "securetag_tasks_claimed_total", "Tasks handed to workers.", registry=self.registry
        )
        self.uploads = Counter(
            "securetag_upload_bytes_total", "Bytes of accepted uploads.", registry=self.registry
        )
        self._open = Gauge(
            "securetag_queue_tasks", "Tasks that wait or run.", ["kind", "state"], registry=self.registry
        )
        self._oldest = Gauge(
            "securetag_queue_oldest_seconds",
            "Seconds since the oldest task was due, or was claimed.",
            ["kind", "state"],
            registry=self.registry,
        )
        #: Attempts by `delivered`, `retried` and `given_up`.
        self.webhook_attempts = Counter(
            "securetag_webhook_attempts_total",
            "Attempts to send messages to webhooks, by result.",
            ["result"],
            registry=self.registry,
        )
        self._webhooks = Gauge(
            "securetag_webhooks",
            "Webhooks that the service has disabled, and active ones whose last attempt failed.",
            ["state"],
            registry=self.registry,
        )
        self._waiting = Gauge(
            "securetag_webhook_messages", "Messages to active webhooks that wait.", registry=self.registry
        )
        self._overdue = Gauge(
            "securetag_webhook_overdue_seconds",
            "Seconds since the oldest of them was due.",
            registry=self.registry,
        )
        self.database_up = Gauge(
            "securetag_database_up", "1 when the last query was answered.", registry=self.registry
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> str:
        """Count a request; returns the method as it is counted."""
        # A client may invent methods; each would be a time series of its own.
        verb = method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"
        self._requests.labels(verb, route, str(status)).inc()
        self._seconds.labels(verb, route).observe(seconds)
        return verb

    def show_queue(self, rows: Iterable[OpenTasks]) -> None:
        """Replace the queue's depth and age."""
        self._open.clear()
        self._oldest.clear()
        for row in rows:
            self._open.labels(row.kind, row.state).set(row.tasks)
            self._oldest.labels(row.kind, row.state).set(row.oldest_s)

    def show_webhooks(self, counts: WebhookCounts) -> None:
        """Replace what is known of webhooks."""
        self._webhooks.labels("disabled").set(counts.disabled)
        self._webhooks.labels("failing").set(counts.failing)
        self._waiting.set(counts.waiting)
        self._overdue.set(counts.oldest_s)

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
