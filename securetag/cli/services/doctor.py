"""`securetag doctor`."""

from __future__ import annotations

import typer

from securetag.cli.output import Json, emit, reported, show


@reported
def doctor(as_json: Json = False) -> None:
    """Check what this installation needs, and say what is missing.

    Each line that fails names the next step.
    """
    from securetag.cli.services.checks import run_checks
    from securetag.settings import get_settings

    checks = run_checks(get_settings())
    if as_json:
        emit([{"check": c.name, "ok": c.ok, "found": c.detail, "next": c.hint} for c in checks])
    else:
        show(
            ["", "check", "found", "next"],
            [["✓" if c.ok else "✗", c.name, c.detail, "" if c.ok else c.hint] for c in checks],
        )
    if not all(c.ok or c.optional for c in checks):
        raise typer.Exit(1)
