"""The searcher that audits the oracle: it finds what it was planted, and nothing in what is safe."""

from __future__ import annotations

from random import Random

import pytest

from benchmarks.oracle_audit.planted import PLANTED
from benchmarks.oracle_audit.search import Case, search

_START = 'def view(request):\n    v = request.args.get("v", "")\n'
SAFE: dict[str, Case] = {
    "shell": ("CWE-78", "v", f'{_START}    os.system("ping " + shlex.quote(v))\n', ("db1",)),
    "SQL": (
        "CWE-89",
        "v",
        f'{_START}    if v in ("name", "date"):\n        cur.execute("SELECT * FROM users ORDER BY " + v)\n',
        ("name", "date"),
    ),
    "page": (
        "CWE-79",
        "v",
        f'{_START}    return make_response("<p>" + html.escape(v) + "</p>")\n',
        ("alice",),
    ),
}


def test_at_least_19_of_20_planted_unsafe_functions_are_found() -> None:
    missed = [name for name, case in PLANTED.items() if search(case, Random(name)) is None]
    assert len(PLANTED) == 20
    assert len(missed) <= 1, missed


@pytest.mark.parametrize("name", SAFE)
def test_nothing_is_found_in_a_safe_function(name: str) -> None:
    assert search(SAFE[name], Random(name)) is None
    cwe, variable, code, benign = SAFE[name]
    unguarded = (
        code.replace("shlex.quote(v)", "v").replace("html.escape(v)", "v").replace('("name", "date")', "v")
    )
    assert search((cwe, variable, unguarded, benign), Random(name)) is not None
