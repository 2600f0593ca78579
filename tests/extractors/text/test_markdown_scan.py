from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from growth import assert_grows_linearly
from hypothesis import given
from hypothesis import strategies as st

from securetag.extractors.text.markdown_scan import Block, scan, scan_indented_code

LINES = st.sampled_from(
    [
        *("# h", "a", "---", "===", "```", "~~~~", "    ```", "    x", "- i", "  ```", "> q", "> ```"),
        *("", "\r", "|a|", "|-|"),
    ]
)


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        pytest.param("a\n# B #\nc", [(1, 2, 1, "B")], id="ATX heading"),
        pytest.param("a\n\nB\n---\nc", [(2, 4, 2, "B")], id="setext heading"),
        pytest.param("a\nB\n===\nc", [(1, 3, 1, "B")], id="a paragraph before the line that is underlined"),
        pytest.param("- a\n---\n\n| a |\n---", [], id="rule below a list or a table"),
        pytest.param("> # a", [], id="heading in a quotation"),
        pytest.param("```py\n# x\n```\n# y", [(0, 3, 0, "# x\n"), (3, 4, 1, "y")], id="fence"),
        pytest.param("````\n```\n````", [(0, 3, 0, "```\n")], id="fence in a fence"),
        pytest.param("~~~\nto the end", [(0, 2, 0, "to the end")], id="open fence"),
        pytest.param("> ```\n> x\n> ```", [(0, 3, 0, "x\n")], id="fence in a quotation"),
        pytest.param("- a\n\n  ```\n  x\n  ```\n", [(2, 5, 0, "x\n")], id="fence in a list"),
        pytest.param("a\n\n    ```\n    x\n    ```\n", [(2, 5, 0, "x\n")], id="indented fence"),
        pytest.param("a\n\n    x", [], id="indented text"),
        pytest.param("<div>\n# h\n</div>", [(1, 2, 1, "h")], id="Markdown in HTML"),
        pytest.param("a\rb\n# h", [(1, 2, 1, "h")], id="CR ends no line"),
    ],
)
def test_headings_and_fences(text: str, blocks: list[tuple[int, int, int, str]]) -> None:
    assert list(scan(text)) == blocks


def test_indented_code() -> None:
    text = "a\n\n    x\n\n    y\n\n- b\n\n      in a list\n"
    assert scan_indented_code(text) == [(2, 5, 0, "x\n\ny\n")]


@given(st.lists(LINES, max_size=30).map("\n".join), st.sampled_from([scan, scan_indented_code]))
def test_blocks_are_in_order_and_apart(text: str, scanner: Callable[[str], Iterable[Block]]) -> None:
    end = 0
    for block in scanner(text):
        assert end <= block.start < block.end <= text.count("\n") + 1
        end = block.end


#: Kind → the hostile document that repeats it n times.
HOSTILE: dict[str, Callable[[int], str]] = {
    "quotations in each other": lambda n: "> " * n + "x",
    "lists in each other": lambda n: "- " * n + "x",
    "deep indentation": lambda n: "- a\n" + "".join(" " * min(i, 300) + "- b\n" for i in range(n // 10)),
    "a paragraph with an underline": lambda n: "a\n" * n + "---",
    "fences": lambda n: "```\n" * n,
    "fences in quotations": lambda n: "> ```\n" * n,
    "tables": lambda n: "|a|\n|-|\n" * (n // 10),
    "columns": lambda n: "|a" * n + "\n" + "|-" * n,
    "items": lambda n: "1. a\n\n" * (n // 10),
}


@pytest.mark.hostile
@pytest.mark.parametrize("name", HOSTILE)
def test_the_cost_of_a_hostile_document_is_linear(name: str) -> None:
    assert_grows_linearly(scan.__wrapped__, HOSTILE[name], 8_000)
    assert_grows_linearly(scan_indented_code, HOSTILE[name], 8_000)
