"""A search finds what no list of attacks has, and rows say what running their function showed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import msgspec
import pytest

from securetag.datasets.synthetic import oracle
from securetag.datasets.synthetic.child import Outcome, Trial
from securetag.datasets.synthetic.payloads import list_combinations, list_payloads
from securetag.datasets.synthetic.reasons import explain
from securetag.datasets.synthetic.search import MIN_INPUTS
from securetag.datasets.synthetic.shapes import MODES
from securetag.datasets.synthetic.sinks import SINKS, make_literal, sink_named


def trial(sink_name: str, body: str, *, inputs: int = MIN_INPUTS) -> Trial:
    """A handler that makes `y` of the request's `x` and hands it to the sink."""
    sink = sink_named(sink_name)
    carrier = sink.carrier or {"CWE-79": "make_response({v})", "CWE-601": "redirect({v})"}[sink.cwe]
    head = 'def view():\n    x = request.args.get("x", "")\n'

    def call(name: str) -> str:
        return "    return " + carrier.format(v=make_literal(sink.text, name, "concat")) + "\n"

    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    return Trial(
        code=head + lines + call("y"), variable="x", plain=head + call("x"), sink=sink_name, inputs=inputs
    )


#: Unsafe, with a guard that lets honest values through and refuses every listed attack: what else gets
#: through has to be put together. Sink, condition, what is made of `x`.
_ODD = {
    "a token that the check asks for": ("sql-quoted", 'x.startswith("ref:") and x[4:5] == "b"', "x"),
    "two tokens that the check asks for": ("shell-system", '"v1" in x and "ok" in x', "x"),
    "a magic end": ("html-text", 'x.endswith("-q9")', "x"),
    "long texts alone": ("path-open", "len(x) > 90", "x"),
    "a prefix and no capital letter": ("sql-order", 'x.startswith("by ") and x.lower() == x', "x"),
    "a scheme and a name": ("fetch-requests", 'x.startswith("http://img.")', "x"),
    "a folder of its own": ("path-join", 'x.startswith("pub/")', "x"),
    "a word before code": ("code-eval", 'x.startswith("size+")', 'x.replace("size+", "")'),
    "normalized afterwards": (
        "sql-quoted",
        """x.startswith("n-") and "'" not in x""",
        'unicodedata.normalize("NFKC", x)',
    ),
    "a host of its own": ("redirect-whole", 'urlsplit(x).netloc.startswith("img.example.org")', "x"),
    "decoded afterwards": ("html-text", 'x.startswith("n-") and "<" not in x', "unquote(x)"),
}
PLANTED = {
    name: (sink, f"if not (x in {sink_named(sink).benign} or {condition}): abort(400)\ny = {value}")
    for name, (sink, condition, value) in _ODD.items()
}
SAFE = {
    "parsed as a number": ("sql-number", "y = str(int(x))"),
    "quoted": ("shell-system", "y = shlex.quote(x)"),
    "a word": ("sql-quoted", 'if not re.fullmatch("[a-z]+", x): abort(400)\ny = x'),
    "escaped": ("html-text", "y = html.escape(x)"),
    "a list": ("redirect-whole", 'y = x if x in ("/home", "/cart") else "/home"'),
    "a base name": ("path-open", "y = secure_filename(x)"),
}


def test_unsafe_functions_that_no_listed_attack_changes_are_found() -> None:
    listed = oracle.run_trials([trial(sink, body, inputs=0) for sink, body in PLANTED.values()])
    searched = oracle.run_trials([trial(sink, body) for sink, body in PLANTED.values()])
    beyond = [name for name, outcome in zip(PLANTED, listed, strict=True) if outcome.witness is None]
    assert len(beyond) >= 6
    missed = [name for name, outcome in zip(PLANTED, searched, strict=True) if outcome.witness is None]
    assert missed == []


def test_safe_functions_withstand_it() -> None:
    outcomes = oracle.run_trials([trial(sink, body) for sink, body in SAFE.values()])
    broken = {
        name: (outcome.witness, outcome.effect)
        for name, outcome in zip(SAFE, outcomes, strict=True)
        if oracle.label_of(outcome) != "false_positive"
    }
    assert broken == {}
    assert {outcome.tried >= MIN_INPUTS for outcome in outcomes} == {True}


def test_the_same_function_is_searched_with_the_same_inputs() -> None:
    trials = [trial(sink, body) for sink, body in PLANTED.values()]
    assert oracle.run_trials(trials) == list(reversed(oracle.run_trials(trials[::-1])))


def test_an_outcome_keeps_what_reached_the_sink() -> None:
    raw, quoted, refused = oracle.run_trials(
        [
            trial("shell-system", "y = x"),
            trial("html-text", "y = html.escape(x)"),
            trial("sql-quoted", "if not x.isalnum(): abort(400)\ny = x"),
        ]
    )
    assert raw.witness is not None
    assert raw.effect is not None
    assert raw.witness in raw.effect
    assert quoted.effect is not None
    assert "&lt;script&gt;" in quoted.effect
    assert refused.effect is None


def test_outcomes_are_kept_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "folder" / "outcomes.sqlite"
    trials = [trial(sink, body) for sink, body in (*PLANTED.values(), *SAFE.values())]
    cold = oracle.run_trials(trials, cache=cache)
    monkeypatch.setattr(oracle, "_run", lambda given, *_: pytest.fail("run again") if given else [])
    assert oracle.run_trials(trials[::-1], cache=cache) == cold[::-1]
    monkeypatch.undo()
    other = msgspec.structs.replace(trials[0], inputs=MIN_INPUTS + 1)
    (again,) = oracle.run_trials([other], cache=cache)
    assert again == cold[0]
    with sqlite3.connect(cache) as connection:
        assert connection.execute("SELECT count(*) FROM outcome").fetchone() == (len(trials) + 1,)
    cache.write_bytes(b"no database")
    assert oracle.run_trials(trials[:2], cache=cache) == cold[:2]


def test_errors_are_not_kept(tmp_path: Path) -> None:
    cache = tmp_path / "outcomes.sqlite"
    (outcome,) = oracle.run_trials(
        [msgspec.structs.replace(trial("sql-number", "y = x"), code="def")], cache=cache
    )
    assert outcome.error
    with sqlite3.connect(cache) as connection:
        assert connection.execute("SELECT count(*) FROM outcome").fetchone() == (0,)


@pytest.mark.parametrize("tongue", ["en", "es"])
@pytest.mark.parametrize("sink", SINKS, ids=lambda sink: sink.name)
def test_reasons_differ_by_mode_and_fit_into_an_answer(sink: object, tongue: str) -> None:
    """Longest input and effect, with braces and control characters in them."""
    modes = {"sound", "combined", *MODES["check"], *MODES["transform"]}
    hostile = "{guard}\n\0`" + "{" * 300
    attacked = Outcome(honest=2, tried=12_000, witness=hostile, effect=hostile)
    true = {mode: explain(sink, mode, "true_positive", attacked, tongue) for mode in modes}  # type: ignore[arg-type]
    assert len(set(true.values())) == len(modes)
    safe = Outcome(honest=2, tried=12_000, effect=hostile)
    texts = [*true.values()]
    texts += [explain(sink, mode, "false_positive", safe, tongue) for mode in modes]  # type: ignore[arg-type]
    texts.append(explain(sink, "sound", "false_positive", Outcome(honest=2, tried=12_000), tongue))  # type: ignore[arg-type]
    for text in texts:
        filled = text.format(source=101, guard=102, sink=103)
        assert len(filled) <= 480
        assert "\n" not in filled
        json.dumps(filled)


def test_listed_attacks_and_the_search_differ() -> None:
    """The search isn't the list again."""
    sink = sink_named("sql-quoted")
    listed = {*list_payloads(sink), *list_combinations(sink)}
    (outcome,) = oracle.run_trials([trial(*PLANTED["a token that the check asks for"])])
    assert outcome.witness is not None
    assert outcome.witness not in listed
