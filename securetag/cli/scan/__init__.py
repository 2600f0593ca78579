"""`securetag scan`: upload a project, wait, print the findings."""

from __future__ import annotations

from securetag.cli.scan.command import Level, scan

__all__ = ["Level", "scan"]
