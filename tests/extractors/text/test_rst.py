"""reStructuredText, as docutils and Sphinx know it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from securetag.errors import SourceError
from securetag.extractors.text.html_page import convert_fragment
from securetag.extractors.text.rst import convert_rst


def markdown(text: str) -> str:
    return convert_fragment(convert_rst(text)[0])


def test_a_page_of_sphinx() -> None:
    text = """\
:orphan:

Title
=====

See :ref:`the guide <guide>`, :py:func:`os.path.join` and ``x * y``.

.. toctree::
   :maxdepth: 2

   other

.. code-block:: python
   :linenos:
   :emphasize-lines: 1

   def f(): pass

.. warning:: Mind the step.

.. versionadded:: 1.2
   It is ``new``.

Part
----

.. py:function:: f(x)
   :no-index:

   Does a thing.

.. include:: /etc/passwd

.. raw:: html

   <script>alert(1)</script>
"""
    html, lost = convert_rst(text)
    assert lost == []
    assert convert_fragment(html) == (
        "# Title\n\nSee the guide, `os.path.join` and `x * y`.\n\n```python\ndef f(): pass\n```\n\n"
        "**Warning**\n\nMind the step.\n\n**New in version** 1.2 It is `new`.\n\n## Part\n\n`f(x)`\n\n"
        "Does a thing."
    )


def test_what_docutils_can_not_read_is_named_with_its_line() -> None:
    _, lost = convert_rst("Title\n=====\n\n.. note:: Text\n   :strange: option\n")
    assert len(lost) == 1
    assert lost[0].startswith("line 4: ")


PARTS = [
    "=====\n",
    "a\n",
    "\n",
    ".. note:: ",
    ".. code-block:: x\n\n   ",
    "``",
    ":r:`",
    "`_",
    "* ",
    "|",
    "   ",
    "::\n\n",
]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PARTS), max_size=12))
def test_any_text_is_converted(parts: list[str]) -> None:
    assert isinstance(markdown("".join(parts)), str)


def test_a_paragraph_that_would_take_minutes_is_refused() -> None:
    for paragraph in ("`a " * 20_000, "a_ " * 20_000):
        with pytest.raises(SourceError, match="marks"):
            convert_rst(f"Title\n=====\n\n{paragraph}\n")


@pytest.mark.parametrize("name", ["csv-table", "include", "raw", "figure", "literalinclude"])
def test_no_other_file_is_read(name: str) -> None:
    option = "   :file: /etc/passwd\n" if name in ("csv-table", "raw") else ""
    argument = "html" if name == "raw" else "/etc/passwd"
    assert "root:" not in markdown(f"Text\n\n.. {name}:: {argument}\n{option}\n")
