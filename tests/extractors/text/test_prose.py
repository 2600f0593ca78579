from __future__ import annotations

from collections.abc import Callable

import pytest
from growth import assert_grows_linearly
from hypothesis import given
from hypothesis import strategies as st

from securetag.extractors.text import prose

PIECES = st.sampled_from(
    [
        "`",
        "``",
        "```",
        "~~~",
        "\n",
        "\n\n",
        " ",
        "a",
        "(Citation: ",
        ")",
        "{{ insert: param, x }}",
        "xhtml:",
        "\ufffd",
        "&amp;",
        "&lt;",
        "amp;",
        "&",
        "#40;",
        "<code>",
        "</code>",
        "<pre>",
        "</pre>",
        "<b>",
        "<br/>",
        "[x](y)",
        "\\",
        "&#96;",
        "\u037e",
        "<!--",
        "-->",
        "<script>",
        "\x00",
        "| a |",
        "é",
        "İ",
    ]
)
#: Kind → the hostile text that repeats it n times.
HOSTILE: dict[str, Callable[[int], str]] = {
    "backticks": lambda n: "`" * n,
    "runs of backticks": lambda n: "` `` " * n,
    "open brackets": lambda n: "[" * n,
    "open code tags": lambda n: "<code>" * n,
    "ampersands": lambda n: "&" * n,
    "open citations": lambda n: "(Citation: " * n,
    "open paragraphs": lambda n: "<p " * n,
    "open comments": lambda n: "<!--" * n,
    "code tags and another end": lambda n: "<code>" * n + "</b>",
    "nested code tags and one end": lambda n: "<pre><code>" * n + "</code>",
    "attributes": lambda n: "<p" + " a" * n,
    "nested brackets": lambda n: "[[a]" * n,
    "references to one definition": lambda n: "[a]: b\n" + "[a]" * n,
    "open references": lambda n: "[a\n" * n + "[a]: b",
    "empty definitions": lambda n: "[a]:\n" * n,
}


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
        pytest.param("Used by X. (Citation: A (2019) b) (Citation: C)", "Used by X.", id="citations"),
        pytest.param(
            "see [Rootkit](https://attack.mitre.org/techniques/T1014) now", "see Rootkit now", id="link"
        ),
        pytest.param(
            "use [`open`](https://e.org/o) and [a\nb](\n  https://e.org/)",
            "use `open` and a\nb",
            id="link over lines",
        ),
        pytest.param("[![alt](i.png)](https://e.org)", "alt", id="image in a link"),
        pytest.param(
            "[the\nlist][1], [Old] and [`a[0][1]`][B c]\n\n[1]: https://e.org\n[b C]: <u> 'x'\n[OLD]:\n /o",
            "the\nlist, Old and `a[0][1]`",
            id="reference links",
        ),
        pytest.param(
            "m[0][2] and [no][3] stay\n\n[1]: https://e.org",
            "m[0][2] and [no][3] stay",
            id="undefined reference",
        ),
        pytest.param("x `[a][1]` y\n\n[1]: z", "x `[a][1]` y", id="reference in code"),
        pytest.param(
            "run <code>touch &lt;x&gt; &amp;&amp; ls</code>", "run `touch <x> && ls`", id="code tag"
        ),
        pytest.param(
            "path <code>C:\\Users\\</code> (Citation: X)\n\n`&amp;`",
            "path `C:\\Users\\`\n\n`&amp;`",
            id="path in a code tag",
        ),
        pytest.param("<code>a<code> or <code>b</code>", "`a` or `b`", id="open code tag"),
        pytest.param("AT&amp;T &lt;script&gt; &unknown;", "AT&T <script> &unknown;", id="entities"),
        pytest.param("one<br>two<p>three</p>", "one\ntwo\n\nthree", id="paragraphs"),
        pytest.param(
            "<b>x</b> <username> <script>alert(1)</script>",
            "**x** <username> <script>alert(1)</script>",
            id="unknown tags",
        ),
        pytest.param("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>", id="event handler"),
        pytest.param(
            "```\n&amp; (Citation: kept) {{ insert: kept }}\n```",
            "```\n&amp; (Citation: kept) {{ insert: kept }}\n```",
            id="fence",
        ),
        pytest.param("\ufeffa\r\nb\ufffd", "a\nb", id="line ends"),
        pytest.param("do {{ insert: param, ac-1 }} now", "do [parameter] now", id="insert"),
        pytest.param("a <!-- hidden --> b", "a  b", id="comment"),
    ],
)
def test_clean(raw: str, clean: str) -> None:
    assert prose.clean(raw) == clean


def test_an_entity_that_was_escaped_twice_stays_readable_as_code() -> None:
    assert "`&lt;`" in prose.clean("write &amp;lt; instead")


@pytest.mark.hostile
@pytest.mark.parametrize("name", HOSTILE)
def test_the_cost_of_hostile_text_is_linear(name: str) -> None:
    assert_grows_linearly(prose.clean, HOSTILE[name], 8_000)


@pytest.mark.parametrize(
    ("block", "residue"),
    [
        pytest.param("````c\na();\n```\n````", ["```"], id="fence"),
        pytest.param("```c\n// note*\n*// note*\na();\n```", ["// note*", "*// note*"], id="comments"),
        pytest.param("```c\n/* note */*\n```", ["/* note */*"], id="C comment"),
        pytest.param("```v\n**a <= 1;**\nb <= 2;**\n```", ["**a <= 1;**", "b <= 2;**"], id="bold"),
        pytest.param("```md\n**bold**\n```", [], id="Markdown"),
        pytest.param("```http\nAccept: */*\n```", [], id="any type"),
        pytest.param("```c\nchar **argv;\n/**\n * doc\n **/\n*p = a * b;\n```", [], id="code"),
        pytest.param('````python\n"""\n    ```\n"""\n````', [], id="docstring"),
        pytest.param("**bold** and *// note*", [], id="prose"),
    ],
)
def test_marks_of_a_conversion_in_code(block: str, residue: list[str]) -> None:
    assert prose.find_code_residue(block) == residue
