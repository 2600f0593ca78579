"""The fixtures of `rented`: both clouds as fakes."""

from __future__ import annotations

from rented import pod, rental

__all__ = ["pod", "rental"]
