"""pre-commit, `make lint` and CI run the same checks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).parents[2]


def test_hooks_are_the_lines_of_make_lint() -> None:
    config = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())
    hooks = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    makefile = (CHECKOUT / "Makefile").read_text()
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe is not None
    line = recipe[1].replace("\\\n", " ").strip().removeprefix("@")
    commands = [part.strip().replace("$(BIN)", ".venv/bin") for part in line.split("&&")]
    assert hooks == commands


def test_the_configuration_is_one_that_pre_commit_takes() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-config", ".pre-commit-config.yaml"],
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "warning" not in (found.stdout + found.stderr).lower()


def test_ci_runs_what_a_person_runs() -> None:
    workflow = yaml.safe_load((CHECKOUT / ".github" / "workflows" / "ci.yml").read_text())
    steps = workflow["jobs"]["ci"]["steps"]
    assert "bash .ci/run" in [step.get("run") for step in steps]
    script = (CHECKOUT / ".ci" / "run").read_text()
    assert re.findall(r"^\s*(make [^\n|&]*?)\s*(?:2>.*)?$", script, re.MULTILINE) == [
        "make test",
        "make system",
        "make lint",
        "make demo SIZE=smoke",
        "make notebook",
    ]
