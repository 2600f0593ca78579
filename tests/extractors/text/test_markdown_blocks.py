from __future__ import annotations

import pytest
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
    ["# h", "    code", "\tcode", "- item", "  more", "text", "```", "~~~", '!!! note "T"', '=== "A"', "",
     "    ", "> q", "<table><tr><td>1", "</td></tr></table>", "{% raw %}", "1. one", "[a]: b", "[a]", "`x`",
     "---", "==="]
)  # fmt: skip
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
        ("- item\n\n    its second paragraph\n", "- item\n\n    its second paragraph\n"),
        ("- a\n\n  ```\n\nx\n  ```\n\n    - b\n", "\n    - b\n"),
        ("# H\n    x = 1\n", "# H\n```\nx = 1\n```\n"),
        ("text\n    goes on\n", "text\n    goes on\n"),
        ('!!! warning "Mind"\n\n    This, and\n\n        x = 1\n\nnext', "**Mind**\n\nThis, and"),
        ("??? note\n    Hidden.\n", "**Note**\n\nHidden.\n"),
        ('=== "Java"\n\n    ```java\n    int x;\n    ```\n', "**Java**\n\n```java\nint x;\n```"),
        ("a {% raw %}`{{ 7*7 }}`{% endraw %} b", "a `{{ 7*7 }}` b"),
        ("```\n{% if x %}<table>\n```", "```\n{% if x %}<table>\n```"),
        ("<table><tr><th>A</th></tr><tr><td>x | `y`</td></tr></table>", "| A |\n| --- |\n| x \\| `y` |"),
        ("<table><tr><td>never closed", "<table><tr><td>never closed"),
        ("see [it][1]\n\n## More\n\n[1]: https://e.org/x", "see [it](https://e.org/x)\n\n## More"),
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


HOSTILE = [
    "# " + " " * 60_000 + "x", "# " + "# " * 30_000 + "x", "!!! " + "a " * 30_000 + "!", "![" * 40_000,
    "# ![" + "](" * 30_000, "{:" * 40_000, "{%" * 40_000, "<table>" * 20_000, "    \n" * 40_000 + "x",
    "- a\n" * 20_000 + "    b\n" * 20_000, '!!! a\n' * 400, "---\n" + "a: *b\n" * 20_000 + "---\n",
    "---\na: &a [x]\n" + "".join(f"b{n}: &b{n} [*a,*a,*a,*a]\n" for n in range(30)) + "---\n",
    "[a]: " * 20_000,
]  # fmt: skip


@pytest.mark.hostile
@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_documents_take_no_time(hostile: str) -> None:
    for title in (
        level and text for level, text, _ in iter_headings(to_plain_markdown(split_front_matter(hostile)[1]))
    ):
        prose.clean_line(str(title))
