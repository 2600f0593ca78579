"""Hostile tar.gz archives: the limits of zip archives hold for them, and nothing lands outside."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from securetag.errors import ArchiveError
from securetag.scanning.unpack import Limits, inspect, read_entry, unpack
from securetag.wire.queue import SkipReason

LIMITS = Limits(max_files=50, max_unpacked=8 << 20, max_ratio=100)


def packed(*entries: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=form) as bundle:
        for entry in entries:
            info = entry if isinstance(entry, tarfile.TarInfo) else tarfile.TarInfo(entry[0])
            content = b"" if isinstance(entry, tarfile.TarInfo) else entry[1]
            info.size = info.size or len(content)
            bundle.addfile(info, io.BytesIO(content))
    return out.getvalue()


def of_type(name: str, kind: bytes, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def with_header(kind: bytes, content: bytes) -> bytes:
    """A special header before a file."""
    info = tarfile.TarInfo("header")
    info.type, info.size = kind, len(content)
    padding = bytes(-len(content) % 512)
    return gzip.compress(
        (info.tobuf(tarfile.USTAR_FORMAT) + content + padding) + gzip.decompress(packed(("a.py", b"x")))
    )


def negative_size() -> bytes:
    data = bytearray(gzip.decompress(packed(("a.py", b"x"), form=tarfile.GNU_FORMAT)))
    data[124:136] = b"\xff" * 12
    return gzip.compress(_summed(data))


def endless_sparse() -> bytes:
    """A map of a sparse file that goes on for longer than any file's."""
    data = bytearray(gzip.decompress(packed(("a.py", b"x"), form=tarfile.GNU_FORMAT))[:512])
    data[156:157] = b"S"
    data[482:483] = b"\x01"
    block = bytearray(512)
    block[504:505] = b"\x01"
    return gzip.compress(_summed(data) + bytes(block) * 10_000, 1)


def _summed(header: bytearray) -> bytes:
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header[:512]):06o}\0 ".encode()
    return bytes(header)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "cut": (lambda: packed(("a.py", os.urandom(5_000)))[:-3_000], "damaged"),
    "no tar": (lambda: gzip.compress(b"hello" * 500), "damaged"),
    "no gzip": (lambda: b"\x1f\x8b\x08" + bytes(100), "damaged"),
    "empty": (packed, "no files"),
    "only git": (lambda: packed((".git/config", b"x")), "no files"),
    "parent": (lambda: packed(("a/../../b.py", b"")), "leaves"),
    "absolute": (lambda: packed(("/etc/cron.d/x", b"")), "absolute"),
    "symlink": (lambda: packed(of_type("link", tarfile.SYMTYPE)), "symbolic link"),
    "hard link": (lambda: packed(of_type("link", tarfile.LNKTYPE, "../../x")), "symbolic link"),
    "fifo": (lambda: packed(of_type("pipe", tarfile.FIFOTYPE)), "neither a file nor a folder"),
    "device": (lambda: packed(of_type("disk", tarfile.BLKTYPE)), "neither a file nor a folder"),
    "duplicate": (lambda: packed(("a.py", b"1"), ("a.py", b"2")), "twice"),
    "file and folder": (lambda: packed(("a", b""), ("a/b.py", b"")), "both a file and a folder"),
    "ratio": (lambda: packed(("a.py", bytes(4 << 20))), "100 times"),
    "total": (lambda: packed(*[(f"{n}.bin", os.urandom(1 << 20)) for n in range(9)]), "8,388,608 bytes"),
    "many": (lambda: packed(*[(f"{n}.py", b"") for n in range(51)]), "more than 50 files"),
    "very many": (lambda: packed(*[(f"{n}.py", b"") for n in range(200)]), "more than 50 files"),
    "long name": (lambda: packed(("a/" * 300 + "b", b"")), "too long"),
    "a header of megabytes": (lambda: with_header(tarfile.XHDTYPE, os.urandom(1 << 20)), "too large"),
    "a header that only digits fill": (lambda: with_header(tarfile.XHDTYPE, b"1" * 16_000), "64 digits"),
    "a longer name": (lambda: with_header(tarfile.GNUTYPE_LONGNAME, b"a" * 100_000), "too large"),
    "a negative size": (negative_size, "damaged"),
    "a size past the end": (lambda: with_header(tarfile.XHDTYPE, b"16 size=9999999\n"), "damaged"),
    "a sparse map without an end": (endless_sparse, "too large"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_reason_and_nothing_left(case: str, tmp_path: Path) -> None:
    build, reason = REFUSED[case]
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(build())
    with pytest.raises(ArchiveError, match=reason) as caught:
        inspect(archive, LIMITS)
    assert caught.value.hint
    with pytest.raises(ArchiveError, match=reason):
        unpack(archive, tmp_path / "out", LIMITS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz"]


def test_a_bomb_of_many_layers_is_cut_off_at_the_limit(tmp_path: Path) -> None:
    """A gigabyte in a megabyte: no more of it is decompressed than may be unpacked."""
    archive = tmp_path / "a.tar.gz"
    info = tarfile.TarInfo("a.bin")
    info.size = 1 << 30
    with gzip.open(archive, "wb", 9) as out:
        out.write(info.tobuf())
        for _ in range(64):
            out.write(bytes(1 << 20))
    with pytest.raises(ArchiveError, match="100 times"):
        inspect(archive, LIMITS)


def test_one_odd_file_is_left_out_and_the_others_are_unpacked(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    odd = [of_type("link", tarfile.SYMTYPE, "app.py"), of_type("pipe", tarfile.FIFOTYPE)]
    archive.write_bytes(packed(*odd, ("a\nb.py", b""), ("./lib/ñ.py", b"x = 1\n" * 200), ("app.py", b"y\n")))
    summary = unpack(archive, tmp_path / "out", LIMITS)
    assert (summary.files, summary.bytes) == (2, 1_202)
    assert [item.reason for item in summary.left_out] == [
        SkipReason.LINK,
        SkipReason.SPECIAL,
        SkipReason.NAME,
    ]
    assert (tmp_path / "out/lib/ñ.py").read_bytes() == b"x = 1\n" * 200
    assert (tmp_path / "out/lib/ñ.py").stat().st_mode & 0o777 == 0o600
    with archive.open("rb") as raw:
        assert read_entry(raw, "lib/ñ.py", LIMITS, max_bytes=5) == (b"x = 1", 1_200)
    assert inspect(archive, LIMITS).files == 2


def test_what_tar_writes_is_read(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / ("a" * 120)).mkdir(parents=True)
    (source / ("a" * 120) / "é.py").write_text("x = 1\n")
    (source / "empty.py").write_text("")
    (source / "block.bin").write_bytes(os.urandom(1_024))
    archive = tmp_path / "a.tgz"
    subprocess.run(["tar", "-C", str(source), "-czf", str(archive), "."], check=True)
    out = tmp_path / "out"
    assert unpack(archive, out, LIMITS).files == 3
    for path in source.rglob("*"):
        if path.is_file():
            assert (out / path.relative_to(source)).read_bytes() == path.read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 4_000), value=st.integers(0, 255), cut=st.integers(0, 10_240))
def test_a_changed_byte_or_a_cut_is_refused_or_harmless(
    position: int, value: int, cut: int, tmp_path: Path
) -> None:
    data = bytearray(gzip.decompress(packed(("lib/ñ.py", b"x" * 700), ("app.py", b"y"))))
    data[position % len(data)] = value
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(bytes(data[: len(data) - cut % 2_048])))
    out = tmp_path / "out"
    try:
        unpack(archive, out, LIMITS)
    except ArchiveError:
        assert not out.exists()
    else:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "out"]
        subprocess.run(["rm", "-r", str(out)], check=True)
