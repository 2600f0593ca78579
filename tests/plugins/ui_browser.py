"""A browser without JavaScript: follows links, keeps cookies, sends the forms that a page shows."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

import httpx
from api_in_process import Api

HEADERS = {"Accept": "text/html,application/xhtml+xml", "Accept-Language": "en"}
_FORM = re.compile(r'<form method="post" action="([^"]*)"[^>]*>(.*?)</form>', re.DOTALL)
_INPUT = re.compile(r'<input(?![^>]*type="checkbox")[^>]*name="([^"]*)"[^>]*value="([^"]*)"')


@dataclass
class Browser:
    """One person's browser."""

    client: httpx.AsyncClient
    page: httpx.Response = field(init=False)

    async def open(self, address: str) -> str:
        """Follow a link; return the page's text."""
        self.page = await self.client.get(address, follow_redirects=True)
        return self.page.text

    async def send(self, ending: str, **fields: str) -> str:
        """Send the form of this page whose address has this ending; return the text of the next page."""
        forms = [(action, body) for action, body in _FORM.findall(self.page.text) if action.endswith(ending)]
        assert forms, f"the page has no form to {ending}"
        action, body = forms[0]
        given = {name: html.unescape(value) for name, value in _INPUT.findall(body)}
        self.page = await self.client.post(action, data={**given, **fields}, follow_redirects=True)
        return self.page.text

    def links(self, pattern: str) -> list[str]:
        """The addresses on this page that match."""
        return [html.unescape(link) for link in re.findall(rf'href="({pattern})"', self.page.text)]


def new_browser(api: Api) -> Browser:
    """A browser that hasn't signed in."""
    client = httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url="http://api", headers=HEADERS)
    api.clients.append(client)
    return Browser(client)


async def signed_in(api: Api, key: str) -> Browser:
    """A browser that has signed in with this key."""
    browser = new_browser(api)
    await browser.open("/ui/sign-in")
    await browser.send("/ui/sign-in", key=key)
    return browser
