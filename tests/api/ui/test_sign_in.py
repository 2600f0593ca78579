"""Sessions of the page: who gets in, for how long, and what no other site can do."""

from __future__ import annotations

import re
import time

import pytest
import time_machine
from api_in_process import Api
from ui_browser import new_browser, signed_in

from securetag.api.ui.rendering import FOLDER, load_texts
from securetag.api.ui.session import SESSION_SECONDS
from securetag.api.ui.sign_in import local_path

pytestmark = pytest.mark.anyio


async def test_a_key_is_exchanged_for_a_session_that_ends(api: Api) -> None:
    tenant, browser = await api.tenant(), new_browser(api)
    assert (await browser.client.get("/")).headers["location"] == "/ui/"
    assert "API key" in await browser.open("/ui/findings?severity=high")
    assert str(browser.page.url) == "http://api/ui/sign-in?next=%2Fui%2Ffindings%3Fseverity%3Dhigh"
    await browser.send("/ui/sign-in", key=f" {tenant.key}\n")
    assert (browser.page.status_code, str(browser.page.url)) == (200, "http://api/ui/findings?severity=high")
    cookie = browser.page.history[0].headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie, "over plain HTTP on this machine the browser would drop it"
    assert tenant.key not in cookie
    await browser.send("/ui/sign-out")
    assert str(browser.page.url) == "http://api/ui/sign-in"
    assert "API key" in await browser.open("/ui/findings")


async def test_a_session_ends_with_its_time_and_with_its_key(api: Api) -> None:
    tenant = await api.tenant()
    browser = await signed_in(api, tenant.key)
    session = browser.client.cookies["securetag_session"]
    assert "Sign out" in await browser.open("/ui/findings")
    with time_machine.travel(time.time() + SESSION_SECONDS + 60):
        later = new_browser(api)
        later.client.cookies.set("securetag_session", session, domain="api", path="/ui")
        assert "API key" in await later.open("/ui/findings")
    key_id = (await tenant.client.get("/keys")).json()["items"][0]["id"]
    assert (await tenant.client.delete(f"/keys/{key_id}")).status_code == 204
    assert "API key" in await browser.open("/ui/findings")


@pytest.mark.parametrize(
    "change", ["", "x", "eyJ9.", "{}.", "é"], ids=["empty", "short", "no mac", "json", "letters"]
)
async def test_a_cookie_that_this_api_did_not_make_opens_nothing(api: Api, change: str) -> None:
    tenant = await api.tenant()
    made = (await signed_in(api, tenant.key)).client.cookies["securetag_session"]
    payload, mac = made.split(".")
    for cookie in (change, f"{payload}.{mac[:-2]}", f"{payload[:-3]}.{mac}", "x" * 5_000):
        answer = await api.client().get(
            "/ui/findings", headers={"Cookie": f"securetag_session={cookie}".encode("latin-1")}
        )
        assert (answer.status_code, answer.headers["location"][:11]) == (303, "/ui/sign-in")


async def test_keys_that_open_nothing_say_so(api: Api) -> None:
    browser = new_browser(api)
    await browser.open("/ui/sign-in")
    for key, words in (
        ("nonsense", "known"),
        ("", "known"),
        ((await api.tenant("scan")).key, "may not read"),
    ):
        text = await browser.send("/ui/sign-in", key=key)
        assert browser.page.status_code == 401
        assert words in text
    tenant = await api.tenant("read")
    await browser.send("/ui/sign-in", key=tenant.key)
    assert "viewer" in browser.page.text


async def test_no_other_site_sends_a_form(api: Api) -> None:
    tenant = await api.tenant()
    browser = await signed_in(api, tenant.key)
    await browser.open("/ui/findings")
    token = re.findall(r'name="csrf" value="([^"]+)"', browser.page.text)[0]
    other = await signed_in(api, tenant.key)
    post = browser.client.post
    assert (await post("/ui/sign-out", data={})).status_code == 403
    assert (await post("/ui/sign-out", data={"csrf": "é"})).status_code in {403, 422}
    assert (await other.client.post("/ui/sign-out", data={"csrf": token})).status_code == 403
    assert (await new_browser(api).client.post("/ui/sign-in", data={"key": tenant.key})).status_code == 403
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert (await post("/ui/sign-out", data={"csrf": token}, headers=cross)).status_code == 403
    assert (await post("/ui/sign-out", data={"csrf": token})).status_code == 303


async def test_a_link_from_elsewhere_arrives(api: Api) -> None:
    """A browser withholds the cookie from it, and sends it when the page opens itself again."""
    answer = await new_browser(api).client.get("/ui/findings?q=x", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="0">' in answer.text


async def test_every_page_forbids_scripts_that_are_not_ours(api: Api) -> None:
    tenant = await api.tenant()
    browser = await signed_in(api, tenant.key)
    for address in ("/ui/sign-in", "/ui/findings", "/ui/scans", "/ui/nothing", "/ui/findings?severity=huge"):
        text = await browser.open(address)
        headers = browser.page.headers
        assert "script-src 'self';" in headers["content-security-policy"], address
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", text), address
        for name in re.findall(r'(?:src|<link[^>]*href)="([^"]+)"', text):
            asset = await browser.client.get(name)
            assert asset.status_code == 200, name
            assert "immutable" in asset.headers["cache-control"]
    assert browser.page.status_code == 422


async def test_the_page_is_secure_behind_tls(api: Api) -> None:
    api.settings.api.behind_proxy = True
    tenant = await api.tenant()
    browser = new_browser(api)
    page = await browser.client.get("/ui/sign-in")
    assert "; Secure" in page.headers["set-cookie"]
    assert tenant.key


async def test_a_program_is_not_sent_to_the_page(api: Api) -> None:
    answer = await api.client().get("/")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:securetag:problem:not-found")


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example/ui/", "/ui/\\evil", "/ui/\r\nX: y", "", "/docs"]
)
def test_signing_in_leads_to_no_other_site(target: str) -> None:
    assert local_path(target) == "/ui/"


async def test_every_text_exists_in_both_languages(api: Api) -> None:
    texts = load_texts()
    assert all(set(text) == {"en", "es"} for text in texts.values())
    sources = [path.read_text() for path in (FOLDER / "templates").iterdir()]
    used = {key for source in sources for key in re.findall(r'\bt\("([a-z_ ]+)"[,)]', source)}
    assert used <= texts.keys(), used - texts.keys()
    browser = new_browser(api)
    assert '<html lang="en">' in await browser.open("/ui/sign-in")
    assert '<html lang="es">' in await browser.open("/ui/sign-in?lang=es")
    assert "Clave de API" in await browser.open("/ui/sign-in"), "the choice is kept"
    spanish = await api.client().get("/ui/sign-in", headers={"Accept-Language": "es-CL,es;q=0.9,en;q=0.8"})
    assert "Clave de API" in spanish.text
