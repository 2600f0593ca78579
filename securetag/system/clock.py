"""The current time in UTC, and its text form: RFC 3339 with `Z`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

__all__ = ["format_utc", "utc_now", "utc_timestamp"]

Precision = Literal["seconds", "milliseconds", "microseconds"]


def utc_now() -> datetime:
    """Return the current time, timezone-aware, in UTC."""
    return datetime.now(UTC)


def format_utc(moment: datetime, precision: Precision = "seconds") -> str:
    """Return `2026-11-27T06:00:00Z` for an aware datetime of any zone."""
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def utc_timestamp(precision: Precision = "seconds") -> str:
    """Return the current time as RFC 3339 text."""
    return format_utc(utc_now(), precision)
