"""`securetag model serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.output import reported


@reported
def serve(port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks one.")] = 0) -> None:
    """Serve the preferred alias, OpenAI-compatible, until Ctrl-C."""
    from securetag.serving.runtime import main as run
    from securetag.system.extras import require_packages

    require_packages(["xllamacpp"])  # in a process of its own its lack would only be in a log
    run(["--port", str(port)])
