"""Each reader against texts whose meaning is known."""

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


def test_a_column_name_is_no_number() -> None:
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
        ("/srv/files/a.txt", INSIDE),
        ("/srv/files", INSIDE),
        ("/srv/files/../files/a", INSIDE),
        ("/srv/files-old/a.txt", OUTSIDE),
        ("/etc/passwd", OUTSIDE),
        ("/srv/files/../../etc/passwd", OUTSIDE),
        ("a.txt", OUTSIDE),
        ("../files/a.txt", INSIDE),
    ],
)
def test_a_path_is_where_it_resolves_to(name: str, where: meaning.Meaning) -> None:
    assert meaning.path(name) == where


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("https://cdn.example.com/a", INSIDE),
        ("https://cdn.example.com:8443/", INSIDE),
        ("https://cdn.example.com.evil.net/", OUTSIDE),
        ("https://cdn.example.com@evil.net/", OUTSIDE),
        ("http://169.254.169.254/", OUTSIDE),
        ("https://evil.net/cdn.example.com", OUTSIDE),
    ],
)
def test_a_request_goes_to_its_host(address: str, where: meaning.Meaning) -> None:
    assert meaning.fetch(address) == where


@pytest.mark.parametrize("address", ["cdn.example.com/a", "file:///etc/passwd", "https:///x", "//evil.net"])
def test_a_client_refuses_what_has_no_scheme_or_host(address: str) -> None:
    with pytest.raises(ValueError, match=r"address|host"):
        meaning.fetch(address)


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("/home", INSIDE),
        ("home?x=//evil.net", INSIDE),
        ("https://shop.example.com/x", INSIDE),
        ("https:home", INSIDE),
        ("//evil.net", OUTSIDE),
        ("/\\evil.net", OUTSIDE),
        ("\\\\evil.net", OUTSIDE),
        ("///evil.net", OUTSIDE),
        (" //evil.net", OUTSIDE),
        ("/\t/evil.net", OUTSIDE),
        ("HTTP:evil.net", OUTSIDE),
        ("javascript:alert(1)", OUTSIDE),
        ("https://shop.example.com@evil.net/", OUTSIDE),
        ("https://shop.example.com.evil.net/", OUTSIDE),
        ("//shop.example.com/x", INSIDE),
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
