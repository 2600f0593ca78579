"""Each reader, on texts with a documented meaning."""

from __future__ import annotations

import html
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.datasets.synthetic import meaning
from securetag.datasets.synthetic.meaning import INSIDE, OUTSIDE


def by_name(value: str) -> str:
    return f"SELECT * FROM users WHERE name = '{value}'"


@pytest.mark.parametrize("value", ["x' OR '1'='1", "'; DROP TABLE t--", "x'--", "' UNION SELECT 1", "a' /*"])
def test_a_quote_in_a_quoted_value_changes_a_statement(value: str) -> None:
    assert meaning.sql(by_name(value)) != meaning.sql(by_name("alice"))


@given(st.text())
def test_doubled_quotes_keep_any_text_inside_its_literal(value: str) -> None:
    assert meaning.sql(by_name(value.replace("'", "''"))) == meaning.sql(by_name("alice"))


@given(st.from_regex(r"[0-9]{1,8}", fullmatch=True))
def test_numbers_are_data(value: str) -> None:
    assert meaning.sql(f"SELECT 1 FROM t WHERE id = {value}") == meaning.sql("SELECT 1 FROM t WHERE id = 7")


def test_a_column_name_is_not_a_number() -> None:
    # `WHERE id = id` is true of every row.
    assert meaning.sql("SELECT 1 FROM t WHERE id = id") != meaning.sql("SELECT 1 FROM t WHERE id = 7")


@pytest.mark.parametrize(
    "value", ["x; id", "x && id", "$(id)", "`id`", "x\nid", "a b", "x > f", "$HOME", "x|id"]
)
def test_a_shell_reads_more_than_a_word(value: str) -> None:
    assert meaning.shell(f"ping {value}") != meaning.shell("ping db1")


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_shlex_quote_makes_one_word_of_any_text(value: str) -> None:
    assert meaning.shell(f"ping {shlex.quote(value)}") == meaning.shell("ping db1")


@pytest.mark.parametrize(
    ("command", "same"),
    [("grep '$(id)' f", True), ('grep "$(id)" f', False), ('grep "a;b" f', True), ("grep a\\;b f", True)],
)
def test_quotes_count_in_a_shell(command: str, same: bool) -> None:
    assert (meaning.shell(command) == meaning.shell("grep x f")) is same


@pytest.mark.parametrize(
    ("name", "where"),
    [
        pytest.param("/srv/files/a.txt", INSIDE, id="file inside"),
        pytest.param("/srv/files", INSIDE, id="folder itself"),
        pytest.param("/srv/files/../files/a", INSIDE, id="parent and back inside"),
        pytest.param("/srv/files-old/a.txt", OUTSIDE, id="sibling folder with the same prefix"),
        pytest.param("/etc/passwd", OUTSIDE, id="other folder"),
        pytest.param("/srv/files/../../etc/passwd", OUTSIDE, id="parent segments out of the folder"),
        pytest.param("a.txt", OUTSIDE, id="relative to the working directory"),
        pytest.param("../files/a.txt", INSIDE, id="relative and back inside"),
    ],
)
def test_a_path_is_where_it_resolves_to(name: str, where: meaning.Meaning) -> None:
    assert meaning.path(name) == where


@pytest.mark.parametrize(
    ("address", "where"),
    [
        pytest.param("https://cdn.example.com/a", INSIDE, id="allowed host"),
        pytest.param("https://cdn.example.com:8443/", INSIDE, id="allowed host with a port"),
        pytest.param("https://cdn.example.com.evil.net/", OUTSIDE, id="allowed host as a subdomain"),
        pytest.param("https://cdn.example.com@evil.net/", OUTSIDE, id="allowed host as user info"),
        pytest.param("http://169.254.169.254/", OUTSIDE, id="metadata address"),
        pytest.param("https://evil.net/cdn.example.com", OUTSIDE, id="allowed host in the path"),
    ],
)
def test_a_request_goes_to_its_host(address: str, where: meaning.Meaning) -> None:
    assert meaning.fetch(address) == where


@pytest.mark.parametrize("address", ["cdn.example.com/a", "file:///etc/passwd", "https:///x", "//evil.net"])
def test_a_client_refuses_an_address_without_scheme_or_host(address: str) -> None:
    with pytest.raises(ValueError, match=r"address|host"):
        meaning.fetch(address)


@pytest.mark.parametrize(
    ("location", "where"),
    [
        pytest.param("/home", INSIDE, id="absolute path"),
        pytest.param("home?x=//evil.net", INSIDE, id="URL in the query"),
        pytest.param("https://shop.example.com/x", INSIDE, id="allowed host"),
        pytest.param("https:home", INSIDE, id="scheme without slashes"),
        pytest.param("//evil.net", OUTSIDE, id="two slashes"),
        pytest.param("/\\evil.net", OUTSIDE, id="slash and backslash"),
        pytest.param("\\\\evil.net", OUTSIDE, id="two backslashes"),
        pytest.param("///evil.net", OUTSIDE, id="three slashes"),
        pytest.param(" //evil.net", OUTSIDE, id="leading space"),
        pytest.param("/\t/evil.net", OUTSIDE, id="tab between slashes"),
        pytest.param("HTTP:evil.net", OUTSIDE, id="other scheme without slashes"),
        pytest.param("javascript:alert(1)", OUTSIDE, id="javascript scheme"),
        pytest.param("https://shop.example.com@evil.net/", OUTSIDE, id="allowed host as user info"),
        pytest.param("https://shop.example.com.evil.net/", OUTSIDE, id="allowed host as a subdomain"),
        pytest.param("//shop.example.com/x", INSIDE, id="two slashes and the allowed host"),
    ],
)
def test_a_browser_goes_where_the_standard_sends_it(location: str, where: meaning.Meaning) -> None:
    assert meaning.redirect(location) == where


TEXT, QUOTED, UNQUOTED = "<p>{}</p>", '<input value="{}">', "<img alt={}>"


@given(st.text().filter(lambda text: "\0" not in text))
def test_html_escape_holds_in_text_and_in_quotes(value: str) -> None:
    for form in (TEXT, QUOTED):
        assert (
            meaning.page(form.format(html.escape(value))) == meaning.page(form.format("alice")) or value == ""
        )


def test_html_escape_does_not_hold_in_a_bare_attribute() -> None:
    attack = html.escape("x onerror=alert(1)")
    assert meaning.page(UNQUOTED.format(attack)) != meaning.page(UNQUOTED.format("alice"))


@pytest.mark.parametrize("value", ['";alert(1);//', "</script><script>alert(1)", '"-alert(1)-"'])
def test_a_script_string_is_left_by_a_quote_or_an_end_tag(value: str) -> None:
    form = '<script>var q = "{}"</script>'
    assert meaning.page(form.format(value)) != meaning.page(form.format("alice"))


def test_a_javascript_address_is_a_script() -> None:
    form = '<a href="{}">x</a>'
    assert meaning.page(form.format("javascript:alert(1)")) != meaning.page(form.format("/home"))


@pytest.mark.parametrize("text", ["exit()", "secrets", "[].__class__", "(lambda: 1)()", "7 if exit() else 1"])
def test_code_is_more_than_a_number(text: str) -> None:
    assert meaning.code(text) != meaning.code("7")


@given(st.integers(), st.integers(min_value=1))
def test_arithmetic_on_numbers_is_data(left: int, right: int) -> None:
    assert meaning.code(f"{left} + {right}") == meaning.code("7")
