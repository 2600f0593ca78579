"""What frameworks and clients make of an address, against the real ones that are installed."""

from __future__ import annotations

import pytest
from starlette.responses import RedirectResponse
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url
from yarl import URL

from securetag.datasets.synthetic import meaning
from securetag.datasets.synthetic.frameworks import FRAMEWORKS
from securetag.datasets.synthetic.locations import load_libraries, location_writer
from securetag.datasets.synthetic.meaning import INSIDE, OUTSIDE, Meaning
from securetag.datasets.synthetic.payloads import list_payloads
from securetag.datasets.synthetic.sinks import SINKS

_ADDRESSES = sorted(
    {
        sink.text.replace("§", text)
        for sink in SINKS
        if sink.cwe in {"CWE-601", "CWE-918"}
        for text in (*sink.benign, *list_payloads(sink))
    }
)


@pytest.fixture(autouse=True, scope="module")
def _libraries() -> None:
    load_libraries()


def _leads(framework: str, address: str) -> Meaning:
    try:
        return meaning.redirect(location_writer(framework)(address))
    except Exception:
        return ("refused",)


def test_every_framework_has_a_writer() -> None:
    honest = "https://shop.example.com/cart"
    assert {framework.name: location_writer(framework.name)(honest) for framework in FRAMEWORKS} == {
        framework.name: honest for framework in FRAMEWORKS
    }


@pytest.mark.parametrize(
    ("framework", "address", "leads"),
    [
        ("django", "/\t//evil.net", INSIDE),
        ("fastapi", "/\\evil.net", INSIDE),
        ("flask", "/\t/evil.net", OUTSIDE),
        ("flask", "///evil.net", INSIDE),
        ("flask", "https:evil.net", OUTSIDE),
        ("bottle", "/\t/evil.net", OUTSIDE),
        ("falcon", "/\t//evil.net", OUTSIDE),
        ("falcon", "/\n//evil.net", ("refused",)),
        ("tornado", "/\t//evil.net", OUTSIDE),
        ("tornado", "/\r//evil.net", ("refused",)),
        ("http.server", "/\n//evil.net", OUTSIDE),
        ("django", "javascript:alert(1)", ("refused",)),
        ("django", "//evil.net", OUTSIDE),
    ],
)
def test_the_same_address_leads_elsewhere_by_framework(framework: str, address: str, leads: Meaning) -> None:
    assert _leads(framework, address) == leads


def test_starlette_writes_what_its_model_does() -> None:
    write = location_writer("starlette")
    assert {text: write(text) for text in _ADDRESSES} == {
        text: RedirectResponse(text).headers["location"] for text in _ADDRESSES
    }


def test_aiohttp_leads_where_yarl_does() -> None:
    def real(address: str) -> Meaning:
        try:
            return meaning.redirect(str(URL(address)))
        except ValueError:
            return ("refused",)

    assert {text: _leads("aiohttp", text) for text in _ADDRESSES} == {text: real(text) for text in _ADDRESSES}


def test_requests_asks_the_host_that_urllib3_reads() -> None:
    def real(address: str) -> Meaning:
        try:
            parts = parse_url(address)
        except LocationParseError:
            return ("refused",)
        if parts.scheme not in {"http", "https"} or not parts.host:
            return ("refused",)
        return INSIDE if parts.host in meaning.HOSTS else OUTSIDE

    def model(address: str) -> Meaning:
        try:
            return meaning.fetch_requests(address)
        except ValueError:
            return ("refused",)

    both = {text: (real(text), model(text)) for text in _ADDRESSES}
    differing = {text: each for text, each in both.items() if each[0] != each[1]}
    # What can't be a host's name is refused by one of the two alone, and harms nobody.
    assert not {text for text, each in differing.items() if ("refused",) not in each}
    assert len(differing) < len(both) / 10
    assert meaning.fetch_requests("https://evil.net\\@cdn.example.com/") == OUTSIDE
    assert meaning.fetch_httpx("https://evil.net\\@cdn.example.com/") == INSIDE
