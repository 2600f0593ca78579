"""`securetag scan`: upload a project, wait, print the findings."""

from __future__ import annotations

from securetag.cli.scan.command import scan
from securetag.cli.scan.options import Level

__all__ = ["Level", "scan"]
