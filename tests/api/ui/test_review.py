"""What an analyst does on the page, without JavaScript: filter, read, judge, suppress."""

from __future__ import annotations

import html
import re

import pytest
from api_in_process import Api
from rows import make_finding
from stored_scans import store_scan
from ui_browser import Browser, signed_in

from securetag.api.ui.rendering import show_hidden
from securetag.records import RuleMatch, TraceStep

pytestmark = pytest.mark.anyio

SQL = make_finding("sql", title="SQL injection", path="app/db.py", rank=900)
SHELL = make_finding(
    "shell",
    title="Shell injection",
    path="lib/run.py",
    rule_id="python.shell",
    cwe="CWE-78",
    severity="critical",
    confidence="low",
    rank=500,
)
COOKIE = make_finding("cookie", title="Cookie", path="web/c.py", cwe="CWE-614", severity="low", rank=100)


def titles(page: str) -> list[str]:
    return re.findall(r'class="what"><b>([^<]*)</b>', page)


async def reviewer(api: Api, *scopes: str) -> tuple[Browser, str]:
    """A signed-in browser, and the tenant's key with all scopes."""
    tenant = await api.tenant()
    await store_scan(api, tenant, SQL, SHELL, COOKIE, branch="main")
    return await signed_in(api, await api.key(tenant.id, *(scopes or ("read", "feedback")))), tenant.key


async def test_a_list_is_narrowed_by_links_that_say_how_many(api: Api) -> None:
    browser, _ = await reviewer(api)
    assert titles(await browser.open("/ui/findings")) == ["SQL injection", "Shell injection", "Cookie"]
    counted = re.findall(r'href="([^"]*)"><span>([^<]*)</span> <span class="count">(\d+)', browser.page.text)
    assert ("critical", "1") in [(text, count) for _, text, count in counted]
    for address, text, count in counted:
        narrowed = titles(await browser.open(html.unescape(address)))
        assert len(narrowed) == int(count), text
    for query, expected in (
        ("severity=critical", ["Shell injection"]),
        ("confidence=high", ["SQL injection", "Cookie"]),
        ("cwe=CWE-614", ["Cookie"]),
        ("rule=python.shell", ["Shell injection"]),
        ("verdict=true_positive", []),
        ("project=shop&branch=main&state=reopened", []),
        ("state=any", ["SQL injection", "Shell injection", "Cookie"]),
        ("q=WEB/c", ["Cookie"]),
        ("q=WEB%25c.py", []),
        ("reviewed=yes", []),
        ("disagree=yes", []),
        ("suppressed=no&severity=&branch=", ["SQL injection", "Shell injection", "Cookie"]),
    ):
        assert titles(await browser.open(f"/ui/findings?{query}")) == expected, query
    assert "no project of this name" not in await browser.open("/ui/findings?project=other")
    assert browser.page.status_code == 404


async def test_pages_follow_each_other_by_rank(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("securetag.api.ui.findings.PAGE_SIZE", 2)
    browser, _ = await reviewer(api)
    assert titles(await browser.open("/ui/findings?q=PYTH")) == ["SQL injection", "Shell injection"]
    (following,) = set(browser.links(r"/ui/findings\?q=PYTH&amp;cursor=[^\"]*"))
    assert titles(await browser.open(following)) == ["Cookie"]
    # No index answers two letters.
    assert "three letters or digits in a row" in await browser.open("/ui/findings?q=in")
    assert browser.page.status_code == 422


async def test_a_verdict_is_stored_and_leads_to_the_next(api: Api) -> None:
    browser, key = await reviewer(api)
    await browser.open("/ui/findings?reviewed=no")
    first = browser.links(r"/ui/findings/[^\"]*")[0]
    text = await browser.open(first)
    assert "<title>SQL injection" in text
    text = await browser.send(
        "/verdict", verdict="true_positive", disposition="fix", comment="reached\r\nby <b>"
    )
    assert "<title>Shell injection" in text
    assert "reviewed=no" in str(browser.page.url)
    await browser.send("/verdict", verdict="false_positive")
    text = await browser.send("/verdict", verdict="needs_review")
    assert "/ui/findings?reviewed=no&undo=verdict." in str(browser.page.url), "the last one leads to the list"
    assert titles(text) == []
    assert titles(await browser.open("/ui/findings?disagree=yes")) == ["SQL injection"]
    items = (await api.client(key).get("/findings")).json()["items"]
    given = [item["feedback"] for item in items]
    assert [feedback["verdict"] for feedback in given] == ["true_positive", "false_positive", "needs_review"]
    assert [feedback["source"] for feedback in given] == ["person"] * 3
    assert (given[0]["disposition"], given[0]["comment"], given[0]["saw_model"]) == (
        "fix",
        "reached\nby <b>",
        True,
    )


async def test_a_verdict_on_older_code_is_refused(api: Api) -> None:
    tenant = await api.tenant()
    await store_scan(api, tenant, SQL, branch="main")
    browser = await signed_in(api, tenant.key)
    await browser.open("/ui/findings")
    await browser.open(browser.links(r"/ui/findings/[^\"]*")[0])
    await store_scan(api, tenant, SQL, branch="main")
    text = await browser.send("/verdict", verdict="false_positive")
    assert browser.page.status_code == 409
    assert "newer scan" in text


async def test_a_viewer_reads_and_decides_nothing(api: Api) -> None:
    tenant = await api.tenant("read")
    await store_scan(api, tenant, SQL)
    browser = await signed_in(api, tenant.key)
    await browser.open("/ui/findings")
    address = browser.links(r"/ui/findings/[^\"]*")[0].partition("?")[0]
    text = await browser.open(address)
    assert "/verdict" not in text
    token = re.findall(r'name="csrf" value="([^"]+)"', text)[0]
    for ending in ("verdict", "suppress"):
        answer = await browser.client.post(f"{address}/{ending}", data={"csrf": token})
        assert answer.status_code == 403, ending
    for table in ("feedback", "suppression"):
        assert api.query(f"SELECT count(*) FROM securetag.{table} WHERE tenant_id = %s", tenant.id) == [(0,)]


async def test_a_suppression_says_what_why_and_until_when(api: Api) -> None:
    browser, _ = await reviewer(api)
    await browser.open("/ui/findings")
    first, second, third = dict.fromkeys(browser.links(r"/ui/findings/[^\"]*"))
    await browser.open(first)
    await browser.send("/suppress", reason="behind the proxy", owner="ana", expires_on="2999-12-31")
    assert "<title>Shell injection" in browser.page.text
    text = await browser.open(first)
    assert "Suppressed by ana: behind the proxy" in text
    assert "2999-12-31" in text
    await browser.send("/end")
    assert "behind the proxy" not in browser.page.text
    await browser.open(second)
    await browser.send("/suppress", reason="generated", scope="rule", path="lib/**")
    await browser.open(third)
    await browser.send("/suppress", reason="generated", scope="path", path="web")
    assert titles(await browser.open("/ui/findings?suppressed=yes")) == ["Shell injection", "Cookie"]
    await browser.open(first)
    for bad in (
        {"reason": ""},
        {"reason": "why", "expires_on": "soon"},
        {"reason": "why", "expires_on": "2020-01-01"},
    ):
        await browser.open(first)
        await browser.send("/suppress", **bad)
        assert browser.page.status_code == 422, bad


HOSTILE = "</span><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}\u202e\x1b[31m\u200b\u2066"


async def test_what_scanned_code_says_is_shown_and_never_run(api: Api) -> None:
    tenant = await api.tenant()
    step = TraceStep(path="a/" + HOSTILE, start_line=12, end_line=12, text=HOSTILE)
    match = RuleMatch(tool="x", rule_id=HOSTILE, cwe="CWE-1", kind="traced", start_line=12, end_line=12)
    hostile = make_finding(
        "hostile",
        title=HOSTILE,
        message=HOSTILE,
        recommendation=HOSTILE,
        path="a/" + HOSTILE,
        snippet=f"def f():\n    {HOSTILE}\r\n",
        scope=HOSTILE,
        rule_id=HOSTILE,
        trace=[step],
        matches=[match],
    )
    await store_scan(api, tenant, hostile, branch="<b>\"'")
    browser = await signed_in(api, tenant.key)
    pages = [await browser.open("/ui/findings")]
    address = browser.links(r"/ui/findings/[^\"]*")[0]
    pages.append(await browser.open(address))
    await browser.send("/verdict", verdict="true_positive", comment=HOSTILE)
    await browser.open(address)
    await browser.send("/suppress", reason=HOSTILE, owner="<i>")
    pages += [browser.page.text, await browser.open(address)]
    pages.append(await browser.open("/ui/scans"))
    pages.append(await browser.open(browser.links(r"/ui/scans/[^\"]*")[0]))
    pages.append(
        await browser.open("/ui/findings?" + "&".join(f"{name}=%3Cscript%3E%22" for name in ("q", "rule")))
    )
    for page in pages:
        assert "<script>" not in page
        assert "<img" not in page
        assert '<b>"' not in page
        assert not re.search("[\u202e\x1b\u200b\u2066]", page), "a reader sees what is there"
    assert "⟨U+202E⟩⟨U+001B⟩[31m⟨U+200B⟩⟨U+2066⟩" in pages[1]
    assert "{{7*7}}" in pages[1]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("ñ 漢 🙂", "ñ 漢 🙂"),
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("\ud800", "⟨U+D800⟩"),
        ("x\r\n", "x⟨U+000D⟩\n"),
        ("\u3164", "\u3164"),
    ],
)
def test_characters_that_nobody_sees_are_named(text: str, shown: str) -> None:
    assert show_hidden(text) == shown


async def test_the_code_shows_what_to_look_at(api: Api) -> None:
    tenant = await api.tenant()
    trace = [TraceStep(path="app/db.py", start_line=11, end_line=11, text="x")]
    await store_scan(api, tenant, make_finding("sql", trace=trace, path="app/db.py"), gate="demo")
    browser = await signed_in(api, tenant.key)
    await browser.open("/ui/findings")
    text = await browser.open(browser.links(r"/ui/findings/[^\"]*")[0])
    lines = re.findall(r'class="line([^"]*)"><span class="number">(\d+)</span>', text)
    assert lines == [(" traced", "11"), (" flagged", "12")]
    assert "Probability of a false positive: 93 %" in text
    assert "(not calibrated)" in text
    assert "only the gate of the demo" in text


async def test_a_calibrated_verdict_shows_its_threshold(api: Api) -> None:
    tenant = await api.tenant()
    await store_scan(api, tenant, make_finding("sql"), threshold=0.925)
    browser = await signed_in(api, tenant.key)
    await browser.open("/ui/findings")
    text = await browser.open(browser.links(r"/ui/findings/[^\"]*")[0])
    assert "(it dismisses from 92.5 % on)" in text
    assert "(not calibrated)" not in text


async def test_code_that_retention_removed_takes_no_verdict(api: Api) -> None:
    tenant = await api.tenant()
    await store_scan(api, tenant, make_finding("gone", snippet=""))
    browser = await signed_in(api, tenant.key)
    await browser.open("/ui/findings")
    address = browser.links(r"/ui/findings/[^\"]*")[0].partition("?")[0]
    text = await browser.open(address)
    assert "has been removed" in text
    assert "/verdict" not in text
    token = re.findall(r'name="csrf" value="([^"]+)"', text)[0]
    occurrence = (await tenant.client.get("/findings")).json()["items"][0]["occurrence"]["id"]
    form = {"csrf": token, "occurrence_id": occurrence, "verdict": "true_positive"}
    assert (await browser.client.post(f"{address}/verdict", data=form)).status_code == 410


async def test_a_scan_is_read_downloaded_and_stopped(api: Api) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    task_id = await store_scan(api, tenant, SQL)
    browser = await signed_in(api, tenant.key)
    text = await browser.open(f"/ui/scans/{task_id}")
    assert re.findall(r"<td[^>]*>(\w+)</td>", text) == ["python", "2", "40"]
    for form, start in (("sarif", '{"'), ("csv", '"finding_id",'), ("json", "[")):
        content = await browser.open(f"/ui/scans/{task_id}/export/{form}")
        assert content.lstrip("\ufeff").startswith(start), form
        assert "attachment" in browser.page.headers["content-disposition"]
        assert "app/db.py" in content
    foreign = await signed_in(api, other.key)
    for address in (f"/ui/scans/{task_id}", f"/ui/scans/{task_id}/export/csv"):
        await foreign.open(address)
        assert foreign.page.status_code == 404
    assert "/cancel" not in text


async def test_a_waiting_scan_is_cancelled(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    task_id = (await tenant.upload(archive)).json()["task_id"]
    reader = await signed_in(api, await api.key(tenant.id, "read"))
    text = await reader.open(f"/ui/scans/{task_id}")
    assert "queued" in text
    assert f'sse-connect="/ui/scans/{task_id}/events"' in text
    assert "/cancel" not in text
    token = re.findall(r'name="csrf" value="([^"]+)"', text)[0]
    refused = await reader.client.post(f"/ui/scans/{task_id}/cancel", data={"csrf": token})
    assert refused.status_code == 403
    browser = await signed_in(api, tenant.key)
    await browser.open(f"/ui/scans/{task_id}")
    text = await browser.send("/cancel")
    assert "cancelled" in text
    assert "sse-connect" not in text
