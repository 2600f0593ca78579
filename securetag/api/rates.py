"""How many calls a tenant makes a minute: a token bucket for each, in this process."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from uuid import UUID

from securetag.errors import QuotaError

#: Tenants of which the bucket is kept; those that called last.
MAX_TENANTS = 10_000


@dataclass
class CallRates:
    """Refuse calls over a rate. A bucket holds the calls of a minute and is refilled evenly."""

    #: Of tenants with a limit: calls a minute, calls that are left, and when that was counted.
    _limits: dict[UUID, int] = field(default_factory=dict)
    _buckets: dict[UUID, tuple[float, float]] = field(default_factory=dict)

    def set_limit(self, tenant_id: UUID, calls_a_minute: int | None) -> None:
        """Say how many calls a tenant may make; None: any number."""
        self._limits.pop(tenant_id, None)
        if calls_a_minute is not None:
            self._limits[tenant_id] = calls_a_minute
        if len(self._limits) > MAX_TENANTS:
            del self._limits[next(iter(self._limits))]

    def count(self, tenant_id: UUID) -> None:
        """Take one call. Raises QuotaError, with the seconds until the next one is free."""
        calls_a_minute = self._limits.get(tenant_id)
        if calls_a_minute is None:
            return
        now = time.monotonic()
        tokens, filled_at = self._buckets.pop(tenant_id, (float(calls_a_minute), now))
        tokens = min(calls_a_minute, tokens + (now - filled_at) * calls_a_minute / 60)
        allowed = tokens >= 1
        self._buckets[tenant_id] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > MAX_TENANTS:
            del self._buckets[next(iter(self._buckets))]
        if not allowed:
            error = QuotaError(
                f"more than {calls_a_minute:,} calls a minute",
                hint="Wait as long as Retry-After says; GET /usage shows the quotas.",
            )
            error.retry_after_s = (1 - tokens) * 60 / calls_a_minute
            raise error
