"""How long a reviewer waits: from a key to the next finding, in a browser, at 10,000 findings."""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from collections.abc import Iterator

import psutil
from playwright.sync_api import Page, sync_playwright

from benchmarks.figure import Figure
from benchmarks.page.running import SeededApi, serve_findings

FINDINGS = 10_000
#: Keys that are pressed, after some that pay for caches.
KEYS, WARM_UP = 60, 10
#: Seconds after which a key is given up.
WAIT_S = 30.0
#: Milliseconds.
BAR = 150.0
#: Milliseconds from a key to the moment at which the next finding is in the page and laid out.
_WATCH = """() => {
  window.waits = [];
  let since = 0;
  document.addEventListener("keydown", () => { since = performance.now(); }, true);
  document.addEventListener("htmx:afterSettle", () => {
    document.body.getBoundingClientRect();
    window.waits.push(performance.now() - since);
  });
}"""


def measure() -> Iterator[Figure]:
    """Median and 95th percentile of a verdict's key, of `j`, and of opening the list and the overview."""
    browser_path = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser_path is None:
        print("chromium is not on the PATH: the page is not measured", file=sys.stderr)
        return
    with serve_findings(FINDINGS) as api, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(locale="en")
        _sign_in(page, api)
        for name, keys, is_bound in (("verdict (t, f, r)", "tfr", True), ("next (j)", "j", False)):
            before = psutil.Process(api.pid).cpu_times()
            waits = _press(page, api, keys)
            after = psutil.Process(api.pid).cpu_times()
            spent_s = after.user + after.system - before.user - before.system
            median = statistics.median(waits)
            yield Figure(
                figure=f"{name} to the next of {FINDINGS:,} findings, median",
                value=round(median, 1),
                unit="ms",
                bar=f"≤ {BAR:g}" if is_bound else "",
                ok=not is_bound or median <= BAR,
            )
            yield Figure(figure="… 95th percentile", value=round(_p95(waits), 1), unit="ms")
            # What other work on the machine doesn't change.
            per_key_ms = 1000 * spent_s / (WARM_UP + KEYS)
            yield Figure(figure="… CPU of the api for a key", value=round(per_key_ms, 1), unit="ms")
        for path in ("/ui/findings", "/ui/findings?severity=high&reviewed=no", "/ui/"):
            yield Figure(
                figure=f"opening {path}, median", value=round(_open(page, api.url + path), 1), unit="ms"
            )
        browser.close()


def _sign_in(page: Page, api: SeededApi) -> None:
    page.goto(f"{api.url}/ui/sign-in")
    page.fill("#key", api.key)
    page.press("#key", "Enter")
    page.wait_for_selector(".figures")


def _press(page: Page, api: SeededApi, keys: str) -> list[float]:
    """Return the milliseconds of each key, the first ones left out."""
    page.goto(f"{api.url}/ui/findings?reviewed=no")
    page.click("a.row >> nth=0")
    page.wait_for_selector(".code")
    page.evaluate(_WATCH)
    for number in range(WARM_UP + KEYS):
        page.keyboard.press(keys[number % len(keys)])
        deadline = time.monotonic() + WAIT_S
        while page.evaluate("window.waits.length") <= number:
            if time.monotonic() > deadline:
                raise TimeoutError("the next finding did not come")
            time.sleep(0.005)
    waits: list[float] = page.evaluate("window.waits")
    return waits[WARM_UP:]


def _open(page: Page, url: str, times: int = 10) -> float:
    waits = []
    for _ in range(times):
        begun = time.perf_counter()
        page.goto(url)
        waits.append(1000 * (time.perf_counter() - begun))
    return statistics.median(waits[2:])


def _p95(waits: list[float]) -> float:
    return statistics.quantiles(waits, n=20)[-1]
