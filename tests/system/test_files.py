"""Files and folders appear whole or not at all, with the mode that was asked for."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from securetag.system.files import DRAFT_PREFIX, PRIVATE, draft_folder, replace_file, write_atomic

#: Prints `ready` when a draft with one file stands in argv[1], then waits to be killed.
HOLD_A_DRAFT = """
import sys, time
from pathlib import Path
from securetag.system.files import draft_folder
with draft_folder(Path(sys.argv[1])) as draft:
    (draft.path / "half").write_text("written")
    print("ready", flush=True)
    time.sleep(600)
"""


def write_half(path: Path) -> None:
    with replace_file(path) as temporary:
        temporary.write_bytes(b"half")
        raise ValueError("half way")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    assert write_atomic(path, "first ä") == path
    assert write_atomic(path, b"second", durable=False) == path
    assert path.read_bytes() == b"second"
    assert names_in(path.parent) == ["file.json"]


@pytest.mark.parametrize(
    ("umask", "mode", "expected"),
    [
        pytest.param(0o022, None, 0o644, id="the umask decides by default"),
        pytest.param(0o077, None, 0o600, id="a strict umask is kept"),
        pytest.param(0o022, PRIVATE, 0o600, id="private"),
        pytest.param(0o077, 0o644, 0o644, id="a stated mode outranks the umask"),
    ],
)
def test_the_mode_of_a_new_file(tmp_path: Path, umask: int, mode: int | None, expected: int) -> None:
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "file", b"", mode=mode)
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "file") == expected


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_atomic(tmp_path / "file", b"old")
    with pytest.raises(ValueError, match="half way"):
        write_half(path)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["file"]


def test_a_name_of_255_bytes_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_atomic(path, b"content")
    assert path.read_bytes() == b"content"


def test_a_reader_beside_many_writers_sees_only_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = {bytes([letter]) * 200_000 for letter in b"abc"}
    write_atomic(path, next(iter(contents)))

    def write(content: bytes) -> None:
        for _ in range(40):
            write_atomic(path, content, durable=False)

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    reads = [path.read_bytes() for _ in range(200)]
    for writer in writers:
        writer.join()
    assert set(reads) <= contents
    assert names_in(tmp_path) == ["file"]


def test_a_draft_is_committed_once(tmp_path: Path) -> None:
    target = tmp_path / "release"
    with draft_folder(tmp_path) as draft:
        (draft.path / "a.txt").write_text("a")
        assert draft.commit(target, read_only=True)
    assert mode_of(target) == 0o755
    assert mode_of(target / "a.txt") == 0o444
    with draft_folder(tmp_path) as second:
        (second.path / "a.txt").write_text("b")
        assert not second.commit(target)
    assert (target / "a.txt").read_text() == "a"
    assert names_in(tmp_path) == ["release"]


def test_a_draft_does_not_replace_a_file(tmp_path: Path) -> None:
    target = write_atomic(tmp_path / "release", b"a file")
    with draft_folder(tmp_path) as draft, pytest.raises(NotADirectoryError):
        draft.commit(target)
    assert target.read_bytes() == b"a file"


def test_a_killed_process_leaves_a_draft_that_the_next_one_removes(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_DRAFT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    with draft_folder(tmp_path):
        drafts = [name for name in names_in(tmp_path) if name.startswith(DRAFT_PREFIX)]
        assert len(drafts) == 2, "the draft of a living process stays"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert len(names_in(tmp_path)) == 1
    with draft_folder(tmp_path):
        pass
    assert names_in(tmp_path) == []
