from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.extractors.text import prose

PIECES = st.sampled_from(
    ["`", "``", "```", "~~~", "\n", "\n\n", " ", "a", "(Citation: ", ")", "{{ insert: param, x }}", "xhtml:",
     "\ufffd", "&amp;", "&lt;", "amp;", "&", "#40;", "<code>", "</code>", "<pre>", "</pre>", "<b>", "<br/>",
     "[x](y)", "\\", "&#96;", "\u037e", "<!--", "-->", "<script>", "\x00", "| a |", "é", "İ"]
)  # fmt: skip
HOSTILE = [
    "`" * 50_000, "` `` " * 20_000, "[" * 50_000, "<code>" * 20_000, "&" * 50_000, "(Citation: " * 20_000,
    "<p " * 20_000, "<!--" * 20_000, "<code>" * 20_000 + "</b>", "<pre><code>" * 20_000 + "</code>",
    "<p" + " a" * 50_000, "[[a]" * 30_000, "[a]: b\n" + "[a]" * 30_000,
    "[a\n" * 30_000 + "[a]: b", "[a]:\n" * 30_000,
]  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=200))
def test_nothing_unclean_is_left_whatever_comes_in(text: str) -> None:
    assert prose.find_residue(prose.clean(text)) == []


@given(st.lists(PIECES, max_size=30).map("".join))
def test_segments_join_to_the_text(text: str) -> None:
    assert "".join(piece for _, piece in prose.iter_segments(text)) == text


@given(st.text(alphabet="ab`\n <>&;", max_size=60))
def test_a_code_block_holds_any_code_as_it_is(code: str) -> None:
    code = code.strip("\n")
    pieces = list(prose.iter_segments(prose.make_code_block(code, "py")))
    assert all(is_code for is_code, _ in pieces)
    assert code in pieces[0][1]


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Used by X. (Citation: A (2019) b) (Citation: C)", "Used by X."),
        ("see [Rootkit](https://attack.mitre.org/techniques/T1014) now", "see Rootkit now"),
        ("use [`open`](https://e.org/o) and [a\nb](\n  https://e.org/)", "use `open` and a\nb"),
        ("[![alt](i.png)](https://e.org)", "alt"),
        (
            "[the\nlist][1], [Old] and [`a[0][1]`][B c]\n\n[1]: https://e.org\n[b C]: <u> 'x'\n[OLD]:\n /o",
            "the\nlist, Old and `a[0][1]`",
        ),
        ("m[0][2] and [no][3] stay\n\n[1]: https://e.org", "m[0][2] and [no][3] stay"),
        ("x `[a][1]` y\n\n[1]: z", "x `[a][1]` y"),
        ("run <code>touch &lt;x&gt; &amp;&amp; ls</code>", "run `touch <x> && ls`"),
        ("path <code>C:\\Users\\</code> (Citation: X)\n\n`&amp;`", "path `C:\\Users\\`\n\n`&amp;`"),
        ("<code>a<code> or <code>b</code>", "`a` or `b`"),
        ("AT&amp;T &lt;script&gt; &unknown;", "AT&T <script> &unknown;"),
        ("one<br>two<p>three</p>", "one\ntwo\n\nthree"),
        ("<b>x</b> <username> <script>alert(1)</script>", "**x** <username> <script>alert(1)</script>"),
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
        (
            "```\n&amp; (Citation: kept) {{ insert: kept }}\n```",
            "```\n&amp; (Citation: kept) {{ insert: kept }}\n```",
        ),
        ("\ufeffa\r\nb\ufffd", "a\nb"),
        ("do {{ insert: param, ac-1 }} now", "do [parameter] now"),
        ("a <!-- hidden --> b", "a  b"),
    ],
)
def test_clean(raw: str, clean: str) -> None:
    assert prose.clean(raw) == clean


def test_an_entity_that_was_escaped_twice_stays_readable_as_code() -> None:
    assert "`&lt;`" in prose.clean("write &amp;lt; instead")


@pytest.mark.hostile
@pytest.mark.parametrize("hostile", HOSTILE, ids=[text[:6] for text in HOSTILE])
def test_hostile_text_takes_no_time(hostile: str) -> None:
    prose.clean(hostile)
