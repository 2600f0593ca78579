"""The sandbox runs real functions and labels them by what happens."""

from __future__ import annotations

from collections import Counter

import pytest

from securetag.datasets.compose import oracle
from securetag.datasets.compose.child import Trial
from securetag.datasets.compose.guards import GUARDS, UNSEEN_FAMILY, guards_of
from securetag.datasets.compose.payloads import payloads
from securetag.datasets.compose.sinks import CLASSES, SINKS, literal
from securetag.errors import ToolError
from securetag.records import Label


def trial(sink_name: str, body: str, *, value: str = "y") -> Trial:
    """A Flask handler: `x` is the request's, `body` makes `y` of it, then the sink."""
    sink = next(sink for sink in SINKS if sink.name == sink_name)
    carrier = sink.carrier or {"CWE-79": "make_response({v})", "CWE-601": "redirect({v})"}[sink.cwe]

    def call(name: str) -> str:
        return "return " + carrier.format(v=literal(sink.text, name, "fstring"))

    lines = [*body.split("\n"), call(value)] if body else [call("x")]
    head = 'def view():\n    x = request.args.get("x", "")\n'
    return Trial(
        code=head + "".join(f"    {line}\n" for line in lines),
        variable="x",
        plain=head + f"    {call('x')}\n",
        payloads=payloads(sink),
        benign=list(sink.benign),
    )


TRUE: Label = "true_positive"
FALSE: Label = "false_positive"

KNOWN: list[tuple[str, str, Label | None]] = [
    ("sql-quoted", "", TRUE),
    ("sql-quoted", 'y = x.replace("\'", "\'\'")', FALSE),
    ("sql-number", 'y = x.replace("\'", "\'\'")', TRUE),
    ("sql-number", "y = int(x)", FALSE),
    ("sql-number", "if not x.isalnum(): abort(400)\ny = x", TRUE),
    ("sql-order", "y = html.escape(x)", TRUE),
    ("sql-order", 'y = {"1": "name"}.get(x, "date")', FALSE),
    ("sql-order", 'y = {"1": "name"}.get(x, x)', TRUE),
    ("sql-quoted", 'if not re.fullmatch(r"\\w+", x): abort(400)\ny = x', FALSE),
    ("sql-quoted", 'if not re.match(r"\\w+", x): abort(400)\ny = x', TRUE),
    ("sql-quoted", 'if re.fullmatch(r"\\w+", x): abort(400)\ny = x', TRUE),
    ("shell-system", "y = shlex.quote(x)", FALSE),
    ("shell-single-quoted", "y = shlex.quote(x)", TRUE),
    ("shell-system", "y = html.escape(x)", TRUE),
    ("path-open", "y = os.path.basename(x)", TRUE),  # of `..` it is `..`
    ("path-open", "y = secure_filename(x)", FALSE),
    ("path-join", 'if ".." in x: abort(400)\ny = x', TRUE),  # an absolute path needs no dots
    ("path-join", 'y = safe_join("/srv/files", x)\nif y is None: abort(404)', FALSE),
    ("fetch-requests", 'if urlparse(x).hostname not in ("cdn.example.com",): abort(400)\ny = x', FALSE),
    ("fetch-requests", 'if "cdn.example.com" not in x: abort(400)\ny = x', TRUE),
    ("fetch-requests", 'if urlparse(x).hostname == "localhost": abort(400)\ny = x', TRUE),
    ("html-text", "y = html.escape(x)", FALSE),
    ("html-quoted", "y = html.escape(x)", FALSE),
    ("html-quoted", "y = html.escape(x, quote=False)", TRUE),
    ("html-unquoted", "y = html.escape(x)", TRUE),
    ("html-text", "y = escape(x)", FALSE),
    ("html-text", "y = mark_safe(x)", TRUE),
    ("redirect-whole", 'if not x.startswith("/"): abort(400)\ny = x', TRUE),
    (
        "redirect-whole",
        'if not url_has_allowed_host_and_scheme(x, "shop.example.com"): abort(400)\ny = x',
        FALSE,
    ),
    ("redirect-whole", "if urlparse(x).netloc: abort(400)\ny = x", TRUE),
    ("code-eval", "y = int(x)", FALSE),
    ("code-eval", 'if not re.search(r"^\\d+", x): abort(400)\ny = x', TRUE),
    ("sql-number", "abort(400)\ny = x", None),  # reached by nobody: shows nothing
]


def test_known_guards_get_the_label_that_they_deserve() -> None:
    outcomes = oracle.run([trial(sink, body) for sink, body, _ in KNOWN])
    wrong = [
        (sink, body, outcome.witness)
        for (sink, body, label), outcome in zip(KNOWN, outcomes, strict=True)
        if oracle.label(outcome) != label
    ]
    assert wrong == []


def test_a_response_that_is_never_sent_harms_nobody() -> None:
    unsent = Trial(
        code='def view():\n    x = request.args["x"]\n    page = make_response("<p>" + x + "</p>")\n'
        "    if not x.isalnum():\n        abort(400)\n    return page\n",
        variable="x",
        plain='def plain():\n    return make_response("<p>a</p>")\n',
        payloads=payloads(next(sink for sink in SINKS if sink.name == "html-text")),
        benign=["alice"],
    )
    executed = msgspec_replace(
        trial("sql-quoted", "y = x\nrows = None"), before="return cur", after="rows = cur"
    )
    labels = [oracle.label(outcome) for outcome in oracle.run([unsent, executed])]
    assert labels == [FALSE, TRUE]


def msgspec_replace(found: Trial, *, before: str, after: str) -> Trial:
    """The same trial with the guard after the sink."""
    import msgspec

    code = (
        found.code.replace(before, after) + "    if not x.isalnum():\n        abort(400)\n    return rows\n"
    )
    return msgspec.structs.replace(found, code=code)


@pytest.mark.parametrize(
    "act",
    [
        "__import__('socket').socket()",
        "__import__('subprocess').run(['true'])",
        "__import__('os').system('true')",
        "__import__('builtins').open('/etc/hostname').read()",
        "__import__('os').fork()",
        "__import__('ctypes').CDLL(None)",
        "__import__('pathlib').Path('/tmp/securetag-escaped').write_text('x')",
    ],
)
def test_the_sandbox_forbids_what_no_function_needs(act: str) -> None:
    body = f"try:\n    {act}\nexcept PermissionError:\n    pass\ny = int(x)"
    refused, fine = oracle.run([trial("sql-number", body), trial("sql-number", "y = int(x)")])
    assert refused.error.startswith("forbidden: ")
    assert oracle.label(refused) is None
    assert oracle.label(fine) == FALSE


def test_a_function_that_never_ends_is_given_up_and_the_next_one_runs() -> None:
    endless, fine = oracle.run(
        [trial("sql-number", "y = x\nwhile True: pass"), trial("sql-number", "y = int(x)")]
    )
    assert endless.error == "out of time"
    assert oracle.label(endless) is None
    assert oracle.label(fine) == FALSE


def test_text_that_is_no_function_is_an_error_of_its_own() -> None:
    broken = Trial(code="def view(:\n", variable="x", plain="", payloads=["a"], benign=["b"])
    assert "not a function" in oracle.run([broken])[0].error


def test_a_sandbox_that_dies_is_a_tool_error() -> None:
    killer = trial("sql-number", "__import__('os')._exit(3)\ny = x")
    with pytest.raises(ToolError, match="ended with 3"):
        oracle.run([trial("sql-number", "y = int(x)"), killer])


def test_the_tables_are_as_broad_as_promised() -> None:
    for cwe in CLASSES:
        sinks = [sink for sink in SINKS if sink.cwe == cwe]
        assert sum(not sink.unseen for sink in sinks) >= 3, cwe
        assert any(sink.unseen for sink in sinks), cwe
        assert len(guards_of(cwe)) >= 12, cwe
        assert all(len(payloads(sink)) >= 8 for sink in sinks), cwe
    names = Counter(guard.name for guard in GUARDS)
    assert len(names) >= 80
    assert max(names.values()) == 1
    assert all(guard.unseen for guard in GUARDS if guard.family == UNSEEN_FAMILY)


def test_the_oracle_has_a_version_that_follows_its_modules() -> None:
    assert oracle.oracle_version() == oracle.oracle_version()
    assert oracle.oracle_version().startswith("oracle-")
