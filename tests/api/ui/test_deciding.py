"""Undo, bulk decisions, blind mode, the review queue, notes: on the page, without JavaScript."""

from __future__ import annotations

import hashlib
import re

import pytest
from api_in_process import Api, Tenant
from rows import make_finding
from stored_scans import store_scan
from ui_browser import Browser, signed_in

from securetag.api.feedback.agreement import compute_kappa
from securetag.db.repositories.keys import create_key
from securetag.records import Finding
from securetag.settings import LOCAL_PEPPER

pytestmark = pytest.mark.anyio

TP, FP = "true_positive", "false_positive"
FINDINGS = r"/ui/findings/[0-9a-f-]{36}[^\"]*"


def titles(page: str) -> list[str]:
    return re.findall(r'class="what"><b>([^<]*)</b>', page)


def numbered(count: int) -> list[Finding]:
    return [
        make_finding(f"f{n}", title=f"Issue {n}", path=f"app/f{n}.py", rank=900 - n) for n in range(count)
    ]


async def person(api: Api, tenant: Tenant, name: str, *scopes: str) -> Browser:
    """A signed-in browser of a reviewer of this name."""
    given = scopes or ("read", "feedback")
    return await signed_in(api, await create_key(api.engine, tenant.id, name, given, LOCAL_PEPPER))


async def standing(tenant: Tenant) -> list[str | None]:
    """The verdicts that count, in the order of the list."""
    items = (await tenant.client.get("/findings?limit=200")).json()["items"]
    return [item["feedback"] and item["feedback"]["verdict"] for item in items]


@pytest.fixture
async def tenant(api: Api) -> Tenant:
    made = await api.tenant()
    await store_scan(api, made, *numbered(4), branch="main")
    return made


async def test_undo_takes_back_verdicts_and_suppressions(api: Api, tenant: Tenant) -> None:
    browser = await person(api, tenant, "ana")
    await browser.open("/ui/findings?reviewed=no")
    await browser.open(browser.links(FINDINGS)[0])
    await browser.send("/verdict", verdict=FP)
    assert await standing(tenant) == [FP, None, None, None]
    text = await browser.send("/ui/undo")
    assert "<title>Issue 0" in text
    assert "reviewed=no" in str(browser.page.url)
    assert await standing(tenant) == [None] * 4
    assert "withdrawn by ana" in text
    await browser.send("/suppress", reason="generated")
    assert len((await tenant.client.get("/suppressions")).json()["items"]) == 1
    assert "<title>Issue 0" in await browser.send("/ui/undo")
    assert (await tenant.client.get("/suppressions")).json()["items"] == []
    # On the page of a finding, one's own verdict can be withdrawn later.
    await browser.send("/verdict", verdict=TP)
    await browser.open("/ui/findings")
    await browser.open(browser.links(FINDINGS)[0])
    await browser.send("/ui/undo")
    assert await standing(tenant) == [None] * 4
    for bad in ("", "verdict.x", "other." + "0" * 8):
        await browser.open("/ui/findings")
        await browser.open(browser.links(FINDINGS)[0])
        await browser.send("/verdict", verdict=TP)
        await browser.send("/ui/undo", undo=bad)
        assert browser.page.status_code == 422, bad


async def test_many_findings_are_one_confirmed_decision(api: Api, tenant: Tenant) -> None:
    browser = await person(api, tenant, "ana")
    text = await browser.open("/ui/findings")
    picks = re.findall(r'name="pick" form="bulk" value="([^"]+)"', text)
    assert len(picks) == 4
    await browser.send("/ui/findings/bulk", action=FP)
    assert browser.page.status_code == 422, "nothing is selected"
    await browser.open("/ui/findings")
    text = await browser.send("/ui/findings/bulk", action=FP, pick=picks[1])
    assert "Call 1 findings “false positive”?" in text
    await browser.open("/ui/findings?q=issue")
    text = await browser.send("/ui/findings/bulk", action=FP, all="yes")
    assert "Call 4 findings “false positive”?" in text
    assert await standing(tenant) == [None] * 4, "nothing is stored before it is confirmed"
    text = await browser.send("/confirm", comment="generated")
    assert "Saved, for 4 findings." in text
    assert "q=issue" in str(browser.page.url)
    assert await standing(tenant) == [FP] * 4
    votes = "SELECT count(*), count(DISTINCT bulk_id), min(mode) FROM securetag.feedback WHERE tenant_id = %s"
    assert api.query(votes, tenant.id) == [(4, 1, "bulk")]
    await browser.send("/ui/undo")
    assert await standing(tenant) == [None] * 4
    await browser.send("/ui/findings/bulk", action=TP, all="yes")
    await store_scan(api, tenant, *numbered(5), branch="main")
    text = await browser.send("/confirm")
    assert (browser.page.status_code, "it has 5 such findings now" in text) == (409, True)
    await browser.open("/ui/findings")
    await browser.send("/ui/findings/bulk", action="assign", all="yes")
    text = await browser.send("/confirm", assignee="ben")
    assert text.count('<span class="tag">ben</span>') == 5
    assert len(titles(await browser.open("/ui/findings?assignee=ben"))) == 5
    viewer = await person(api, tenant, "vic", "read")
    text = await viewer.open("/ui/findings")
    assert "bulk" not in text.partition("<main")[2]
    token = re.findall(r'name="csrf" value="([^"]+)"', text)[0]
    for address in ("/ui/findings/bulk", "/ui/findings/bulk/confirm", "/ui/undo"):
        form = {"csrf": token, "action": FP, "all": "yes", "count": "5"}
        assert (await viewer.client.post(address, data=form)).status_code == 403


async def test_blind_mode_hides_what_others_say_until_the_person_has_answered(api: Api) -> None:
    tenant = await api.tenant()
    await store_scan(api, tenant, *numbered(2))
    ben = await person(api, tenant, "ben")
    await ben.open("/ui/findings")
    first = ben.links(FINDINGS)[0].partition("?")[0]
    await ben.open(first)
    await ben.send("/verdict", verdict=TP, comment="reached from outside")
    ana = await person(api, tenant, "ana")
    leaks = re.compile(
        r"securetag-v1|93 %|by the model|by a person</span>|reached from outside|passed no gate"
        r"|class=\"verdict (true|false)_positive\"|verdict=(true|false)|disagree=yes"
    )
    assert leaks.search(await ana.open("/ui/findings"))
    text = await ana.send("/ui/blind")
    assert titles(text) == ["Issue 0", "Issue 1"]
    assert not leaks.search(text)
    # A filter by what the model says would tell it.
    assert titles(await ana.open("/ui/findings?verdict=true_positive")) == ["Issue 0", "Issue 1"]
    assert titles(await ana.open("/ui/findings?disagree=yes")) == ["Issue 0", "Issue 1"]
    for address in (first, f"{first}?verdict=false_positive", f"{first}/file"):
        # The header repeats the address that the person asked for.
        assert not leaks.search((await ana.open(address)).partition("<main")[2]), address
    text = await ana.open(first)
    assert "Hidden until you have answered" in text
    await ana.send("/verdict", verdict=FP)
    text = await ana.open(first)
    assert "securetag-v1" in text
    assert "reached from outside" in text
    modes = "SELECT mode FROM securetag.feedback WHERE tenant_id = %s ORDER BY id DESC"
    assert api.query(modes, tenant.id) == [("blind",), ("assisted",)]
    # Taken back after the model's verdict was seen, the next one isn't blind.
    await ana.send("/ui/undo")
    assert "securetag-v1" in await ana.open(first)
    await ana.send("/verdict", verdict=FP)
    assert api.query(modes, tenant.id)[0] == ("assisted",)
    # Taken back from the next page, it is: nothing was shown in between.
    second = (await ana.open("/ui/findings")) and ana.links(FINDINGS)[1].partition("?")[0]
    await ana.open(second)
    await ana.send("/verdict", verdict=FP)
    await ana.send("/ui/undo")
    assert not leaks.search(ana.page.text.partition("withdrawn by")[0])


def share(purpose: str, finding_id: str) -> float:
    digest = hashlib.sha256(f"{purpose}:{finding_id}".encode()).digest()
    return (digest[0] * 256 + digest[1]) / 65_536


async def test_the_queue_is_a_fixed_sample_and_no_second_reviewer_is_the_first(api: Api) -> None:
    tenant = await api.tenant()
    await store_scan(api, tenant, *numbered(199), make_finding("gone", title="Gone", snippet=""))
    items = (await tenant.client.get("/findings?limit=200")).json()["items"]
    judged = [item for item in items if item["title"] != "Gone"]
    assert len(judged) == 199
    drawn = {item["title"] for item in judged if share("first", item["id"]) < int(0.05 * 65_536) / 65_536}
    assert 0 < len(drawn) < 30
    ana, ben = await person(api, tenant, "ana"), await person(api, tenant, "ben")
    for browser in (ana, ben):
        assert set(titles(await browser.open("/ui/findings?queue=yes"))) == drawn
    text = await ana.open("/ui/review")
    assert f"Begin: {len(drawn)} wait for you" in text
    text = await ana.open(ana.links(r"/ui/findings/[^\"]*queue=yes[^\"]*")[0])
    assert "securetag-v1" not in text
    while "/verdict" in text:
        text = await ana.send("/verdict", verdict=FP)
    assert "Nothing waits for you." in await ana.open("/ui/review")
    modes = "SELECT DISTINCT mode FROM securetag.feedback WHERE tenant_id = %s"
    assert api.query(modes, tenant.id) == [("blind",)]
    second = {item["title"] for item in judged if share("second", item["id"]) < int(0.10 * 65_536) / 65_536}
    assert set(titles(await ben.open("/ui/findings?queue=yes"))) == drawn & second
    shown = [item for item in judged if item["title"] in second][:5]
    for number, item in enumerate(shown):
        if item["title"] not in drawn:
            body = {"occurrence_id": item["occurrence"]["id"], "verdict": FP, "saw_model": False}
            key = await create_key(api.engine, tenant.id, "ana", ("read", "feedback"), LOCAL_PEPPER)
            answer = await api.client(key).post(f"/findings/{item['id']}/feedback", json=body)
            assert answer.status_code == 201
        assert titles(await ana.open("/ui/findings?queue=yes")) == []
        await ben.open(f"/ui/findings/{item['id']}?queue=yes")
        assert "a ciegas" not in ben.page.text
        await ben.send("/verdict", verdict=TP if number == 0 else FP)
    text = await ana.open("/ui/review")
    assert f"Two people say the same of {len(shown) - 1} of {len(shown)} findings." in text
    assert f"n = {len(shown)}" in text
    assert re.search(rf"Judged blind, \d+ of {len(drawn)} are true", text)


def test_kappa_and_its_interval() -> None:
    pairs = [(TP, TP)] * 20 + [(TP, FP)] * 5 + [(FP, TP)] * 10 + [(FP, FP)] * 15
    result = compute_kappa(pairs)
    # https://en.wikipedia.org/wiki/Cohen%27s_kappa, the first example: 0.40.
    assert result.kappa == pytest.approx(0.4)
    assert result.interval is not None
    assert result.interval.low < 0.4 < result.interval.high
    equal = compute_kappa([(TP, TP), (FP, FP), (TP, TP)])
    assert equal.kappa == 1
    assert equal.interval is not None
    assert equal.interval.low < 0.3, "three equal verdicts prove little"
    assert compute_kappa([]).kappa is None
    assert compute_kappa([(TP, TP)] * 9).kappa is None


async def test_notes_and_assignee_on_the_page(api: Api, tenant: Tenant) -> None:
    browser = await person(api, tenant, "ana")
    await browser.open("/ui/findings")
    first = browser.links(FINDINGS)[0]
    await browser.open(first)
    text = await browser.send("/assign", assignee="ana")
    assert "assigned to ana" in text
    text = await browser.send("/notes", text="ask <b>ben</b>")
    assert "ask &lt;b&gt;ben&lt;/b&gt;" in text
    text = await browser.open("/ui/findings?noted=yes&assigned=yes")
    assert titles(text) == ["Issue 0"]
    assert "notes: 1" in text
    await browser.open(first)
    assert "assigned to ana" not in await browser.send("/assign", assignee="")
    await browser.send("/notes", text=" ")
    assert browser.page.status_code == 422
    item = (await tenant.client.get("/findings")).json()["items"][0]
    assert titles(await browser.open(f"/ui/findings?since={item['occurrence']['task_id']}")) == []
    assert len(titles(await browser.open("/ui/findings?since=2026-01-01"))) == 4
    await browser.open("/ui/findings?since=soon")
    assert browser.page.status_code == 422


async def test_the_script_gets_the_next_finding_without_a_redirect(api: Api) -> None:
    tenant = await api.tenant()
    await store_scan(api, tenant, *(make_finding(name, path=f"{name}.py") for name in "ab"))
    browser = await signed_in(api, tenant.key)
    await browser.open("/ui/findings")
    first, second = dict.fromkeys(
        link.partition("?")[0] for link in browser.links(r"/ui/findings/[0-9a-f-]{36}[^\"]*")
    )
    await browser.open(first)
    browser.client.headers["HX-Request"] = "true"
    await browser.send("/verdict", verdict="false_positive")
    assert browser.page.request.method == "POST"
    address = browser.page.headers["HX-Push-Url"]
    assert address.startswith(f"{second}?undo=verdict.")
    shown = browser.page.text
    # The page is the one that its address has, links to its languages included.
    assert await browser.open(address) == shown
    # The last one leads to the list.
    await browser.send("/verdict", verdict="false_positive")
    assert browser.page.request.method == "GET"
    assert browser.page.url.path == "/ui/findings"
