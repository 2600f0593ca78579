"""The page in headless Chromium: keys alone, hostile code, Spanish, no console error, accessibility."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import uvicorn
from api_in_process import Api, Tenant
from playwright.async_api import Page, async_playwright, expect
from rows import make_finding, result
from stored_scans import store_scan

from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.wire import queue as wire

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.system,
    pytest.mark.sockets,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: apt-get install chromium"),
]
HOSTILE = "</span><script>document.title='run'</script><img src=x onerror=document.title='run'>\u202e"
REVIEWED = 100
#: Generous: the machine may be busy.
WAIT_MS = 30_000


@dataclass
class Person:
    """A page that somebody has signed in to, and what its console says."""

    page: Page
    address: str
    tenant: Tenant
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
async def address(api: Api) -> AsyncIterator[str]:
    """The api on a port of loopback."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(api.app, lifespan="off", log_level="warning", ws="none"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture
def bypass_csp() -> bool:
    """The page's own policy holds, unless a test puts a script of its own into the page."""
    return False


@pytest.fixture
async def person(api: Api, address: str, bypass_csp: bool) -> AsyncIterator[Person]:
    """Signed in, with more findings than are reviewed; the last one is hostile."""
    tenant = await api.tenant()
    places = [
        make_finding(f"f{i}", title=f"Issue {i}", path=f"app/f{i}.py", rank=900 - i) for i in range(REVIEWED)
    ]
    hostile = make_finding(
        "hostile", title=HOSTILE, message=HOSTILE, path=HOSTILE, snippet=HOSTILE, start_line=11, end_line=11
    )
    await store_scan(api, tenant, *places, hostile)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(locale="en", bypass_csp=bypass_csp)
        made = Person(page, address, tenant)
        page.on("console", lambda line: made.complaints.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: made.complaints.append(str(error)))
        await page.goto(f"{address}/ui/findings?reviewed=no")
        await page.fill("#key", tenant.key)
        await page.press("#key", "Enter")
        await page.wait_for_selector("a.row")
        yield made
        await browser.close()


async def test_a_hundred_findings_are_reviewed_with_keys_alone(person: Person, api: Api) -> None:
    page = person.page
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("pre.code")
    for i in range(REVIEWED):
        assert await page.title() == f"Issue {i} · Securetag"
        await page.keyboard.press("tfr"[i % 3])
        await expect(page).not_to_have_title(f"Issue {i} · Securetag", timeout=WAIT_MS)
    given = api.query("SELECT verdict, count(*) FROM securetag.feedback GROUP BY 1 ORDER BY 1")
    assert given == [("false_positive", 33), ("needs_review", 33), ("true_positive", 34)]
    # The last finding is hostile: it is shown, and nothing of it runs.
    assert "script" in await page.title()
    assert await page.locator("main script, main img").count() == 0
    assert "⟨U+202E⟩" in await page.inner_text("pre.code")

    await page.keyboard.press("u")
    await expect(page).to_have_title("Issue 99 · Securetag", timeout=WAIT_MS)
    await page.goto(f"{person.address}/ui/findings")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    for key, number in (("", 0), ("j", 1), ("k", 0), ("s", 0)):
        if key:
            await page.keyboard.press(key)
        await expect(page).to_have_title(f"Issue {number} · Securetag", timeout=WAIT_MS)
    await page.keyboard.type("t is typed here and judges nothing")
    await page.locator("details.suppress button").click()
    await expect(page).to_have_title("Issue 1 · Securetag", timeout=WAIT_MS)
    assert api.query("SELECT reason FROM securetag.suppression") == [("t is typed here and judges nothing",)]
    await page.keyboard.press("?")
    await page.wait_for_selector("dialog[open]")
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await page.wait_for_selector("a.row")
    assert person.complaints == []


@pytest.mark.parametrize("bypass_csp", [True], ids=["axe"])
async def test_pages_are_accessible_in_light_and_dark_and_in_spanish(person: Person) -> None:
    page, address = person.page, person.address
    await page.click("a.row >> nth=0")
    await page.wait_for_selector("pre.code")
    finding = page.url
    await page.goto(f"{address}/ui/scans")
    await page.click("a.row >> nth=0")
    await page.wait_for_selector("#scan")
    whole = finding.replace("?", "/file?")
    pages = [f"{address}/ui/", f"{address}/ui/findings", finding, whole, page.url]
    pages += [f"{address}/ui/sign-in", f"{address}/ui/none"]
    spec = importlib.util.find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    axe = (Path(spec.origin).parent / "axe.min.js").read_text()
    schemes: list[Literal["light", "dark"]] = ["light", "dark"]
    for scheme, widths in zip(schemes, ((1280,), (1280, 390)), strict=True):
        await page.emulate_media(color_scheme=scheme)
        for width in widths:
            await page.set_viewport_size({"width": width, "height": 800})
            for target in pages:
                await page.goto(target)
                wide = await page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{target} scrolls sideways at {width} px"
                result = await page.evaluate(f"(() => {{ {axe}; return axe.run(); }})()")
                serious = [
                    (rule["id"], rule["nodes"][0]["html"], rule["nodes"][0]["failureSummary"])
                    for rule in result["violations"]
                    if rule["impact"] in {"serious", "critical"}
                ]
                assert serious == [], (target, scheme, width)
    await page.goto(f"{address}/ui/findings?lang=es")
    assert await page.inner_text("h1 >> nth=0") == "Hallazgos 101 hallazgos"
    missing = [text for text in person.complaints if "404" not in text]
    assert missing == []


async def test_a_running_scan_changes_by_itself(person: Person, api: Api, archive: bytes) -> None:
    page = person.page
    task_id = (await person.tenant.upload(archive)).json()["task_id"]
    await page.goto(f"{person.address}/ui/scans/{task_id}")
    state = page.locator("#scan .state")
    await expect(state).to_have_text("queued", timeout=WAIT_MS)
    claim = await queue.claim(api.engine, "w", ["codeaudit"])
    assert claim is not None
    await expect(state).to_have_text("running", timeout=WAIT_MS)
    async with tenant_transaction(api.engine, person.tenant.id) as session:
        await queue.heartbeat(session, claim.lease, stage="triage 3/10")
    await expect(page.locator("progress")).to_have_attribute("value", "3", timeout=WAIT_MS)
    assert "asking the model 3/10" in await page.inner_text("#scan")
    async with tenant_transaction(api.engine, person.tenant.id) as session:
        await queue.record_result(session, claim.lease, result(claim.lease.task_id, "new"))
    await expect(state).to_have_text("completed", timeout=WAIT_MS)
    assert await page.locator("a[download]").count() == 3
    assert person.complaints == []


async def test_the_whole_file_opens_in_place_and_keys_go_on_working(
    person: Person, api: Api, archive: bytes
) -> None:
    page = person.page
    task_id = (await person.tenant.upload(archive)).json()["task_id"]
    claim = await queue.claim(api.engine, "w", ["codeaudit"])
    assert claim is not None
    finding = make_finding(
        "file",
        title="Shell",
        path="app.py",
        rank=999,
        start_line=2,
        end_line=2,
        snippet="os.system(input())\n",
    )
    request = wire.ResultRequest(
        task_id=task_id, outcome="completed", findings=[wire.TriagedFinding(finding=finding, verdict=None)]
    )
    async with tenant_transaction(api.engine, person.tenant.id) as session:
        await queue.record_result(session, claim.lease, request)
    await page.goto(f"{person.address}/ui/findings")
    await page.click("a.row >> nth=0")
    await page.wait_for_selector("pre.code")
    await page.keyboard.press("c")
    await page.wait_for_selector("pre.code.whole")
    assert await page.inner_text("#L1 .text") == "import os\n"
    assert await page.locator("#L2.flagged").count() == 1
    await page.keyboard.press("t")
    await expect(page).not_to_have_title("Shell · Securetag", timeout=WAIT_MS)
    assert person.complaints == []
