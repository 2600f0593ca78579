"""Code in recommendations, on composed functions that do harm: scanned by Semgrep, run by the oracle."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from securetag import triage
from securetag.datasets.synthetic.cases import make_synthetic_rows
from securetag.datasets.synthetic.fixes import Fix, find_reach, run_fixes
from securetag.datasets.synthetic.holdout import Parts
from securetag.datasets.synthetic.sample import make_trial
from securetag.datasets.synthetic.sinks import sink_named
from securetag.datasets.triage_rows import PromptStyle
from securetag.evaluation import suites
from securetag.evaluation.fixes import FixCheck, apply_code
from securetag.pipeline.fixes import check_fixes
from securetag.records import Decision, Example, JsonObject, Message
from securetag.settings import Settings, get_settings
from securetag.settings.sections import SemgrepSettings
from securetag.system.isolation import probe
from securetag.triage import Completion, Flagged

STYLE = PromptStyle("full", "en")
#: Sink → the flagged call as it should be; `{x}` is the variable.
RIGHT = {
    "sql-quoted": 'cur.execute("SELECT * FROM users WHERE name = %s", ({x},))',
    "sql-delete": 'cursor.execute("DELETE FROM carts WHERE owner = ?", [{x}])',
    "sql-number": 'db.execute("SELECT * FROM orders WHERE id = :n", {{"n": {x}}})',
    "shell-system": 'subprocess.run(["ping", "-c1", {x}])',
    "shell-popen": 'subprocess.run(["whois", {x}])',
    "shell-single-quoted": 'subprocess.check_output(["grep", {x}, "app.log"])',
}
#: The same, with the flaw where a pattern for the call doesn't look.
WRONG = {
    "sql-quoted": '(lambda run: run("SELECT * FROM users WHERE name = \'" + {x} + "\'"))(cur.execute)',
    "sql-delete": '(lambda run: run("DELETE FROM carts WHERE owner = \'" + {x} + "\'"))(cursor.execute)',
    "sql-number": '(lambda run: run("SELECT * FROM orders WHERE id = " + {x}))(db.execute)',
    "shell-system": 'subprocess.run(["sh", "-c", "ping -c1 " + {x}])',
    "shell-popen": 'subprocess.run(["sh", "-c", "whois " + {x}])',
    "shell-single-quoted": 'subprocess.run(["bash", "-c", "grep \'" + {x} + "\' app.log"])',
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    """Vulnerable rows of profile `full` whose sink is one of RIGHT."""
    made = make_synthetic_rows(
        72,
        7,
        STYLE,
        work=tmp_path_factory.mktemp("work"),
        semgrep=SemgrepSettings(),
        parts=Parts(validation=0.0, in_distribution=0.0, unseen=0.0),
        mistakes={"wrong-variable", "dead"},
    )
    fitting = [row for row in made.rows if row.label == "true_positive" and sink_of(row) in RIGHT]
    assert len(fitting) >= 5
    return fitting


def sink_of(row: Example) -> str:
    assert row.construction is not None
    return row.construction.sink


def flagged_of(row: Example) -> Flagged:
    flagged = triage.read_flagged(triage.read_prompt(row.messages, row.prompt_version, row.lang))
    assert flagged is not None
    return flagged


def change_call(row: Example, table: dict[str, str]) -> str:
    """Return the flagged statement with the table's call, as its argument has it."""
    flagged = flagged_of(row)
    line = flagged.code.split("\n")[flagged.first - 1].strip()
    tree = ast.parse(f"async def f():\n    {line}\n").body[0]
    assert isinstance(tree, ast.AsyncFunctionDef)
    statement = tree.body[0]
    names = [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]
    variable = next(name for name in names if name not in {"cur", "cursor", "db", "os", "subprocess", "conn"})
    word = "return " if isinstance(statement, ast.Return) else ""
    return word + table[sink_of(row)].format(x=variable)


def answer(row: Example, code: str | None) -> suites.Row:
    """Return the row of a model that recommends `code`, as an evaluation makes it."""
    recommendation = "Do this:" if code is None else f"Do this:\n```python\n{code}\n```"
    text = triage.answer(
        profile="full", evidence=[(1, 1)], verdict=Decision.TRUE_POSITIVE, recommendation=recommendation
    )

    def predict(_: object, __: JsonObject | None, ___: int) -> Completion:
        return Completion(text=text, model_id="constructed")

    return suites.run_suite(predict, [row], free=False).rows[0]


def entry_of(row: Example) -> str:
    """Return the text of the flagged function, without its decorators."""
    flagged = flagged_of(row)
    functions = [
        node
        for node in ast.walk(ast.parse(flagged.code))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.lineno <= flagged.first <= (node.end_lineno or 0)
    ]
    node = functions[-1]
    return "\n".join(
        line[node.col_offset :] for line in flagged.code.split("\n")[node.lineno - 1 : node.end_lineno]
    )


@pytest.fixture(scope="module")
def checks(rows: list[Example], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[FixCheck]]:
    """Kind of recommendation → its checks, one a row, from one run of the scanner."""
    codes: dict[str, Callable[[Example], str]] = {
        "right": lambda row: change_call(row, RIGHT),
        "wrong": lambda row: change_call(row, WRONG),
        "idle": entry_of,
        "destructive": lambda row: entry_of(row).split("\n")[0] + '\n    return ""',
        "constant": lambda row: make_constant(change_call(row, RIGHT)),
        "old": lambda row: change_call(row, RIGHT),
    }
    copies = {}
    for kind in codes:
        for row in rows:
            name = f"{kind} {row.id}"
            copies[name] = msgspec.structs.replace(without_harness(row) if kind == "old" else row, id=name)
    answers = [answer(row, codes[name.split()[0]](row)) for name, row in copies.items()]
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    figures, done = check_fixes(answers, list(copies.values()), settings)
    assert figures.answers == figures.with_code == figures.applied == len(copies)
    assert figures.correct == len(rows)
    return {kind: [each for each in done if each.row.startswith(kind)] for kind in codes}


def without_harness(row: Example) -> Example:
    """Return a row of an older release, which doesn't say how to run its function."""
    assert row.construction is not None
    construction = msgspec.structs.replace(row.construction, entry="", variable="")
    return msgspec.structs.replace(row, construction=construction)


@pytest.mark.skipif(bool(probe()), reason="this machine can't isolate processes, so that no fix is run")
def test_right_fixes_are_told_from_wrong_idle_and_destructive_ones(checks: dict[str, list[FixCheck]]) -> None:
    assert all(each.is_correct for each in checks["right"])
    wrong = checks["wrong"]
    # The scanner is fooled by some; the oracle isn't.
    assert any(each.is_gone for each in wrong)
    assert {(each.is_safe, each.works) for each in wrong} == {(False, True)}
    assert {(each.is_gone, each.is_safe) for each in checks["idle"]} == {(False, False)}
    destructive = checks["destructive"]
    assert {(each.is_gone, each.is_safe, each.works) for each in destructive} == {(True, True, False)}
    assert {(each.is_safe, each.works) for each in checks["constant"]} == {(True, False)}
    assert {(each.is_gone, each.is_safe, each.works) for each in checks["old"]} == {(True, None, None)}


def make_constant(statement: str) -> str:
    """Return the statement with a constant in the place of its variable."""
    tree = ast.parse(statement)
    kept = {"cur", "cursor", "db", "subprocess"}

    class Change(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            return node if node.id in kept else ast.Constant("a1")

    return ast.unparse(ast.fix_missing_locations(Change().visit(tree)))


def test_answers_without_code_are_counted_as_such(rows: list[Example]) -> None:
    figures, checks = check_fixes([answer(row, None) for row in rows], rows, get_settings())
    assert (figures.answers, figures.with_code, checks) == (len(rows), 0, [])
    assert figures.describe() == f"none of {len(rows)} answers about vulnerable code carries code"
    assert check_fixes([], rows, get_settings())[0].answers == 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def (:", "the code is no Python"),
        ("def another(request):\n    return 1", "the code has no place in the file"),
        ("# use parameters", "the code is empty"),
    ],
)
def test_code_without_a_place_is_counted_with_its_reason(rows: list[Example], code: str, reason: str) -> None:
    figures, checks = check_fixes([answer(rows[0], code)], rows, get_settings())
    assert (figures.with_code, figures.applied, figures.correct) == (1, 0, 0)
    assert checks[0].reason == reason
    assert figures.reasons == {reason: 1}


FLAGGED = Flagged(
    rule_id="r",
    cwe="CWE-89",
    language="python",
    first=9,
    last=9,
    code=(
        '"""A module."""\nimport os\n\n\nclass Items:\n    @route("/x")\n    def get(self, request):\n'
        '        name = request.args["name"]\n        return cur.execute("…" + name)\n\n\nLAST = 1'
    ),
)


def test_a_method_takes_the_place_of_its_own_and_keeps_its_decorators() -> None:
    after = apply_code(
        FLAGGED, "import re\nLIMIT = 3\n\ndef get(self, request):\n    return cur.execute('…', LIMIT)\n"
    )
    assert after.split("\n") == [
        *('"""A module."""', "import re", "import os", "", "", "LIMIT = 3", "", "class Items:"),
        *('    @route("/x")', "    def get(self, request):", "        return cur.execute('…', LIMIT)"),
        *("", "", "LAST = 1"),
    ]


def test_statements_take_the_place_of_the_flagged_ones() -> None:
    after = apply_code(FLAGGED, "import re\nname = int(name)\nreturn cur.execute('…', (name,))")
    assert after.split("\n")[8:11] == [
        '        name = request.args["name"]',
        "        name = int(name)",
        "        return cur.execute('…', (name,))",
    ]
    ast.parse(after)


HOSTILE = {
    "a file": 'open("{path}", "w").write("x")',
    "a program": '__import__("os").system("touch {path}")',
    "a module's own modules": 're.enum.sys.modules["os"].system("touch {path}")',
    "a frame": "(lambda: 0).__globals__",
    "an endless loop": "[1 for _ in iter(int, 1)]",
    "memory": '"x" * (1 << 40)',
    "an exit": "raise SystemExit(0)",
}


@pytest.mark.skipif(bool(probe()), reason="this machine can't isolate processes, so that no fix is run")
def test_hostile_code_does_nothing_and_is_never_right(tmp_path: Path) -> None:
    target = tmp_path / "made"
    head = 'def view():\n    x = request.args.get("x", "")\n'
    before = make_trial(
        head + "    return cur.execute(f\"SELECT * FROM users WHERE name = '{x}'\")\n",
        entry="view",
        variable="x",
        sink=sink_named("sql-quoted"),
        framework="flask",
        source="query",
    )
    safe = '    return cur.execute("SELECT * FROM users WHERE name = ?", (x,))\n'
    fixes = [
        Fix(before=before, after=f"{head}    {code.format(path=target)}\n{safe}") for code in HOSTILE.values()
    ]
    outcomes = dict(zip(HOSTILE, run_fixes(fixes), strict=True))
    assert not target.exists()
    for name, outcome in outcomes.items():
        assert not (outcome.is_safe and outcome.works), (name, outcome)
    assert outcomes["a frame"].error == "refused: __globals__"
    assert outcomes["a program"].error == "refused: __import__"
    # The same function without them is fine.
    fine = run_fixes([Fix(before=before, after=head + safe)])[0]
    assert (fine.is_reproduced, fine.is_safe, fine.works, fine.error) == (True, True, True, "")


def test_names_that_reach_for_the_interpreter_are_seen() -> None:
    assert find_reach("x.__class__\ny.gi_frame\nz.f_back") == {"__class__", "gi_frame", "f_back"}
    assert find_reach('getattr(x, "y")\n__builtins__') == {"getattr", "__builtins__"}
    assert find_reach('if __name__ == "__main__":\n    cur.execute("x", (y,))') == set()


def test_a_row_says_what_the_oracle_needs(rows: list[Example]) -> None:
    for row in rows:
        assert row.construction is not None
        assert row.construction.entry.rpartition(".")[2] in flagged_of(row).code
        assert row.construction.variable in flagged_of(row).code


def test_a_prompt_says_in_both_languages_what_is_flagged(rows: list[Example]) -> None:
    flagged = flagged_of(rows[0])
    assert flagged.cwe in {"CWE-89", "CWE-78"}
    assert flagged.language == "python"
    user = rows[0].messages[1].content
    spanish = user.replace("Language:", "Lenguaje:").replace("Flagged: line", "Señalado: línea")
    messages = [Message("system", ""), Message("user", spanish)]
    assert triage.read_flagged(triage.read_prompt(messages, "full-1", "es")) == flagged
