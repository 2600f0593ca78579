"""What git knows of the scanned folder: branch, commit, and which lines a change touches."""

from __future__ import annotations

import codecs
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from securetag.errors import InputError

#: Seconds that one call of git may take.
TIMEOUT_S = 60.0
#: A job in CI checks out a commit without a branch; these say which it is of, at GitHub and GitLab.
CI_BRANCHES = (
    "GITHUB_HEAD_REF",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
    "CI_COMMIT_BRANCH",
    "GITHUB_REF_NAME",
)
_HUNK = re.compile(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@")

#: Path → (first, last) of the lines that a change touches.
ChangedLines = Mapping[str, Sequence[tuple[int, int]]]


@dataclass(frozen=True)
class Checkout:
    """Where the folder stands. None: it isn't known."""

    branch: str | None = None
    #: Only where the files are those of the commit.
    commit: str | None = None
    #: Where the branch left the remote's default branch.
    base_commit: str | None = None


@dataclass(frozen=True)
class Git:
    """Reads the repository that a folder is in."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def read_checkout(self) -> Checkout:
        """Return branch and commit; empty outside a repository."""
        commit = self._read("rev-parse", "--verify", "HEAD")
        if commit is None:
            return Checkout()
        branch = self._read("symbolic-ref", "--short", "HEAD") or next(
            (self.environment[name] for name in CI_BRANCHES if self.environment.get(name)), None
        )
        base = self._read("merge-base", "HEAD", "origin/HEAD")
        is_clean = self._read("status", "--porcelain", "--", ".") == ""
        return Checkout(branch, commit if is_clean else None, base if base != commit else None)

    def resolve(self, ref: str) -> str | None:
        """Return the commit that a branch, tag or hash means here; None where it means none."""
        return self._read("rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}")

    def changed_lines(self, ref: str) -> dict[str, list[tuple[int, int]]]:
        """Return the lines that differ from where the branch left `ref`; new files wholly.

        Raises InputError where git can't tell.
        """
        base = self._read("merge-base", "HEAD", ref) if self.resolve(ref) else None
        if base is None:
            raise InputError(
                f"git can't compare {self.folder} with {ref}",
                hint=f"Is it a repository that has {ref}? In CI, fetch it with its history "
                "(`git fetch --unshallow`, or `fetch-depth: 0`).",
            )
        diff = self._read(
            "diff",
            "--unified=0",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--relative",
            base,
            "--",
            ".",
        )
        untracked = self._read("ls-files", "--others", "--exclude-standard", "-z", "--", ".")
        if diff is None or untracked is None:
            raise InputError(f"git can't compare {self.folder} with {ref}", hint="Run `git status` there.")
        changes = read_diff(diff)
        changes |= {path: [(1, 1 << 31)] for path in untracked.split("\0") if path}
        return changes

    def _read(self, *arguments: str) -> str | None:
        """Return what git prints; None where it fails, or isn't installed."""
        # A repository's own settings name programs that git would run.
        safe = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false"]
        try:
            done = subprocess.run(
                ["git", "-C", str(self.folder), *safe, *arguments],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=TIMEOUT_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")


def read_diff(diff: str) -> dict[str, list[tuple[int, int]]]:
    """Return path → lines that a unified diff without context adds or changes."""
    changes: dict[str, list[tuple[int, int]]] = {}
    path, left = "", 0
    for line in diff.split("\n"):
        if left and line.startswith(("+", "-", "\\")):
            # Inside a hunk a line that looks like a header is code.
            left -= not line.startswith("\\")
            continue
        left = 0
        if line.startswith("+++ "):
            path = _path_of(line.removeprefix("+++ "))
        elif match := _HUNK.match(line):
            first, count = int(match[1]), int(match[2] or 1)
            removed = re.match(r"@@ -\d+(?:,(\d+))? ", line)
            left = count + int(removed[1] if removed and removed[1] else 1)
            if count:
                changes.setdefault(path, []).append((first, first + count - 1))
    return changes


def _path_of(name: str) -> str:
    """Return the path in a header: `b/app.py`, or quoted where it holds odd characters."""
    if name.startswith('"'):
        unescaped, _ = codecs.escape_decode(name.strip('"').encode("utf-8", "surrogateescape"))
        assert isinstance(unescaped, bytes), "bytes give bytes"
        name = unescaped.decode("utf-8", "surrogateescape")
    return name.removesuffix("\t").removeprefix("b/")
