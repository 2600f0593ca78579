"""`securetag demo`: the whole loop, once, on this machine.

`run.run_demo` runs it and returns a `result.DemoResult`; `summary.print_summary` prints that. Each stage
calls what a user would call, and reads what it made from the stage's own files.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from securetag.cli.output import reported


class SizeName(StrEnum):
    """How much of everything."""

    SMOKE = "smoke"
    QUICK = "quick"
    FULL = "full"


@reported
def demo(
    size: Annotated[
        SizeName, typer.Option(help="smoke: ten minutes, for CI; quick: the default; full: most rows.")
    ] = SizeName.QUICK,
) -> None:
    """Take code from upload to a retrained, gated triage model.

    Keeps its own state below `<home>/demo`, uses free ports, and runs beside `securetag up`. A candidate
    that the gate rejects is a legitimate end: exit 0, and the summary says why.
    """
    import signal

    from securetag.cli.demo.run import run_demo
    from securetag.cli.demo.summary import print_summary

    # A terminated demo stops what it started, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print_summary(run_demo(size.value))
