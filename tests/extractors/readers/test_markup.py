"""Documents in reStructuredText and AsciiDoc: Records that were checked by hand."""

from __future__ import annotations

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.readers.base import Reader
from securetag.extractors.readers.markup import DocumentReader, RstReader
from securetag.records import Record

RST = """\
Door handbook
=============

The handbook says who may open which door of the house, and who writes down that it was opened.

.. contents::

Keys
----

A key is lent for one day. See :ref:`lists` for those who may borrow one, and ``keys.csv`` for the keys.

.. code-block:: python

   lend(key, to="guest")  # *one* day

Lost keys
~~~~~~~~~

.. warning::

   Whoever finds a key brings it back, and whoever loses one says so on the same day, not later.

.. _lists:

Lists
-----

====== =========================================================
Door   Who may open it
====== =========================================================
Cellar The cook, and whoever the cook has sent there to get wine
Attic  Nobody without a second person, since the floor is rotten
====== =========================================================

Alarms
------

#. Call the owner of the house, then wait outside until somebody with a key has come to open.
#. Write down the time.

.. deprecated:: 2.1
   The bell. It rings in the kitchen alone, where nobody is at night, so use the telephone.
"""
ADOC = """\
= Door handbook
:toc:

The handbook says who may open which door of the house, and who writes down that it was opened.

== Keys

A key is lent for one day. See <<lists>> for those who may borrow one, and `keys.csv` for the keys.

[source,python]
----
lend(key, to="guest")  # *one* day
----

=== Lost keys

WARNING: Whoever finds a key brings it back, and whoever loses one says so on the same day, not later.

[[lists]]
== Lists

|===
|Door |Who may open it

|Cellar
|The cook, and whoever the cook has sent there to get wine
|===

== Alarms

. Call the owner of the house, then wait outside until somebody with a key has come to open.
. Write down the time.
"""


def read(reader: Reader, make_file: MakeFile, name: str, text: str) -> list[tuple[str, str, str]]:
    items = list(reader.read([make_file(name, text)]))
    assert all(isinstance(item, Record) for item in items), items
    return [(item.key, item.title, item.text) for item in items if isinstance(item, Record)]


FIRST = [
    (
        "doors",
        "Door handbook",
        "The handbook says who may open which door of the house, and who writes down that it was opened.",
    ),
    (
        "doors#keys",
        "Door handbook: Keys",
        "A key is lent for one day. See {lists} for those who may borrow one, and `keys.csv` for the keys."
        '\n\n```python\nlend(key, to="guest")  # *one* day\n```',
    ),
    (
        "doors#keys/lost-keys",
        "Door handbook: Lost keys",
        "**Warning**\n\nWhoever finds a key brings it back, and whoever loses one says so on the same day,"
        " not later.",
    ),
    (
        "doors#lists",
        "Door handbook: Lists",
        "| Door | Who may open it |\n| --- | --- |\n"
        "| Cellar | The cook, and whoever the cook has sent there to get wine |{more}",
    ),
    (
        "doors#alarms",
        "Door handbook: Alarms",
        "1. Call the owner of the house, then wait outside until somebody with a key has come to open.\n"
        "2. Write down the time.{note}",
    ),
]


@pytest.mark.parametrize(
    ("reader", "name", "text", "fields"),
    [
        (
            RstReader,
            "doors.rst",
            RST,
            {
                "lists": "lists",
                "more": "\n| Attic | Nobody without a second person, since the floor is rotten |",
                "note": "\n\n**Deprecated since version** 2.1 The bell. It rings in the kitchen alone, where"
                " nobody is at night, so use the telephone.",
            },
        ),
        (DocumentReader, "doors.adoc", ADOC, {"lists": "Lists", "more": "", "note": ""}),
    ],
    ids=["reStructuredText", "AsciiDoc"],
)
def test_sections_become_records(
    make_source: MakeSource,
    make_file: MakeFile,
    reader: type[Reader],
    name: str,
    text: str,
    fields: dict[str, str],
) -> None:
    expected = [(key, title, _fill(content, fields)) for key, title, content in FIRST]
    assert read(reader(make_source(options={"whole": 150})), make_file, name, text) == expected


def _fill(content: str, fields: dict[str, str]) -> str:
    for field, value in fields.items():
        content = content.replace(f"{{{field}}}", value)
    return content
