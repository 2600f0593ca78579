"""Execute the notebooks on what the last demo left, beside its service.

Usage: python tools/run_notebooks.py [--store]

The executed copies are written into the demo's home. `--store` keeps their outputs in notebooks/ too,
without times, paths or the cell that names the home.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import nbformat
import papermill

from securetag.settings import get_settings
from securetag.system.services import read_services

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
#: Seconds for the demo's service to answer, and to end.
START_S, STOP_S = 120.0, 60.0
#: Seconds for one cell.
CELL_S = 120


def run(home: Path, *, store: bool) -> None:
    """Execute every notebook with `home` as its parameter. Raises what a failing cell raises."""
    with serve_demo(home):
        for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
            began = time.monotonic()
            executed = home / notebook.name
            papermill.execute_notebook(
                str(notebook),
                str(executed),
                parameters={"home": str(home)},
                cwd=str(NOTEBOOKS),
                progress_bar=False,
                execution_timeout=CELL_S,
            )
            print(f"{notebook.name}: {time.monotonic() - began:.0f} s, {executed}")
            if store:
                store_outputs(executed, notebook)


@contextmanager
def serve_demo(home: Path) -> Iterator[None]:
    """Serve the demo's home for as long as it takes, or use the service that serves it already."""
    if answers(home):
        yield
        return
    up = subprocess.Popen(
        [Path(sys.executable).with_name("securetag"), "--demo", "up", "--no-dagster", "--port", "0"],
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + START_S
        while not answers(home):
            if up.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("The demo's service doesn't start: see what `securetag --demo up` says.")
            time.sleep(0.5)
        yield
    finally:
        up.terminate()
        up.wait(STOP_S)


def answers(home: Path) -> bool:
    """Return whether the api that the home names answers."""
    url = read_services(home / "run").get("api", {}).get("url")
    try:
        return bool(url) and httpx.get(f"{url}/healthz/db", timeout=2.0).is_success
    except httpx.HTTPError:
        return False


def store_outputs(executed: Path, notebook: Path) -> None:
    """Write a notebook with the outputs of its executed copy."""
    document = nbformat.read(executed, as_version=4)
    document.metadata.pop("papermill", None)
    document.cells = [
        cell for cell in document.cells if "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    for cell in document.cells:
        cell.metadata = {name: value for name, value in cell.metadata.items() if name == "tags"}
    nbformat.write(document, notebook)


if __name__ == "__main__":
    demo = get_settings().home / "demo"
    if not (demo / "report.json").is_file():
        raise SystemExit("No demo has run yet: make demo")
    run(demo, store="--store" in sys.argv[1:])
