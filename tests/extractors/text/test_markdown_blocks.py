from __future__ import annotations

from collections.abc import Callable

import pytest
from growth import assert_grows_linearly
from hypothesis import given
from hypothesis import strategies as st

from securetag.extractors.text import prose
from securetag.extractors.text.markdown_blocks import (
    heading,
    iter_headings,
    split_front_matter,
    to_plain_markdown,
)

PIECES = st.sampled_from(
    [
        "# h",
        "    code",
        "\tcode",
        "- item",
        "  more",
        "text",
        "```",
        "~~~",
        '!!! note "T"',
        '=== "A"',
        "",
        "    ",
        "> q",
        "<table><tr><td>1",
        "</td></tr></table>",
        "{% raw %}",
        "1. one",
        "[a]: b",
        "[a]",
        "`x`",
        "---",
        "===",
    ]
)
CODE = st.text(alphabet="ab <>&;[]{}%!#`|\\\"'=-*", min_size=1, max_size=30).filter(lambda line: line.strip())


@given(st.lists(PIECES, max_size=25).map("\n".join))
def test_any_document_gives_clean_sections(text: str) -> None:
    out = to_plain_markdown(text)
    assert prose.find_residue(prose.clean(out)) == []
    assert len(list(iter_headings(out))) >= out.count("\n") + 1 - sum(
        line[:1] in "=-" for line in out.split("\n")
    )


@given(st.lists(CODE, min_size=1, max_size=6))
def test_indented_code_is_kept_exactly(lines: list[str]) -> None:
    out = prose.clean(
        to_plain_markdown("Before:\n\n" + "\n".join(f"    {line}" for line in lines) + "\n\nAfter.\n")
    )
    code = [piece for is_code, piece in prose.iter_segments(out) if is_code]
    assert code
    assert "\n".join(lines) in code[0]
    assert out.endswith("After.")


@given(st.lists(CODE, min_size=1, max_size=6), st.sampled_from(["```", "~~~~", "   ```"]))
def test_fenced_code_is_kept_exactly(lines: list[str], fence: str) -> None:
    lines = [line for line in lines if not line.strip().startswith("`")] or ["x"]
    block = "\n".join([fence, *lines, fence.strip()])
    assert block.strip() in prose.clean(to_plain_markdown(f"Before.\n\n{block}\n\nAfter."))


@pytest.mark.parametrize(
    ("raw", "out"),
    [
        pytest.param(
            "- item\n\n    its second paragraph\n",
            "- item\n\n    its second paragraph\n",
            id="paragraph in a list",
        ),
        pytest.param(
            "- a\n\n  ```\n\nx\n  ```\n\n    - b\n", "\n    - b\n", id="code at the start of a line"
        ),
        pytest.param("# H\n    x = 1\n", "# H\n```\nx = 1\n```\n", id="code after a heading"),
        pytest.param("text\n    goes on\n", "text\n    goes on\n", id="continued paragraph"),
        pytest.param(
            '!!! warning "Mind"\n\n    This, and\n\n        x = 1\n\nnext',
            "**Mind**\n\nThis, and",
            id="admonition with code",
        ),
        pytest.param("??? note\n    Hidden.\n", "**Note**\n\nHidden.\n", id="folded note"),
        pytest.param(
            '=== "Java"\n\n    ```java\n    int x;\n    ```\n', "**Java**\n\n```java\nint x;\n```", id="tab"
        ),
        pytest.param("a {% raw %}`{{ 7*7 }}`{% endraw %} b", "a `{{ 7*7 }}` b", id="raw in Liquid"),
        pytest.param("```\n{% if x %}<table>\n```", "```\n{% if x %}<table>\n```", id="Liquid in code"),
        pytest.param(
            "<table><tr><th>A</th><th>B</th></tr><tr><td>x | `y`</td><td>1<br>2</td></tr></table>",
            "| A | B |\n| --- | --- |\n| x \\| `y` | 1 2 |",
            id="HTML table",
        ),
        pytest.param("<table><tr><td>never closed", "<table><tr><td>never closed", id="open table"),
        pytest.param(
            "see [it][1]\n\n## More\n\n[1]: https://e.org/x",
            "see [it](https://e.org/x)\n\n## More",
            id="reference in another section",
        ),
    ],
)
def test_dialects(raw: str, out: str) -> None:
    assert out in to_plain_markdown(raw)


def test_a_heading_is_its_words() -> None:
    text = "A03:2021 – Injection    ![icon](a/b_(c).png){: style=\"height:80px\" align='right'}"
    assert heading(text) == "A03:2021 – Injection"
    assert heading("Description. ") == "Description"
    assert heading("\\#1 Deep {#anchor}") == "#1 Deep"


def test_front_matter_of_any_kind() -> None:
    assert split_front_matter("---\ntitle: x\nlist: [a, b]\n---\nbody") == (
        {"title": "x", "list": ["a", "b"]},
        "body",
    )
    assert split_front_matter('---\ntitle: "a"\nbad: [\n---\nbody') == ({"title": "a"}, "body")
    assert split_front_matter("---\n!!python/object:os.system x\n---\nbody") == ({}, "body")
    assert split_front_matter("---\n\ntext\n") == ({}, "---\n\ntext\n")


#: Kind → the hostile document that repeats it n times.
HOSTILE: dict[str, Callable[[int], str]] = {
    "spaces in a heading": lambda n: "# " + " " * n + "x",
    "hashes in a heading": lambda n: "# " + "# " * n + "x",
    "words in an admonition's title": lambda n: "!!! " + "a " * n + "!",
    "open images": lambda n: "![" * n,
    "open targets in a heading": lambda n: "# ![" + "](" * n,
    "open attribute lists": lambda n: "{:" * n,
    "open Liquid tags": lambda n: "{%" * n,
    "open tables": lambda n: "<table>" * n,
    "blank code lines": lambda n: "    \n" * n + "x",
    "code after a list": lambda n: "- a\n" * n + "    b\n" * n,
    "admonitions": lambda n: "!!! a\n" * (n // 50),
    "aliases in front matter": lambda n: "---\n" + "a: *b\n" * n + "---\n",
    "open definitions": lambda n: "[a]: " * n,
}


def read_titles(document: str) -> list[str]:
    text = to_plain_markdown(split_front_matter(document)[1])
    return [prose.clean_line(title) for level, title, _ in iter_headings(text) if level]


@pytest.mark.hostile
@pytest.mark.parametrize("name", HOSTILE)
def test_the_cost_of_a_hostile_document_is_linear(name: str) -> None:
    assert_grows_linearly(read_titles, HOSTILE[name], 8_000)


@pytest.mark.hostile
def test_aliases_of_aliases_in_front_matter_are_not_expanded() -> None:
    aliases = "".join(f"b{n}: &b{n} [*a,*a,*a,*a]\n" for n in range(30))
    assert split_front_matter(f"---\na: &a [x]\n{aliases}---\nbody")[1] == "body"
