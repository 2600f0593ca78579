"""The license of a row that quotes several publishers."""

from __future__ import annotations

from functools import reduce

import pytest

from securetag.datasets.knowledge.credits import combine_licences
from securetag.errors import LicenceError


@pytest.mark.parametrize(
    ("licences", "combined"),
    [
        pytest.param(["MIT", "MIT"], "MIT", id="the same"),
        pytest.param(["MIT", "CC0-1.0", "MIT", "CC0-1.0"], "MIT AND CC0-1.0", id="each once"),
        pytest.param(["CC0-1.0 AND MIT", "ISC"], "CC0-1.0 AND MIT AND ISC", id="on one level"),
        pytest.param(["MIT OR ISC", "CC0-1.0"], "(MIT OR ISC) AND CC0-1.0", id="a choice stays one"),
        pytest.param(["MIT OR ISC", "MIT OR ISC"], "MIT OR ISC", id="the same choice"),
    ],
)
def test_licenses_are_combined(licences: list[str], combined: str) -> None:
    assert reduce(combine_licences, licences) == combined


def test_what_is_no_expression_is_refused() -> None:
    with pytest.raises(LicenceError, match="don't make an SPDX expression"):
        combine_licences("MIT", "as you like")
