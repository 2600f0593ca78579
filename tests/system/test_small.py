"""Hashes, times, the version, service discovery and resource figures."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from securetag.system.clock import Precision, format_utc, utc_now, utc_timestamp
from securetag.system.hashing import hash_bytes, hash_file
from securetag.system.resources import cpu_seconds, peak_memory_mb, process_tree, tree_memory_mb
from securetag.system.services import FILE, announce_service, read_services, withdraw_service
from securetag.system.version import package_version


def test_a_file_and_its_bytes_have_the_same_hash(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "file").write_bytes(content)
    assert hash_file(tmp_path / "file") == hash_bytes(content) == hashlib.sha256(content).hexdigest()
    assert hash_bytes("ñ") == hash_bytes("ñ".encode())


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        pytest.param("seconds", "2026-11-27T05:30:00Z", id="seconds"),
        pytest.param("milliseconds", "2026-11-27T05:30:00.250Z", id="milliseconds"),
        pytest.param("microseconds", "2026-11-27T05:30:00.250000Z", id="microseconds"),
    ],
)
def test_any_zone_is_written_in_utc(precision: Precision, expected: str) -> None:
    moment = datetime(2026, 11, 27, 0, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=-5, minutes=-30)))
    assert format_utc(moment, precision) == expected


def test_now_is_aware_and_its_text_can_be_read_back() -> None:
    before = utc_now()
    moment = datetime.fromisoformat(utc_timestamp("microseconds"))
    assert before <= moment <= utc_now()


def test_the_version_is_that_of_the_package() -> None:
    assert package_version() == version("securetag")


def test_services_that_start_together_lose_no_entry(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=announce_service, args=(tmp_path, f"s{number}", {"url": "u", "pid": number}))
        for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(read_services(tmp_path)) == {f"s{number}" for number in range(12)}
    withdraw_service(tmp_path, "s3", pid=99)
    assert "s3" in read_services(tmp_path), "another process has replaced it"
    withdraw_service(tmp_path, "s3", pid=3)
    assert "s3" not in read_services(tmp_path)


@pytest.mark.parametrize("content", ["", "not json", "[1]", '{"api": "text"}'])
def test_a_damaged_file_of_services_holds_none(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    assert read_services(tmp_path) == {}
    announce_service(tmp_path, "api", {"url": "u", "pid": 1})
    assert json.loads((tmp_path / FILE).read_text()) == {"api": {"url": "u", "pid": 1}}


def test_cpu_of_an_ended_child_is_counted() -> None:
    before = cpu_seconds()
    subprocess.run([sys.executable, "-c", "sum(range(20_000_000))"], check=True)
    assert cpu_seconds() - before > 0.1


def test_memory_of_a_tree_counts_its_children() -> None:
    code = "b = bytearray(80 << 20); b[::4096] = b'x' * len(b[::4096]); print('ready', flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    here = psutil.Process()
    alone, tree = tree_memory_mb([here]), process_tree(here)
    with_child = tree_memory_mb(tree)
    child.communicate("\n")
    assert child.pid in {process.pid for process in tree}
    assert with_child - alone > 75
    assert peak_memory_mb() > 10
