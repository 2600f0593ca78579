"""What requests carry to handlers, and what of the oracle's outcomes depends on it."""

from __future__ import annotations

import subprocess
import sys
from http.client import parse_headers
from io import BytesIO
from pathlib import Path

import pytest

from securetag.datasets.synthetic import oracle, outcome_cache
from securetag.datasets.synthetic.child import Outcome, Trial
from securetag.datasets.synthetic.delivery import deliver
from securetag.datasets.synthetic.outcome_cache import DECIDING, OutcomeCache, digest_modules
from securetag.datasets.synthetic.payloads import list_payloads
from securetag.datasets.synthetic.sinks import SINKS

_TEXTS = sorted({text for sink in SINKS for text in (*sink.benign, *list_payloads(sink))})


def test_a_header_that_is_sent_is_read_as_what_is_delivered() -> None:
    for text in [*map(chr, range(256)), *_TEXTS, "\u0667", " a\t"]:
        carried = str(deliver("http.server", "header", f"a{text}b"))
        sent = b"X-Name: " + carried.encode("latin-1") + b"\r\n\r\n"
        assert parse_headers(BytesIO(sent))["X-Name"] == carried, repr(text)


def test_a_header_holds_no_line_end_and_no_blanks_around() -> None:
    assert deliver("django", "header", " \r\n//evil.net\u0667\t") == "//evil.net"
    assert deliver("fastapi", "header", "a\0b") == "ab"


def test_tornado_takes_controls_and_blanks_off() -> None:
    assert deliver("tornado", "query", "\x01//evil.net\n") == "//evil.net"
    assert deliver("tornado", "form", "a\x00b\nc") == "a b\nc"


@pytest.mark.parametrize("source", ["query", "form", "cookie", "json", "path", ""])
def test_other_sources_carry_any_text(source: str) -> None:
    assert deliver("django", source, " \r\n\0\u0667") == " \r\n\0\u0667"


@pytest.mark.parametrize(
    ("converter", "text", "value"),
    [
        ("int", "42", 42),
        ("int", "4 2", None),
        ("str", "a;b", "a;b"),
        ("str", "a/b", None),
        ("str", "", None),
        ("path", "a/../b", "a/../b"),
        ("path", "/etc", None),
        ("word", "a1\n", None),
        ("beginning", "a1\n;", "a1\n;"),
        ("slug", "a-1_B", "a-1_B"),
        ("digits", "42", "42"),
        ("listed|db1|web2", "web2", "web2"),
        ("listed|db1|web2", "web", None),
    ],
)
def test_a_route_delivers_what_its_converter_accepts(converter: str, text: str, value: object) -> None:
    if value is not None:
        assert deliver("flask", f"route:{converter}", text) == value
        return
    with pytest.raises(ValueError, match=r"none of|no part of"):
        deliver("flask", f"route:{converter}", text)


_HEAD = 'def view(request):\n    x = request.META.get("x", "")\n'
_LINE_END_OR_HOME = '    if x != "/home" and "\\n" not in x: raise Http404\n'


def _judge(source: str) -> Outcome:
    trial = Trial(
        code=f"{_HEAD}{_LINE_END_OR_HOME}    return HttpResponseRedirect(x)\n",
        variable="x",
        plain='def plain():\n    v = request.args.get("x")\n    return redirect(v)\n',
        sink="redirect-whole",
        framework="django",
        source=source,
    )
    return oracle.run_trials([trial])[0]


def test_a_line_end_gets_past_a_check_in_a_query_and_not_in_a_header() -> None:
    assert oracle.label_of(_judge("query")) == "true_positive"
    assert oracle.label_of(_judge("header")) == "false_positive"


def test_every_module_of_the_sandbox_is_in_the_digest() -> None:
    # A process of its own: this one has imported more.
    names = "sorted(m for m in sys.modules if m.startswith('securetag.datasets.synthetic.'))"
    script = f"import sys, securetag.datasets.synthetic.child; print(*{names})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [name.rpartition(".")[2] for name in run.stdout.split()] == sorted(DECIDING)


def test_an_outcome_isnt_kept_when_a_payload_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DECIDING:
        (tmp_path / f"{name}.py").write_text(f"{name} = 1\n", encoding="utf-8")
    before = digest_modules(tmp_path)
    (tmp_path / "payloads.py").write_text("payloads = 2\n", encoding="utf-8")
    assert digest_modules(tmp_path) != before

    trial = Trial(code="", variable="x", plain="", sink="sql-quoted")
    cache = OutcomeCache(tmp_path / "outcomes.sqlite", "version")
    cache.store([(trial, Outcome(honest=1, tried=1))])
    assert cache.load([trial]) == {0: Outcome(honest=1, tried=1)}
    monkeypatch.setattr(outcome_cache, "_environment", lambda: ["another digest"])
    assert cache.load([trial]) == {}
