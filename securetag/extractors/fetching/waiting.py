"""How long to wait before a request is sent again: what the server asks for, within a limit."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from securetag.system.clock import utc_now

#: HTTP statuses of errors that may pass, so that the request is sent again.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Longest wait, seconds. A server that asks for a longer one is left alone until the next run.
MAX_WAIT_S = 60.0


def parse_retry_after(value: str, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for; None where it is missing or malformed.

    It is a number of seconds or a date (RFC 9110, 10.2.3), which `now` is subtracted from.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max((date - (now or utc_now())).total_seconds(), 0.0)
    except (ValueError, OverflowError):  # OverflowError: a year at the end of the calendar
        return None
