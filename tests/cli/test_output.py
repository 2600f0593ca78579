"""What Rich prints of others' text: brackets, emoji codes and numbers are text, never markup."""

from __future__ import annotations

import ast
import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import securetag
from securetag.cli import app, backup, output
from securetag.cli.services import checks
from securetag.cli.source import progress

if TYPE_CHECKING:
    from rich.console import Console

#: A closing tag without its opening one is an error of Rich's markup.
FOREIGN = "[red]src[/nope] [x] :smile: [link=https://example.org]"
PACKAGE = Path(securetag.__file__).parent


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_tables_print_brackets_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    output.show([FOREIGN], [[FOREIGN]], title=FOREIGN)
    output.show_lines([FOREIGN, "b"], [[FOREIGN, FOREIGN]])
    assert capsys.readouterr().out.count(FOREIGN) == 6


def test_doctor_prints_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = "pip install 'securetag[worker]'"
    missing = checks.Check("scanner", ok=False, detail="[/nope]", hint=wanted)
    monkeypatch.setattr(checks, "run_checks", lambda _: [missing])
    printed = CliRunner().invoke(app, ["doctor"]).output
    assert wanted in printed
    assert "[/nope]" in printed


def _on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")

    def make_console(*, stderr: bool = False, width: int | None = None) -> Console:
        made = original(stderr=stderr, width=width or 200)
        made.file = terminal
        made._force_terminal = made.is_interactive = True
        return made

    original = output.make_console
    monkeypatch.setattr(output, "make_console", make_console)
    monkeypatch.setattr(backup, "make_console", make_console)
    return terminal


def test_progress_prints_brackets_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _on_terminal(monkeypatch)
    with progress.show_progress("source", quiet=False) as report:
        assert report is not None
        report(FOREIGN, 1, 2)
    with backup._show_progress(quiet=False) as tell:
        tell(FOREIGN, 0)
    assert terminal.getvalue().count(FOREIGN) >= 2


def test_only_one_place_makes_a_console() -> None:
    """Whoever prints through another console, or reads markup, prints others' text as markup."""
    made: list[str] = []
    for path in PACKAGE.rglob("*.py"):
        if "rich" not in (text := path.read_text()):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rich":
                names = {alias.name for alias in node.names}
                if names & {"Console", "print", "get_console"}:
                    made.append(path.relative_to(PACKAGE).as_posix())
            if isinstance(node, ast.Attribute) and node.attr == "from_markup":
                made.append(path.relative_to(PACKAGE).as_posix())
    # Once for the type, once for the function.
    assert made == ["cli/output.py"] * 2
