"""Bodies in pieces of any size, tokens of any shape: properties rather than cases."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securetag.api import signing
from securetag.api.lease import sign, verify
from securetag.api.receive import STALE_S, incoming, receive_form, shown_name, sweep
from securetag.db.leases import Lease
from securetag.db.repositories.keys import generate_key, hash_key
from securetag.errors import InputError, LimitError, PermissionDeniedError, SecuretagError

HEADERS = {"content-type": "multipart/form-data; boundary=frontier"}


async def _in_pieces(body: bytes, sizes: list[int]) -> AsyncIterator[bytes]:
    at = 0
    for size in sizes:
        yield body[at : at + size]
        at += size
    yield body[at:]


def _form(file: bytes, project: str) -> bytes:
    return (
        b'--frontier\r\nContent-Disposition: form-data; name="project"\r\n\r\n'
        + project.encode()
        + b'\r\n--frontier\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
        + file
        + b"\r\n--frontier--\r\n"
    )


@given(
    file=st.binary(max_size=400),
    project=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n"), max_size=40),
    sizes=st.lists(st.integers(1, 60), max_size=30),
)
@settings(max_examples=150, deadline=None)
def test_a_form_arrives_as_it_was_sent_however_it_is_cut(file: bytes, project: str, sizes: list[int]) -> None:
    if b"--frontier" in file:
        return
    with tempfile.TemporaryDirectory() as folder, incoming(Path(folder), 1_000) as body:
        name, fields = asyncio.run(
            receive_form(_in_pieces(_form(file, project), sizes), HEADERS, ("project",), body)
        )
        assert (name, fields) == ("a.zip", {"project": project})
        assert body.path.read_bytes() == b"".join(body.chunks()) == file
        assert body.size == len(file)


@given(body=st.binary(max_size=300), sizes=st.lists(st.integers(1, 60), max_size=10))
@settings(max_examples=150, deadline=None)
def test_any_other_body_is_refused_and_leaves_no_file(body: bytes, sizes: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with (
            pytest.raises((InputError, LimitError)),
            incoming(Path(folder), 100) as into,
        ):
            asyncio.run(receive_form(_in_pieces(body, sizes), HEADERS, ("project",), into))
        assert os.listdir(folder) == []


@given(st.text(max_size=300))
def test_a_shown_name_is_one_short_printable_line(name: str) -> None:
    shown = shown_name(name)
    assert 1 <= len(shown) <= 200
    assert "/" not in shown
    assert "\\" not in shown
    assert not any(ord(character) < 32 for character in shown)
    shown.encode()


def test_only_stale_files_are_swept(tmp_path: Path) -> None:
    old, fresh, foreign = (tmp_path / name for name in ("incoming-old", "incoming-new", "other"))
    for path in (old, fresh, foreign):
        path.touch()
    os.utime(old, (time.time() - STALE_S - 10,) * 2)
    os.utime(foreign, (0, 0))
    assert sweep(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["incoming-new", "other"]


LEASES = st.builds(
    Lease,
    task_id=st.uuids(),
    tenant_id=st.uuids(),
    worker_id=st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=200),
    fence=st.integers(1, 2**63 - 1),
)


@given(LEASES)
def test_a_lease_token_says_what_was_signed(lease: Lease) -> None:
    assert verify(sign(lease, "pepper"), lease.task_id, "pepper") == lease


@given(LEASES, st.data())
def test_a_changed_token_is_no_token(lease: Lease, data: st.DataObject) -> None:
    token = sign(lease, "pepper")
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != token[at]))
    for wrong, task_id, pepper in (
        (token[:at] + other + token[at + 1 :], lease.task_id, "pepper"),
        (token, uuid4(), "pepper"),
        (token, lease.task_id, "other"),
    ):
        with pytest.raises(PermissionDeniedError):
            verify(wrong, task_id, pepper)


@given(st.text(max_size=100))
def test_no_text_is_a_token(text: str) -> None:
    with pytest.raises(SecuretagError):
        verify(text, UUID(int=0), "pepper")


def test_keys_have_their_shape_and_their_pepper() -> None:
    prefix, key = generate_key()
    assert key.startswith(f"stk_{prefix}_")
    assert (len(prefix), len(key)) == (12, 4 + 12 + 1 + 43)
    assert hash_key(key, "one") != hash_key(key, "two")
    assert len(hash_key(key, "one")) == 32


@given(st.dictionaries(st.text(), st.integers() | st.text()), st.text(min_size=1), st.text(min_size=1))
def test_a_token_is_read_for_its_purpose_alone(value: dict[str, int | str], key: str, other: str) -> None:
    token = signing.sign("page", value, key)
    assert signing.read_token("page", token, dict, [other, key]) == value
    for purpose, keys in (("lease", [key]), ("page", [f"{key}."]), ("page", [])):
        with pytest.raises(signing.TokenError):
            signing.read_token(purpose, token, dict, keys)
