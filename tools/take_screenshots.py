"""Take the pictures of README and docs with headless Chromium: the Dagster graph, a demo's summary, the page.

    python tools/take_screenshots.py graph DEMO_HOME [--out docs/pictures]
    python tools/take_screenshots.py control-room DEMO_HOME [--out docs/pictures]
    python tools/take_screenshots.py summary DEMO_OUTPUT [--out docs/pictures]
    API_KEY=stk_… python tools/take_screenshots.py page http://127.0.0.1:8080 [--out docs/pictures]

`graph` starts the Dagster UI over what a demo has left (DEMO_HOME is `.securetag/demo`) and takes the lineage
of the model; `control-room` takes the whole graph, the jobs, the runs, a run, and the gate with the plots of
its figures over the runs. `summary` draws the end of what the demo printed, kept by `make demo | tee
DEMO_OUTPUT`. `page` signs in at a running api and takes its pages, light and dark, wide and as on a phone;
those in the documents show what `python -m benchmarks.page.running` serves. All need `chromium` on the PATH.
"""

from __future__ import annotations

import argparse
import html
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Literal

import httpx
from playwright.sync_api import Page, sync_playwright

from securetag.orchestration.instance import DEFINITIONS

CHECKOUT = Path(__file__).resolve().parent.parent
#: Where the summary begins in what a demo prints.
TITLE = "Securetag demo, size"
#: Where the paths of one machine begin, which no reader of the picture has.
PATHS = "Report:  "
COLUMNS = 118
#: Milliseconds of the page's own time before the picture: the UI lays the graph out in a worker.
RENDER_MS = 30_000
#: Clicks that unfold a part of the UI: a first one changes nothing where the part was never unfolded.
CLICKS = 3
#: Milliseconds in which plots are drawn.
DRAW_MS = 5_000
START_SECONDS = 120.0
#: Pixels of a laptop's window and of a phone's.
WIDTHS = (1280, 390)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
#: The group of assets whose lineage is shown; that of the sources has dozens.
LINEAGE = f"/locations/__repository__@{DEFINITIONS}/asset-groups/model/lineage"
PAGE = """\
<!doctype html><meta charset="utf-8">
<style>
  body {{ margin: 0; background: #1d2130; }}
  pre {{ margin: 24px; color: #e6e9f2; font: 15px/1.4 "DejaVu Sans Mono", monospace; }}
</style>
<pre>{text}</pre>
"""


def find_browser() -> str:
    """Return the path of Chromium, or end the process with what to do."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        sys.exit("chromium is not on the PATH: install it, for example with `apt-get install chromium`")
    return browser


def take(url: str, out: Path, width: int, height: int) -> None:
    """Write a PNG of `url` in a window of `width` × `height` pixels."""
    browser = find_browser()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser,
            "--headless=new",
            "--no-sandbox",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            f"--user-data-dir={profile}",
            f"--virtual-time-budget={RENDER_MS}",
            f"--window-size={width},{height}",
            f"--screenshot={out.absolute()}",
            url,
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=180)


def take_graph(home: Path, out: Path) -> None:
    """Take the lineage of the model in the Dagster UI, with the runs of a demo's home."""
    with serve_dagster(home) as address:
        take(f"{address}{LINEAGE}", out / "dagster.png", 1500, 620)


def take_control_room(home: Path, out: Path) -> None:
    """Take the pages of the Dagster UI that a person works with, over the runs of a demo's home."""
    query = "{ runsOrError(limit: 1) { ... on Runs { results { runId } } } }"
    with serve_dagster(home) as address:
        answer = httpx.post(f"{address}/graphql", json={"query": query}, timeout=60).raise_for_status()
        (run,) = answer.json()["data"]["runsOrError"]["results"]
        pages = {
            "graph": "/asset-groups",
            "jobs": "/jobs",
            "runs": "/runs",
            "run": f"/runs/{run['runId']}",
            "release": "/assets/release?view=events",
        }
        for name, path in pages.items():
            take(f"{address}{path}", out / f"control-room-{name}.png", 1500, 900)
        take_gate(address, out / "control-room-gate.png")


def take_gate(address: str, out: Path) -> None:
    """Take the gate of the last evaluation, with its figures plotted over the runs."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1400})
        page.goto(f"{address}/assets/evaluation?view=checks&checkDetail=gate", timeout=RENDER_MS)
        page.get_by_text("requirements met", exact=True).wait_for(timeout=3 * RENDER_MS)
        page.get_by_text("Latest execution", exact=True).click()
        for _ in range(CLICKS):
            page.get_by_text("Plots", exact=True).click()
            page.wait_for_timeout(DRAW_MS)
            if page.locator("canvas").count():
                break
        page.screenshot(path=out)
        browser.close()


@contextmanager
def serve_dagster(home: Path, *, port: int = 3917) -> Iterator[str]:
    """Serve the Dagster UI of a demo's home; yield its address."""
    home = home.absolute()
    environment = os.environ | {
        "SECURETAG_HOME": str(home),
        "SECURETAG_DATA": str(home / "data"),
        "DAGSTER_HOME": str(home / "dagster"),
    }
    command = [sys.executable, "-m", "dagster_webserver", "-m", DEFINITIONS, "-h", "127.0.0.1"]
    with tempfile.TemporaryDirectory() as temporary, (Path(temporary) / "ui.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "-p", str(port)], env=environment, stdout=log, stderr=log, cwd=temporary
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/server_info")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def take_page(address: str, out: Path) -> None:
    """Take the pages of the api at `address`, signed in with the key in API_KEY."""
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        for scheme, width in product(SCHEMES, WIDTHS):
            context = browser.new_context(
                color_scheme=scheme, viewport={"width": width, "height": 900}, locale="en"
            )
            take_pages(context.new_page(), address, out, f"{scheme}-{width}")
            context.close()
        browser.close()


def take_pages(page: Page, address: str, out: Path, suffix: str) -> None:
    """Sign in and take each page in one look; the names of the files end with `suffix`."""

    def save(name: str, *, whole: bool = True) -> None:
        page.screenshot(path=out / f"page-{name}-{suffix}.png", full_page=whole)

    page.goto(f"{address}/ui/sign-in")
    save("sign-in", whole=False)
    page.fill("#key", os.environ["API_KEY"])
    page.press("#key", "Enter")
    page.wait_for_selector("h1 + .figures, h1 + .card")
    page.evaluate("document.querySelectorAll('main details').forEach(part => { part.open = true; })")
    page.evaluate("document.querySelectorAll('.chart ~ details').forEach(part => { part.open = false; })")
    save("overview")
    page.goto(f"{address}/ui/findings")
    page.wait_for_selector("a.row")
    save("findings", whole=False)
    open_trained_finding(page, address)
    save("finding")
    page.goto(f"{page.url.partition('?')[0]}?lang=es")
    save("finding-es")
    page.goto(f"{address}/ui/?lang=es")
    save("overview-es")
    page.goto(f"{address}/ui/findings?lang=en")
    for number in range(3):
        page.check(f"input[name=pick] >> nth={number}")
    page.keyboard.press("f")
    page.wait_for_selector("button.main")
    save("bulk")
    page.goto(f"{address}/ui/review")
    save("review")
    page.click("a.button")
    page.wait_for_selector(".code")
    save("blind")
    page.goto(f"{address}/ui/scans")
    page.click("a.row >> nth=0")
    page.wait_for_selector("#scan")
    save("scan")


def open_trained_finding(page: Page, address: str) -> None:
    """Open the first finding that has trained a model, or the last one of the list."""
    page.goto(f"{address}/ui/findings?reviewed=yes")
    links = page.locator("a.row").evaluate_all("rows => rows.map(row => row.href)")
    for link in links:
        page.goto(link)
        if page.locator("#lineage").count():
            return


def wait_for(url: str) -> None:
    """Wait until `url` answers."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if httpx.get(url, timeout=2).is_success:
                return
        except httpx.HTTPError:
            pass
        if time.monotonic() > deadline:
            sys.exit(f"{url} did not answer in {START_SECONDS:.0f} s")
        time.sleep(0.5)


def take_summary(printed: Path, out: Path) -> None:
    """Take the summary at the end of what a demo printed."""
    text = printed.read_text("utf-8")
    if TITLE not in text:
        sys.exit(f"{printed} holds no summary of a demo")
    summary = text[text.index(TITLE) :].partition(PATHS)[0].rstrip()
    lines = [
        part
        for line in summary.splitlines()
        for part in textwrap.wrap(line, COLUMNS, drop_whitespace=False) or [""]
    ]
    with tempfile.TemporaryDirectory() as temporary:
        page = Path(temporary) / "summary.html"
        page.write_text(PAGE.format(text=html.escape("\n".join(lines))), "utf-8")
        width = 48 + 9 * max(map(len, lines)) + 20
        take(page.as_uri(), out / "summary.png", width, 48 + 21 * len(lines))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("picture", choices=["graph", "control-room", "summary", "page"])
    parser.add_argument(
        "source", help="a demo's home; for `summary` the file with its output; for `page` an api's address"
    )
    parser.add_argument("--out", type=Path, default=CHECKOUT / "docs" / "pictures")
    given = parser.parse_args()
    if given.picture == "page":
        take_page(given.source.rstrip("/"), given.out)
    else:
        takers = {"graph": take_graph, "control-room": take_control_room, "summary": take_summary}
        takers[given.picture](Path(given.source), given.out)


if __name__ == "__main__":
    main()
