"""Alpaca: instruction, input and output, as Stanford published them."""

from __future__ import annotations

from securetag.datasets.export.base import Format, Row, Unfit, split_turns
from securetag.records import Example


def _rows(example: Example) -> list[Row]:
    system, pairs = split_turns(example)
    if len(pairs) > 1:
        raise Unfit("several turns")
    ((question, answer),) = pairs
    if system:
        return [{"instruction": system, "input": question, "output": answer}]
    return [{"instruction": question, "input": "", "output": answer}]


ALPACA = Format(
    name="alpaca",
    documented="https://github.com/tatsu-lab/stanford_alpaca#data-release",
    rows=_rows,
    array=True,
    note="The format has no system message: where a row has one, it is the instruction and the question the "
    "input. Its prompt isn't the one that live triage sends.",
)
