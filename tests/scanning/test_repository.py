"""A commit is fetched from a git server by its URL: one that is public, small and what it says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from git_server import GitServer, serve_git

from securetag.errors import InputError
from securetag.scanning.repository import FetchRequest, fetch_commit
from securetag.scanning.unpack import Limits, unpack

pytestmark = [pytest.mark.system, pytest.mark.sockets]

LOOPBACK = [ip_network("127.0.0.0/8")]
LIMITS = Limits(max_files=50, max_unpacked=8 << 20, max_ratio=100)


def run_git(folder: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *settings, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """`served/shop` with two commits; what a hostile one brings is in both."""
    folder = tmp_path / "served" / "shop"
    folder.mkdir(parents=True)
    run_git(folder, "init", "-q", "-b", "main")
    (folder / "app.py").write_text("x = 1\n")
    (folder / "hidden.py").write_text("y = 1\n")
    (folder / "large.bin").write_text("version https://git-lfs.github.com/spec/v1\n")
    # Would leave a file out, write the commit's message into one, and run a program on checkout.
    (folder / ".gitattributes").write_text(
        "hidden.py export-ignore\napp.py export-subst filter=evil\n*.bin filter=lfs diff=lfs merge=lfs\n"
    )
    (folder / ".gitmodules").write_text('[submodule "s"]\n\tpath = s\n\turl = https://169.254.169.254/x\n')
    (folder / "link").symlink_to("/etc/passwd")
    run_git(folder, "add", ".")
    run_git(folder, "commit", "-q", "-m", "first")
    (folder / "app.py").write_text("x = 2\n")
    run_git(folder, "commit", "-q", "-a", "-m", "second")
    return folder


def request(server: GitServer, named: str, out: Path, **changes: Any) -> FetchRequest:
    given = {
        "url": f"{server.url}/shop/.git",
        "commit": named,
        "out": out,
        "max_bytes": 8 << 20,
        "timeout_s": 60.0,
        "networks": LOOPBACK,
        "authorities": server.authority,
    }
    return FetchRequest(**{**given, **changes})


@pytest.mark.parametrize("has_tls", [False, True], ids=["http", "https"])
def test_the_files_of_the_commit_come_and_nothing_of_it_runs(
    has_tls: bool, repository: Path, tmp_path: Path
) -> None:
    first = run_git(repository, "rev-parse", "HEAD~1")
    with serve_git(repository.parent, has_tls=has_tls) as server:
        archive = fetch_commit(request(server, first, tmp_path / "task"))
        assert server.paths, "it was asked"
    assert sorted(path.name for path in (tmp_path / "task").iterdir() if path.is_dir()) == []
    summary = unpack(archive, tmp_path / "out", LIMITS)
    files = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert files["app.py"] == "x = 1\n"
    assert files["hidden.py"] == "y = 1\n"
    assert files["large.bin"].startswith("version https://git-lfs")
    assert set(files) == {"app.py", "hidden.py", "large.bin", ".gitattributes", ".gitmodules"}
    assert [item.path for item in summary.left_out] == ["'link'"]


def test_a_certificate_that_nobody_knows_is_refused(repository: Path, tmp_path: Path) -> None:
    commit = run_git(repository, "rev-parse", "HEAD")
    with serve_git(repository.parent, has_tls=True) as server, pytest.raises(InputError, match="certificate"):
        fetch_commit(request(server, commit, tmp_path / "task", authorities=None))


REFUSED: dict[str, tuple[Callable[[GitServer], dict[str, Any]], str]] = {
    "loopback": (lambda server: {"networks": []}, "loopback"),
    "a name that leads to loopback": (
        lambda server: {
            "url": server.url.replace("http://127.0.0.1", "https://localhost"),
            "networks": [],
        },
        "loopback",
    ),
    "http": (lambda server: {"url": "http://git.example.org/shop"}, "https"),
    "another protocol": (lambda server: {"url": "ssh://git.example.org/shop"}, "http"),
    "a local path": (lambda server: {"url": "/etc"}, "http"),
    "an option": (lambda server: {"url": "--upload-pack=id"}, "http"),
    "a helper": (lambda server: {"url": "ext::sh -c id"}, "blank"),
    "a password": (lambda server: {"url": "https://a:b@git.example.org/x"}, "password"),
    "another commit": (lambda server: {"commit": "1" * 40}, "no such commit"),
    "another repository": (lambda server: {"url": f"{server.url}/none/.git"}, "no repository"),
    "a redirect": (lambda server: {"url": f"{server.url}/moved/shop/.git"}, "elsewhere"),
    "too large": (lambda server: {"max_bytes": 100_000}, "too large"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_reason(case: str, repository: Path, tmp_path: Path) -> None:
    changes, reason = REFUSED[case]
    (repository / "noise.bin").write_bytes(os.urandom(1 << 20))
    run_git(repository, "add", ".")
    run_git(repository, "commit", "-q", "-m", "third")
    commit = run_git(repository, "rev-parse", "HEAD")
    with serve_git(repository.parent) as server:
        with pytest.raises(InputError, match=reason) as caught:
            fetch_commit(request(server, commit, tmp_path / "task", **changes(server)))
        assert caught.value.hint


def test_a_tree_that_repeats_itself_is_cut_off(repository: Path, tmp_path: Path) -> None:
    """A few hundred bytes of objects that name a million files."""
    blob = run_git(repository, "hash-object", "-w", "app.py")
    tree = ""
    for level in range(6):
        lines = [f"100644 blob {blob}\tf{n}" for n in range(10)]
        if level:
            lines = [f"040000 tree {tree}\td{n}" for n in range(10)]
        made = subprocess.run(
            ["git", "-C", str(repository), "mktree"],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            check=True,
        )
        tree = made.stdout.strip()
    commit = run_git(repository, "commit-tree", tree, "-m", "bomb")
    run_git(repository, "update-ref", "refs/heads/bomb", commit)
    with serve_git(repository.parent) as server:
        fetched = request(server, commit, tmp_path / "task", max_bytes=1 << 20)
        with pytest.raises(InputError, match=r"too large|100 times|more than"):
            unpack(fetch_commit(fetched), tmp_path / "out", LIMITS)
    assert not (tmp_path / "out").exists()
