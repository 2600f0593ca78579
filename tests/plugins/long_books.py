"""The two books whose extraction takes longest, each 15 CPU-seconds: `make chaos` reads them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

LONG_BOOKS = ("owasp-testing-guide-4", "owasp-code-review-guide-2")


def with_long_ones(sources: Sequence[str]) -> list[object]:
    """Return the names as parameters of a test, the two books marked as long."""
    return [pytest.param(name, marks=pytest.mark.long) if name in LONG_BOOKS else name for name in sources]
