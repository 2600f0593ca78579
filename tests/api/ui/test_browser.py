"""The page in headless Chromium: keys alone, hostile code, Spanish, no console error, accessibility."""

from __future__ import annotations

import asyncio
import importlib.util
import json
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
from typer.testing import CliRunner

from securetag.cli import app
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
    assert api.query("SELECT count(*) FROM securetag.feedback_withdrawal") == [(1,)]
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


async def test_many_findings_are_decided_and_undone_with_keys_alone(person: Person, api: Api) -> None:
    page, keyboard = person.page, person.page.keyboard
    verdicts = (
        "SELECT count(*) FROM securetag.feedback WHERE mode = 'bulk' AND tenant_id = %s"
        " AND id NOT IN (SELECT feedback_id FROM securetag.feedback_withdrawal)"
    )
    for key in "jxjxf":
        await keyboard.press(key)
    await expect(page.locator("h1")).to_have_text("Call 2 findings “false positive”?", timeout=WAIT_MS)
    assert api.query(verdicts, person.tenant.id) == [(0,)]
    await keyboard.press("Enter")
    await expect(page.locator(".notice")).to_contain_text("Saved, for 2 findings.", timeout=WAIT_MS)
    assert api.query(verdicts, person.tenant.id) == [(2,)]
    assert await page.inner_text("a.row >> nth=0 >> b") == "Issue 2"
    await keyboard.press("u")
    await expect(page.locator("a.row >> nth=0 >> b")).to_have_text("Issue 0", timeout=WAIT_MS)
    assert api.query(verdicts, person.tenant.id) == [(0,)]
    await keyboard.press("A")
    await keyboard.press("t")
    heading = page.locator("h1")
    await expect(heading).to_have_text(f"Call {REVIEWED + 1} findings “true positive”?", timeout=WAIT_MS)
    await keyboard.press("/")
    await page.wait_for_selector("a.row")
    assert api.query(verdicts, person.tenant.id) == [(0,)]
    assert person.complaints == []


async def test_blind_mode_and_the_queue_in_a_browser(person: Person, api: Api) -> None:
    page = person.page
    assert "securetag-v1" not in await page.content()
    assert "false positive</span>" in await page.content()
    await page.get_by_role("button", name="Blind mode: off").click()
    await page.get_by_role("button", name="Blind mode: on").wait_for()
    assert "positive</span>" not in await page.content()
    await page.click("a.row >> nth=0")
    await expect(page).to_have_title("Issue 0 · Securetag", timeout=WAIT_MS)
    for word in ("securetag-v1", "93 %", "positive</span>"):
        assert word not in await page.content(), word
    await page.keyboard.press("t")
    await expect(page).to_have_title("Issue 1 · Securetag", timeout=WAIT_MS)
    assert "securetag-v1" not in await page.content()
    await page.goto(f"{person.address}/ui/findings?reviewed=yes")
    await page.click("a.row >> nth=0")
    await expect(page).to_have_title("Issue 0 · Securetag", timeout=WAIT_MS)
    assert "securetag-v1" in await page.content(), "it is shown to who has answered"
    await page.get_by_role("button", name="Blind mode: on").click()
    await page.get_by_role("button", name="Blind mode: off").wait_for()
    await page.goto(f"{person.address}/ui/findings?queue=yes&lang=es")
    assert "positivo</span>" not in await page.content(), "the queue is blind, whatever the setting"
    assert await page.inner_text("h1 >> nth=0") != ""
    assert api.query("SELECT mode FROM securetag.feedback WHERE tenant_id = %s", person.tenant.id) == [
        ("blind",)
    ]
    assert person.complaints == []


def count_actions(command: str) -> int:
    """Words that are typed or pasted, each taken as one action however long it is, and Enter."""
    return len(command.split()) + 1


async def test_keys_take_a_fraction_of_the_actions_of_the_command_line(person: Person, api: Api) -> None:
    """The same task twice: read findings, judge each. A key press is an action, and so is a whole word."""
    page, judged, verdict = person.page, 10, "false_positive"
    # Pasting the key and Enter, which the fixture did: the command line has its key in the environment.
    on_the_page = 2

    async def press(key: str) -> None:
        nonlocal on_the_page
        await page.keyboard.press(key)
        on_the_page += 1

    await press("j")
    await press("Enter")
    for number in range(judged):
        await expect(page).to_have_title(f"Issue {number} · Securetag", timeout=WAIT_MS)
        await press("f")
    await expect(page).to_have_title(f"Issue {judged} · Securetag", timeout=WAIT_MS)

    runner, environment = (
        CliRunner(),
        {"SECURETAG_API_URL": person.address, "SECURETAG_API_KEY": person.tenant.key},
    )

    async def run(command: str) -> str:
        done = await asyncio.to_thread(runner.invoke, app, command.split()[1:], env=environment)
        assert done.exit_code == 0, done.output
        return str(done.output)

    items = json.loads(await run("securetag findings list --json"))[judged : 2 * judged]
    at_the_prompt = count_actions("securetag findings list")
    for item in items:
        show = f"securetag findings show {item['id']}"
        assert item["title"] in await run(show)
        judge = f"securetag feedback {item['id']} --verdict {verdict}"
        # A person confirms with `y` and Enter what a program names.
        await run(f"{judge} --occurrence {item['occurrence']['id']}")
        at_the_prompt += count_actions(show) + count_actions(judge) + 2
    given = "SELECT count(*), min(verdict), max(verdict) FROM securetag.feedback WHERE tenant_id = %s"
    assert api.query(given, person.tenant.id) == [(2 * judged, verdict, verdict)]
    # However long a command is: the list, and for each finding `show`, `feedback` and its confirmation.
    commands = 1 + 3 * judged
    print(
        f"\n{judged} findings: {on_the_page} actions with keys, {at_the_prompt} at the command line"
        f" ({on_the_page / at_the_prompt:.2f}x), {commands} where a whole command counts as one"
        f" ({on_the_page / commands:.2f}x)"
    )
    assert on_the_page <= 0.4 * at_the_prompt


async def list_serious(page: Page, axe: str) -> list[tuple[str, str, str]]:
    """What axe-core finds on a page that is serious or critical: rule, element, what to do."""
    result = await page.evaluate(f"(() => {{ {axe}; return axe.run(); }})()")
    return [
        (rule["id"], rule["nodes"][0]["html"], rule["nodes"][0]["failureSummary"])
        for rule in result["violations"]
        if rule["impact"] in {"serious", "critical"}
    ]


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
    pages += [f"{address}/ui/sign-in", f"{address}/ui/none", f"{address}/ui/review"]
    pages += [f"{finding}&queue=yes", f"{address}/ui/findings?queue=yes"]
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
                assert await list_serious(page, axe) == [], (target, scheme, width)
        await page.goto(f"{address}/ui/findings")
        for key in ("A", "f"):
            await page.keyboard.press(key)
        await expect(page).to_have_title("Many findings at once · Securetag", timeout=WAIT_MS)
        assert await list_serious(page, axe) == [], ("bulk", scheme)
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
    await queue.record_result(api.engine, claim.lease, result(claim.lease.task_id, "new"))
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
    await queue.record_result(api.engine, claim.lease, request)
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


async def test_a_project_is_deleted_in_spanish_once_its_name_is_typed(person: Person, api: Api) -> None:
    page = person.page
    await page.goto(f"{person.address}/ui/scans?lang=es")
    await page.click("main a[href^='/ui/scans/']")
    await page.click("a[href^='/ui/delete/project/']")
    await expect(page.locator("h1")).to_have_text("Eliminar el proyecto", timeout=WAIT_MS)
    assert f"hallazgos ({REVIEWED + 1})" in await page.inner_text("main")
    await page.get_by_role("button", name="Eliminar definitivamente").click()
    assert await page.locator("#name:invalid").count() == 1, "an empty name isn't sent"
    await page.fill("#name", "shop")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).not_to_have_text("Eliminar el proyecto", timeout=WAIT_MS)
    tables = ("project", "finding", "task")
    sizes = [
        api.query(f"SELECT count(*) FROM securetag.{table} WHERE tenant_id = %s", person.tenant.id)
        for table in tables
    ]
    assert sizes == [[(0,)]] * 3
    assert person.complaints == []
