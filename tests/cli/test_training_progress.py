"""The steps of a training run on a terminal, in a log, and with --json."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from securetag.cli.model.progress import show_steps

LINE = {"step": 7, "steps": 20, "loss": 0.31234, "tokens_s": 1862.2, "validation_auc": 0.875}


def test_a_log_gets_a_line_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    with show_steps(quiet=False) as progress:
        assert progress is not None
        progress(LINE)
        progress({"step": 8, "loss": 1.0})
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["step 7: loss 0.312, AUC 0.875, 1,862 tokens/s", "step 8: loss 1.000"]


def test_with_json_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with show_steps(quiet=True) as progress:
        assert progress is None
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_and_standard_output_nothing() -> None:
    code = (
        "import json, sys; from securetag.cli.model.progress import show_steps\n"
        "with show_steps(quiet=False) as progress:\n    progress(json.loads(sys.argv[1]))"
    )
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, str(LINE).replace("'", '"')],
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=os.environ | {"COLUMNS": "120", "TERM": "xterm"},
            check=True,
        )
        os.close(theirs)
        shown = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
    assert done.stdout == b""
    assert "7/20" in shown
    assert "loss 0.312, AUC 0.875" in shown
