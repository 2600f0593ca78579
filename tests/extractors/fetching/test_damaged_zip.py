"""A damaged archive is a source that can't be read, whichever of its many errors `zipfile` raises."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.errors import SourceError
from securetag.extractors.fetching.unpack import gunzip, read_zip_member


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.json", b"[1, 2, 3]" * 40)
    return out.getvalue()


ZEROS = bytes(64 << 20)


def test_a_bomb_is_refused_while_it_is_read() -> None:
    """A few MiB are unpacked of it, not the 512 that a file may have."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.json", ZEROS)
    packed = gzip.compress(ZEROS)
    tracemalloc.start()
    with pytest.raises(SourceError, match="bomb"):
        read_zip_member(out.getvalue(), "a.json")
    with pytest.raises(SourceError, match="bomb"):
        gunzip(packed)
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_what_packs_well_is_no_bomb() -> None:
    content = b'{"a": "the same words again and again"},' * 20_000
    assert gunzip(gzip.compress(content)) == content


def test_an_offset_before_the_file_is_a_source_error() -> None:
    data = bytearray(archive())
    at = data.rfind(b"PK\x05\x06") + 16
    (offset,) = struct.unpack_from("<L", data, at)
    struct.pack_into("<L", data, at, offset + 1000)
    with pytest.raises(SourceError):
        read_zip_member(bytes(data), "a.json")


@given(st.data())
def test_any_damage_is_a_source_error_or_harmless(data: st.DataObject) -> None:
    damaged = bytearray(archive())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_zip_member(bytes(damaged), "a.json")
    except SourceError:
        return
