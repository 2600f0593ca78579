"""One measured figure."""

from __future__ import annotations

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, and whether it meets its bar."""

    figure: str
    value: float
    unit: str
    #: What it was measured beside, in the same run; empty for an absolute figure.
    peer: str = ""
    #: In words, for example `≤ 200`.
    bar: str = ""
    ok: bool = True
