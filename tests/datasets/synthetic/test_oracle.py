"""The sandbox runs real functions and labels them by their effects."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from typing import NamedTuple

import psutil
import pytest

from securetag.datasets.synthetic import oracle
from securetag.datasets.synthetic.child import OUT_OF_TIME, Trial
from securetag.datasets.synthetic.guards import GUARDS, UNSEEN_FAMILY, guards_of
from securetag.datasets.synthetic.payloads import list_combinations, list_payloads
from securetag.datasets.synthetic.sinks import CLASSES, SINKS, Sink, make_literal, sink_named
from securetag.errors import ToolError
from securetag.records import Label


def trial(sink_name: str, body: str, *, value: str = "y", framework: str = "flask") -> Trial:
    """A Flask handler: `x` is the request's, `body` makes `y` of it, then the sink."""
    sink = sink_named(sink_name)
    carrier = sink.carrier or {"CWE-79": "make_response({v})", "CWE-601": "redirect({v})"}[sink.cwe]

    def call(name: str) -> str:
        return "return " + carrier.format(v=make_literal(sink.text, name, "fstring"))

    lines = [*body.split("\n"), call(value)] if body else [call("x")]
    head = 'def view():\n    x = request.args.get("x", "")\n'
    return Trial(
        code=head + "".join(f"    {line}\n" for line in lines),
        variable="x",
        plain=head + f"    {call('x')}\n",
        sink=sink_name,
        framework=framework,
    )


TRUE: Label = "true_positive"
FALSE: Label = "false_positive"

LABELED: list[tuple[str, str, Label | None]] = [
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
    # Requests ends the host at a backslash, where `urlparse` and HTTPX read on to the `@`.
    ("fetch-requests", 'if urlparse(x).hostname not in ("cdn.example.com",): abort(400)\ny = x', TRUE),
    ("fetch-httpx", 'if urlparse(x).hostname not in ("cdn.example.com",): abort(400)\ny = x', FALSE),
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
    ("sql-number", "abort(400)\ny = x", None),  # the sink is unreachable: no label
]


#: What a package's function begins with, and how the text from outside gets into it.
PACKAGE_HEADS = {
    "parameter": "def view(x):\n",
    "attribute": "def view(self):\n    x = self._x\n",
    "item": 'def view(record):\n    x = record["x"]\n',
    "named attribute": 'def view(self, node):\n    x = getattr(node, "x")\n',
    "removed": 'def view(self, task):\n    x = task.pop("x")\n',
    "json": 'def view(payload):\n    x = json.loads(payload)["x"]\n',
    "row": 'def view(self, rows):\n    x = [row["x"] for row in rows][0]\n',
}


def test_a_package_s_function_is_given_what_an_attacker_sends() -> None:
    guarded = '    if not re.fullmatch(r"\\w+", x):\n        raise ValueError("unsupported value")\n'
    sinks = {
        "sql-quoted": "    return cur.execute(f\"SELECT * FROM users WHERE name = '{x}'\")\n",
        "html-text": '    return f"<p>Hello {x}</p>"\n',
    }
    trials = []
    for head in PACKAGE_HEADS.values():
        for sink, call in sinks.items():
            plain = trial(sink, "").plain
            trials += [
                Trial(code=head + guard + call, variable="x", plain=plain, sink=sink, framework="package")
                for guard in ("", guarded)
            ]
    labels = [oracle.label_of(outcome) for outcome in oracle.run_trials(trials)]
    assert labels == [TRUE, FALSE] * (len(PACKAGE_HEADS) * len(sinks))


def test_a_redirect_is_worth_what_its_framework_writes() -> None:
    guarded = 'if not url_has_allowed_host_and_scheme(x, "shop.example.com"): abort(400)\ny = x'
    frameworks = ("flask", "django", "fastapi", "bottle", "falcon", "tornado", "http.server")
    outcomes = oracle.run_trials([trial("redirect-whole", guarded, framework=name) for name in frameworks])
    assert {name: oracle.label_of(outcome) for name, outcome in zip(frameworks, outcomes, strict=True)} == {
        "flask": FALSE,
        "django": FALSE,
        "fastapi": FALSE,
        "bottle": FALSE,
        "falcon": TRUE,
        "tornado": TRUE,
        "http.server": TRUE,
    }
    assert {outcome.witness for outcome in outcomes if outcome.witness} <= {
        "/\t//evil.net",
        "/\n//evil.net",
        "/\r//evil.net",
    }


def test_guards_get_their_correct_label() -> None:
    outcomes = oracle.run_trials([trial(sink, body) for sink, body, _ in LABELED])
    wrong = [
        (sink, body, outcome.witness)
        for (sink, body, label), outcome in zip(LABELED, outcomes, strict=True)
        if oracle.label_of(outcome) != label
    ]
    assert wrong == []


class Pattern(NamedTuple):
    """A guard with a bypass and the similar safe guard."""

    name: str
    sink: str
    unsafe: str
    safe: str


#: A second parameter, as the functions read one.
PAGE = 'page = request.args.get("page", "")\n'

#: Labeled safe while a payload was only glued to the first benign value of the sink and every other
#: parameter was benign.
PATTERNS = [
    Pattern(
        "a check on another parameter",
        "sql-quoted",
        PAGE + 'y = x if page.isdigit() else "alice"',
        PAGE + 'y = x if page.isdigit() and x.isalnum() else "alice"',
    ),
    Pattern(
        "a check on another parameter that refuses",
        "path-open",
        PAGE + "if not page.isalnum(): abort(400)\ny = x",
        PAGE + "if not page.isalnum(): abort(400)\ny = secure_filename(x)",
    ),
    Pattern(
        "another parameter reaches the sink",
        "html-text",
        PAGE + "y = x if x.isalnum() else page",
        PAGE + "y = x if x.isalnum() else html.escape(page)",
    ),
    Pattern(
        "the second honest value in a part",
        "sql-number",
        'y = "7"\nfor part in x.splitlines():\n    y = part if "42" in part else "7"',
        'y = "7"\nfor part in x.splitlines():\n    y = part if "42" == part else "7"',
    ),
    Pattern(
        "the last character is a digit",
        "html-text",
        'y = x if x[-1:].isdigit() else "alice"',
        'y = x if x[:].isdigit() else "alice"',
    ),
    Pattern(
        "the first character is a digit",
        "path-open",
        'y = x if x[:1].isdigit() else "a1"',
        'y = x if x[:].isdigit() else "a1"',
    ),
    Pattern(
        "shlex.split joined again",
        "shell-single-quoted",
        'y = " ".join(shlex.split(x))',
        'y = "".join(c for c in x if c.isalnum())',
    ),
    Pattern(
        "re.escape around a constant",
        "sql-number",
        'y = x if re.search(re.escape("42"), x) else "7"',
        'y = x if re.fullmatch(re.escape("42"), x) else "7"',
    ),
    Pattern(
        "benign text before and after",
        "sql-quoted",
        'y = x if x.startswith("alice") and x.endswith("bob") else "alice"',
        'y = x if x in ("alice", "bob") else "alice"',
    ),
]


def test_a_guard_that_checks_a_part_of_the_request_is_exploitable() -> None:
    outcomes = oracle.run_trials([trial(pattern.sink, pattern.unsafe) for pattern in PATTERNS])
    assert {
        pattern.name: oracle.label_of(outcome) for pattern, outcome in zip(PATTERNS, outcomes, strict=True)
    } == {pattern.name: TRUE for pattern in PATTERNS}


def test_the_similar_safe_guards_are_safe() -> None:
    outcomes = oracle.run_trials([trial(pattern.sink, pattern.safe) for pattern in PATTERNS])
    assert {
        pattern.name: (oracle.label_of(outcome), outcome.witness)
        for pattern, outcome in zip(PATTERNS, outcomes, strict=True)
    } == {pattern.name: (FALSE, None) for pattern in PATTERNS}


def test_a_witness_names_every_parameter() -> None:
    (outcome,) = oracle.run_trials([trial("sql-quoted", PATTERNS[0].unsafe)])
    assert outcome.witness == list_payloads(sink_named("sql-quoted"))[0]
    assert outcome.witness_other.isdigit()


def test_an_empty_value_is_not_an_attack() -> None:
    # What `re.split` leaves of `$(id)` is nothing: the command line is short of a word.
    (outcome,) = oracle.run_trials([trial("shell-system", 'y = re.split(r"\\W", x)[0]')])
    assert oracle.label_of(outcome) == FALSE


@pytest.mark.parametrize("sink", SINKS, ids=lambda sink: sink.name)
def test_every_payload_is_combined_with_every_benign_value_before_and_after(sink: Sink) -> None:
    texts = {*list_payloads(sink), *list_combinations(sink)}
    for text in list_payloads(sink)[:3]:
        for before in sink.benign:
            assert {before + text, text + before} <= texts
            assert {before + text + after for after in sink.benign} <= texts


def test_a_response_that_is_not_sent_is_safe() -> None:
    unsent = Trial(
        code='def view():\n    x = request.args["x"]\n    page = make_response("<p>" + x + "</p>")\n'
        "    if not x.isalnum():\n        abort(400)\n    return page\n",
        variable="x",
        plain='def plain():\n    return make_response("<p>a</p>")\n',
        sink="html-text",
    )
    executed = move_guard_after(
        trial("sql-quoted", "y = x\nrows = None"), before="return cur", after="rows = cur"
    )
    labels = [oracle.label_of(outcome) for outcome in oracle.run_trials([unsent, executed])]
    assert labels == [FALSE, TRUE]


def move_guard_after(original: Trial, *, before: str, after: str) -> Trial:
    """Return the trial with its guard after the sink."""
    import msgspec

    code = (
        original.code.replace(before, after)
        + "    if not x.isalnum():\n        abort(400)\n    return rows\n"
    )
    return msgspec.structs.replace(original, code=code)


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
def test_the_sandbox_forbids_unneeded_system_access(act: str) -> None:
    body = f"try:\n    {act}\nexcept PermissionError:\n    pass\ny = int(x)"
    refused, fine = oracle.run_trials([trial("sql-number", body), trial("sql-number", "y = int(x)")])
    assert refused.error.startswith("forbidden: ")
    assert oracle.label_of(refused) is None
    assert oracle.label_of(fine) == FALSE


SAFE = trial("sql-number", "y = int(x)")
#: Functions that burn CPU time for ever: the interpreter stops the first, only the kernel the others.
BURNERS = {
    "a loop": "while True: pass",
    "a loop that catches everything": (
        "while True:\n    try:\n        for n in range(10**9): n += 1\n"
        "    except BaseException:\n        n = 0"
    ),
    "a call that never comes back": "sum(range(10**13))",
}


@pytest.mark.system
@pytest.mark.parametrize("body", BURNERS.values(), ids=BURNERS)
def test_a_function_over_the_cpu_limit_has_no_label_and_the_others_have(body: str) -> None:
    burner = trial("sql-number", f"{body}\ny = x")
    outcomes = oracle.run_trials([SAFE, SAFE, burner, SAFE, trial("sql-number", "y = x"), SAFE])
    assert outcomes[2].error == OUT_OF_TIME
    assert [oracle.label_of(outcome) for outcome in outcomes] == [FALSE, FALSE, None, FALSE, TRUE, FALSE]


def test_a_function_that_never_returns_has_no_label_and_the_others_have() -> None:
    waiting = trial("sql-number", "__import__('time').sleep(3600)\ny = x")
    outcomes = oracle.run_trials([SAFE, waiting, SAFE, SAFE], hang_s=6.0)
    assert outcomes[1].error == "no answer"
    assert [oracle.label_of(outcome) for outcome in outcomes] == [FALSE, None, FALSE, FALSE]


def test_a_function_that_exits_has_no_label_and_the_others_have() -> None:
    killer = trial("sql-number", "__import__('os')._exit(3)\ny = x")
    outcomes = oracle.run_trials([SAFE, killer, SAFE, killer, SAFE])
    assert outcomes[1].error == outcomes[3].error == "ended its process with 3"
    assert [oracle.label_of(outcome) for outcome in outcomes] == [FALSE, None, FALSE, None, FALSE]


def test_printed_text_is_not_read_as_an_outcome() -> None:
    printing = trial("sql-number", "print('ready')\n__import__('os').write(1, b'{}\\n')\ny = int(x)")
    assert [oracle.label_of(outcome) for outcome in oracle.run_trials([printing, SAFE])] == [FALSE, FALSE]


def sandboxes() -> list[psutil.Process]:
    """Return the running child processes that execute synthetic functions."""
    return [
        process
        for process in psutil.Process().children()
        if "securetag.datasets.synthetic.child" in process.cmdline()
    ]


@pytest.mark.parametrize("hang_s", [900.0, 3.0], ids=["goes on when continued", "is ended as hung"])
def test_functions_of_a_stopped_process_are_run_again(hang_s: float) -> None:
    stopped: list[int] = []

    def stop() -> None:
        while not (running := sandboxes()):
            time.sleep(0.01)
        os.kill(running[0].pid, signal.SIGSTOP)
        stopped.append(running[0].pid)
        time.sleep(5)
        if psutil.pid_exists(running[0].pid):
            os.kill(running[0].pid, signal.SIGCONT)

    stopper = threading.Thread(target=stop)
    stopper.start()
    outcomes = oracle.run_trials([SAFE] * 400, hang_s=hang_s)
    stopper.join()
    assert stopped
    assert Counter(map(oracle.label_of, outcomes)) == {FALSE: 400}


def test_an_interrupted_run_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(oracle, "PROGRESS_STEP", 1)
    with pytest.raises(KeyboardInterrupt):
        oracle.run_trials([SAFE] * 50, progress=interrupt)
    assert sandboxes() == []


def test_progress_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "PROGRESS_STEP", 10)
    messages: list[str] = []
    oracle.run_trials([SAFE] * 20, progress=messages.append)
    assert messages[-1] == "20 of 20 synthetic functions executed"


def test_text_that_is_not_a_function_is_an_error() -> None:
    broken = Trial(code="def view(:\n", variable="x", plain="", sink="sql-number")
    assert "not a function" in oracle.run_trials([broken])[0].error


def test_a_sandbox_that_cannot_start_is_a_tool_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ToolError, match="can't start: ended its process with 1"):
        oracle.run_trials([SAFE])


def test_the_tables_have_their_documented_size() -> None:
    for cwe in CLASSES:
        sinks = [sink for sink in SINKS if sink.cwe == cwe]
        assert sum(not sink.unseen for sink in sinks) >= 3, cwe
        assert any(sink.unseen for sink in sinks), cwe
        assert len(guards_of(cwe)) >= 12, cwe
        assert all(len(list_payloads(sink)) >= 8 for sink in sinks), cwe
    names = Counter(guard.name for guard in GUARDS)
    assert len(names) >= 80
    assert max(names.values()) == 1
    assert all(guard.unseen for guard in GUARDS if guard.family == UNSEEN_FAMILY)
