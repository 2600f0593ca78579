"""The values that options of several commands take: severity, confidence and language of the findings."""

from __future__ import annotations

from typing import Literal

Level = Literal["info", "low", "medium", "high", "critical"]
MinConfidence = Literal["low", "medium", "high"]
# As in `records`, which `--help` doesn't wait for; a test compares them.
Lang = Literal["en", "es"]
