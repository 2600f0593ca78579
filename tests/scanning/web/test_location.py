"""A web finding: what identifies it, what is left of secrets, and that no report can break it."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from within import within

from securetag import triage
from securetag.scanning.web.location import WebMatch, web_findings
from securetag.scanning.web.redact import redact
from securetag.wire.queue import TriagedFinding

ORIGIN = "https://shop.example.com"
MATCH = WebMatch(
    rule_id="wapiti.reflected-cross-site-scripting",
    title="Reflected Cross Site Scripting",
    message="A script in the parameter q is part of the answer.",
    severity="medium",
    url=f"{ORIGIN}/search?q=%3Cscript%3E",
    parameter="q",
    request="GET /search?q=%3Cscript%3E HTTP/1.1\nhost: shop.example.com",
    evidence="HTTP 200\n<p>Results for <script></p>",
    cwe="CWE-79",
)


def fingerprints(*matches: WebMatch) -> list[str]:
    return [item.fingerprint for item in web_findings(matches, tool="wapiti", origin=ORIGIN)]


def test_a_match_becomes_a_finding_with_a_place_in_the_application() -> None:
    (finding,) = web_findings([MATCH], tool="wapiti", origin=ORIGIN)
    assert (finding.path, finding.scope, finding.language) == ("/search", "q", "http")
    assert finding.web is not None
    assert (finding.web.url, finding.web.method) == (f"{ORIGIN}/search", "GET")
    assert finding.snippet.splitlines()[0] == "GET /search?q=%3Cscript%3E HTTP/1.1"
    assert "Results for <script>" in finding.snippet
    prompt = triage.render(finding, profile="compact").messages[1].content
    assert prompt.startswith("CWE-79 GET /search, parameter q\n>GET ")


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        pytest.param({"request": "GET /search?q=%22%3E HTTP/1.1"}, True, id="another payload"),
        pytest.param({"url": f"{ORIGIN}/search?q=1&page=2#top"}, True, id="another query"),
        pytest.param({"url": "/search"}, True, id="a path alone"),
        pytest.param({"evidence": "HTTP 500"}, True, id="another answer"),
        pytest.param({"message": "in other words", "severity": "high"}, True, id="other words"),
        pytest.param({"method": "get"}, True, id="a method in small letters"),
        pytest.param({"parameter": "page"}, False, id="another parameter"),
        pytest.param({"url": f"{ORIGIN}/find"}, False, id="another path"),
        pytest.param({"method": "POST"}, False, id="another method"),
        pytest.param({"rule_id": "wapiti.sql-injection"}, False, id="another rule"),
    ],
)
def test_payloads_and_answers_do_not_identify_a_finding(changes: dict[str, str], is_same: bool) -> None:
    changed = replace(MATCH, **changes)  # type: ignore[arg-type]
    assert (fingerprints(changed) == fingerprints(MATCH)) is is_same


def test_another_host_is_another_finding() -> None:
    (other,) = web_findings([MATCH], tool="wapiti", origin="https://staging.example.com")
    assert [other.fingerprint] != fingerprints(MATCH)


def test_the_order_of_a_report_changes_nothing() -> None:
    matches = [MATCH, replace(MATCH, request="GET /search?q=a HTTP/1.1"), replace(MATCH, parameter="page")]
    orders = [web_findings(order, tool="wapiti", origin=ORIGIN) for order in itertools.permutations(matches)]
    assert all(findings == orders[0] for findings in orders)
    assert len(orders[0]) == 2


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        pytest.param("Authorization: Basic aHVudGVyMjpodW50ZXIy", "aHVudGVyMjpodW50ZXIy", id="Authorization"),
        pytest.param("x-api-key: 4711-secret", "4711-secret", id="a key in a header"),
        pytest.param("cookie: session=s3ss10n; theme=dark", "s3ss10n", id="a cookie"),
        pytest.param("request:\n    cookie: sid=s3ss10n", "s3ss10n", id="a cookie in a log"),
        pytest.param("Set-Cookie: sid=s3ss10n; HttpOnly", "s3ss10n", id="a cookie that is set"),
        pytest.param("GET /login?user=a&password=hunter2 HTTP/1.1", "hunter2", id="a query"),
        pytest.param("user=a&csrf_token=hunter2", "hunter2", id="a form"),
        pytest.param('{"user": "a", "apiKey": "hunter2"}', "hunter2", id="JSON"),
        pytest.param("curl https://admin:hunter2@shop.example.com/", "hunter2", id="a login in a URL"),
        pytest.param("token is eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJzdWIiOiIxIn0", id="a JWT"),
        pytest.param("key AKIAIOSFODNN7EXAMPLE here", "AKIAIOSFODNN7EXAMPLE", id="an AWS key"),
        pytest.param("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n", "MIIEow", id="a private key, cut off"),
        pytest.param("sent Bearer abcdefgh12345678", "abcdefgh12345678", id="a bearer token"),
    ],
)
def test_secrets_are_left_out_everywhere(text: str, secret: str) -> None:
    match = replace(MATCH, request=text, evidence=text, message=text)
    (finding,) = web_findings([match], tool="wapiti", origin=ORIGIN)
    assert secret not in TriagedFinding(finding=finding).model_dump_json()
    assert "[redacted]" in finding.snippet


def test_the_prompt_has_no_routine_headers() -> None:
    headers = "host: shop\nuser-agent: Mozilla\nAccept-Language: en\nconnection: keep-alive\nx-own: 1"
    (finding,) = web_findings(
        [replace(MATCH, request=f"GET / HTTP/1.1\n{headers}")], tool="wapiti", origin=ORIGIN
    )
    assert finding.snippet.startswith("GET / HTTP/1.1\nhost: shop\nx-own: 1\n\nHTTP 200")
    assert finding.web is not None
    assert finding.web.request.endswith(headers)


def test_what_is_attacked_stays_readable() -> None:
    text = "GET /login?password=%27+OR+1%3D1&token=4711 HTTP/1.1\ncookie: session=a; lang=b\nhost: shop"
    assert redact(text, keep="password") == (
        "GET /login?password=%27+OR+1%3D1&token=[redacted] HTTP/1.1\n"
        "cookie: session=[redacted]; lang=[redacted]\nhost: shop"
    )
    assert "lang=b" in redact(text, keep="lang")


texts = st.text(max_size=300) | st.sampled_from(["http://[", "//evil/", "\x00\r\n", "a" * 50_000, "\ud800"])


@given(url=texts, method=texts, parameter=texts, request=texts, evidence=texts, title=texts)
def test_no_report_breaks_a_finding(
    url: str, method: str, parameter: str, request: str, evidence: str, title: str
) -> None:
    match = WebMatch(
        rule_id="r",
        title=title,
        message=title,
        severity="low",
        url=url,
        method=method,
        parameter=parameter,
        request=request,
        evidence=evidence,
    )
    (finding,) = web_findings([match], tool="wapiti", origin=ORIGIN)
    sent = TriagedFinding(finding=finding).model_dump_json()
    assert TriagedFinding.model_validate_json(sent).finding == finding
    assert not any(c < " " and c != "\n" and c != "\t" for c in json.loads(sent)["finding"]["snippet"])
    assert finding.web is not None
    assert finding.web.url.startswith(f"{ORIGIN}/")
    for profile in triage.PROMPT_VERSIONS:
        prompt = triage.render(finding, profile=profile)
        assert len(prompt.messages[1].content) < triage.MAX_SNIPPET_CHARS[profile] + 2_500
        assert triage.read_prompt(prompt.messages, prompt.version).lines == prompt.lines


@pytest.mark.hostile
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a.a-" * 100_000, id="words with dots"),
        pytest.param("cookie: " + "a" * 400_000, id="a cookie without a value"),
        pytest.param("x-" + "key" * 100_000, id="a header without an end"),
        pytest.param("eyJ-" * 100_000, id="beginnings of tokens"),
        pytest.param("-----BEGIN PRIVATE KEY-----" * 20_000, id="beginnings of keys"),
        pytest.param("://a:" * 100_000, id="beginnings of logins"),
    ],
)
def test_redacting_hostile_text_is_cheap(text: str) -> None:
    with within(cpu_s=3):
        redact(text)
