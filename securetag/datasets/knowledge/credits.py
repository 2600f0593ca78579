"""Whom a row names: publisher, address, license and a line of attribution, of all Records that it quotes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from securetag.datasets.knowledge.corpus import Entry
from securetag.errors import LicenceError
from securetag.records import Example, Record


class Credit(NamedTuple):
    """One publisher's part of a row."""

    publisher: str
    title: str
    url: str
    licence: str


def credit_line(record: Record) -> Credit:
    """Return what a row owes to its Record."""
    return Credit(record.publisher, record.title, record.url, record.licence)


def credit(example: Example, first: Credit, quoted: Sequence[Entry] = ()) -> Example:
    """Return the row with its credits: the Record's own, then those of the entries that its answer quotes.

    The row's license is that of all together. Raises LicenceError for what is no SPDX expression.
    """
    others = [Credit(entry.publisher, entry.name, entry.url, entry.licence) for entry in quoted]
    licence = example.licence
    for other in others:
        if other.licence != licence:
            licence = combine_licences(licence, other.licence)
    names = _unique(name for part in (first, *others) for name in split_publishers(part.publisher))
    return msgspec.structs.replace(
        example,
        licence=licence,
        publisher=", ".join(names),
        url=first.url,
        attribution="; ".join(_unique(map(_attribute, (first, *others)))),
    )


def split_publishers(publisher: str) -> list[str]:
    """Return the publishers of a Record; a merged one names several."""
    return [name for name in publisher.split(", ") if name]


def _attribute(part: Credit) -> str:
    address = f", {part.url}" if part.url else ""
    return f"{part.publisher}: {part.title}{address} ({part.licence}), adapted"


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


@lru_cache(maxsize=4096)
def combine_licences(licence: str, other: str) -> str:
    """Return the SPDX expression of a row that both apply to, each license once.

    Raises LicenceError where one is no expression.
    """
    from license_expression import ExpressionError, combine_expressions, get_spdx_licensing

    licensing = get_spdx_licensing()
    try:
        combined = combine_expressions([licence, other], licensing=licensing)
        # `A AND B` and `B` are `(A AND B) AND B` until they are made one level.
        return str(licensing.dedup(combined.flatten() if len(combined.args) > 1 else combined))
    except ExpressionError as error:
        raise LicenceError(f"{licence!r} and {other!r} don't make an SPDX expression: {error}") from error
