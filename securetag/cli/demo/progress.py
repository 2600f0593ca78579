"""Lines of progress while a demo runs."""

from __future__ import annotations

import time

import typer

_began = time.monotonic()


def say(text: str) -> None:
    """Print one line of progress, with the minutes and seconds since the start."""
    minutes, seconds = divmod(int(time.monotonic() - _began), 60)
    typer.echo(f"{minutes:3d}:{seconds:02d}  {text}")
