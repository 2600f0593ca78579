"""The whole file of a finding, its history, and the engines that agree."""

from __future__ import annotations

import json
import re
from uuid import UUID

import pytest
from api_in_process import Api, Tenant
from fake_queue import zipped
from hypothesis import given
from hypothesis import strategies as st
from rows import make_finding
from stored_scans import store_scan
from ui_browser import Browser, signed_in

from securetag.api.ui import code
from securetag.api.ui.code import MAX_LINES, cut_around, split_lines
from securetag.db import queue
from securetag.records import Finding, RuleMatch
from securetag.wire import queue as wire

pytestmark = pytest.mark.anyio

HOSTILE = "</span><script>alert(1)</script>\u202e"
SOURCE = "import os\n\n\ndef run(x):\n    os.system(x)\n" + HOSTILE + "\n"


async def uploaded(api: Api, tenant: Tenant, archive: bytes, *findings: Finding) -> UUID:
    """A completed scan of an uploaded archive."""
    task_id = UUID((await tenant.upload(archive)).json()["task_id"])
    await complete(api, tenant, task_id, *findings)
    return task_id


async def complete(api: Api, tenant: Tenant, task_id: UUID, *findings: Finding) -> None:
    claim = await queue.claim(api.engine, "w", ["codeaudit", "import"])
    assert claim is not None
    assert claim.lease.task_id == task_id
    request = wire.ResultRequest(
        task_id=task_id,
        outcome="completed",
        findings=[wire.TriagedFinding(finding=finding, verdict=None) for finding in findings],
    )
    await queue.record_result(api.engine, claim.lease, request)


def finding_in(path: str) -> Finding:
    return make_finding(
        path, path=path, start_line=5, end_line=5, snippet="    os.system(x)\n", snippet_line=5
    )


async def first_finding(browser: Browser) -> str:
    await browser.open("/ui/findings")
    return browser.links(r"/ui/findings/[^\"]*")[0]


@pytest.fixture
def source_zip() -> bytes:
    return zipped({"lib/run.py": SOURCE})


async def test_the_whole_file_is_shown_with_the_flagged_line(api: Api, source_zip: bytes) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    await uploaded(api, tenant, source_zip, finding_in("lib/run.py"))
    browser = await signed_in(api, tenant.key)
    await browser.open(await first_finding(browser))
    (link,) = set(browser.links(r"/ui/findings/[^\"]*/file[^\"]*"))
    text = await browser.open(link)
    lines = re.findall(r'<span id="L(\d+)" class="line([^"]*)">', text)
    assert lines == [("1", ""), ("2", ""), ("3", ""), ("4", ""), ("5", " flagged"), ("6", "")]
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "⟨U+202E⟩" in text
    stranger = await signed_in(api, other.key)
    await stranger.open(link)
    assert stranger.page.status_code == 404


async def test_the_whole_file_is_shown_without_the_values_of_secrets(api: Api) -> None:
    source = "API_KEY = 'q9X8w7V6u5T4s3R2'\n\n\ndef run(x):\n    connect(x, 'only it knows')\n"
    tenant = await api.tenant()
    about_secret = make_finding(
        "a", path="a.py", start_line=5, end_line=5, snippet="    connect(x)\n", snippet_line=5, cwe="CWE-798"
    )
    await uploaded(api, tenant, zipped({"a.py": source}), about_secret)
    browser = await signed_in(api, tenant.key)
    await browser.open(await first_finding(browser))
    (link,) = set(browser.links(r"/ui/findings/[^\"]*/file[^\"]*"))
    text = await browser.open(link)
    assert "q9X8w7V6u5T4s3R2" not in text
    assert "only it knows" not in text
    assert text.count("********") == 2


async def test_a_file_that_is_not_stored_is_said_to_be_so(api: Api, source_zip: bytes) -> None:
    tenant = await api.tenant()
    await uploaded(api, tenant, source_zip, finding_in("lib/other.py"))
    browser = await signed_in(api, tenant.key)
    address = (await first_finding(browser)).replace("?", "/file?")
    assert "The file is not stored" in await browser.open(address)
    task_id = await uploaded(api, tenant, source_zip, finding_in("lib/run.py"))
    for key in api.app.state.services.storage.keys(f"uploads/{tenant.id}"):
        api.app.state.services.storage.delete(key)
    text = await browser.open(address)
    assert browser.page.status_code == 200
    assert "The file is not stored" in text
    assert str(task_id) not in text


async def test_the_file_of_an_import_is_shown(api: Api, source_zip: bytes) -> None:
    tenant = await api.tenant()
    report = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Bandit"}}, "results": []}]}
    for files, says in (({"source": ("s.zip", source_zip)}, "os.system"), ({}, "The file is not stored")):
        sent = await tenant.client.post(
            "/findings/import",
            files={"file": ("r.sarif", json.dumps(report).encode()), **files},
            data={"project": "shop"},
        )
        await complete(api, tenant, UUID(sent.json()["task_id"]), finding_in("lib/run.py"))
        browser = await signed_in(api, tenant.key)
        assert says in await browser.open((await first_finding(browser)).replace("?", "/file?"))


@given(st.integers(1, 3 * MAX_LINES), st.integers(0, 3 * MAX_LINES))
def test_the_flagged_line_is_among_those_shown(line: int, more: int) -> None:
    text = "".join(f"{n}\n" for n in range(1, line + more + 1))
    whole = cut_around(text, line, is_cut=False)
    shown = split_lines(whole.text)
    assert shown[line - whole.first] == str(line)
    assert len(shown) == min(MAX_LINES, line + more)
    assert whole.is_cut == (line + more > MAX_LINES)


async def test_only_so_many_bytes_are_read(
    api: Api, source_zip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code, "MAX_FILE_BYTES", 20)
    tenant = await api.tenant()
    await uploaded(api, tenant, source_zip, finding_in("lib/run.py"))
    browser = await signed_in(api, tenant.key)
    text = await browser.open((await first_finding(browser)).replace("?", "/file?"))
    assert "The file is long" in text
    assert "os.system" not in text


async def test_the_history_says_what_each_scan_saw(api: Api) -> None:
    tenant = await api.tenant()
    match = [
        RuleMatch(tool=tool, rule_id="r", cwe="CWE-89", kind="traced", start_line=12, end_line=12)
        for tool in ("semgrep", "bandit")
    ]
    await store_scan(api, tenant, make_finding(matches=match), branch="main")
    await store_scan(api, tenant, make_finding(matches=match), branch="main")
    await store_scan(
        api,
        tenant,
        make_finding(matches=match, snippet="def f(x):\n    run('select  ' + x)\n"),
        branch="main",
    )
    browser = await signed_in(api, tenant.key)
    text = await browser.open(await first_finding(browser))
    history = text[text.index('<ol class="plain history">') :]
    items = re.findall(r"<li>.*?</li>", history[: history.index("</ol>")], re.DOTALL)
    assert ["the code had changed" in item for item in items] == [True, False, False]
    assert ["93 % false" in item for item in items] == [True] * 3
    assert "2 engines agree: semgrep, bandit." in text
    assert re.search(r"open</span> in main since", text)
