"""Services as real processes: started again with pauses, given up, and stopped within their time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from securetag.cli.services import supervise
from securetag.cli.services.supervise import Service, Services
from securetag.errors import UnavailableError
from securetag.system.services import read_services

#: Ends at the second SIGTERM, as a worker with a task does.
INSISTED = (
    "import signal, sys, time; seen = []; signal.signal(15, lambda *_: seen.append(1) or"
    " (len(seen) > 1 and sys.exit(0))); print('ready', flush=True)\nwhile True: time.sleep(0.01)"
)
#: Never ends by itself, and has a child that doesn't either.
STUBBORN = (
    "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.fork(); print('ready', flush=True)\n"
    "while True: time.sleep(1)"
)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with Services(tmp_path, {}) as services:
        yield services


def start(services: Services, code: str, *, wave: int = 0) -> Service:
    service = services.launch("part", ["-c", code], wave=wave)
    services.wait(service, lambda: b"ready" in service.log.read_bytes())
    return service


def look_until(services: Services, holds: Callable[[], bool], events: list[str]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        events += services.restart_ended()
        time.sleep(0.02)


def test_a_killed_service_runs_again_and_says_so(services: Services, tmp_path: Path) -> None:
    service = start(services, "print('ready', flush=True); import time; time.sleep(600)")
    services.announce(service, "http://127.0.0.1:1")
    first, events = service.process.pid, list[str]()
    os.kill(first, 9)
    look_until(services, lambda: service.process.pid != first and service.restart_at is None, events)
    assert events == ["part ended with -9; it is started again in 0.5 s"]
    assert read_services(tmp_path / "run")["part"] == {
        "url": "http://127.0.0.1:1",
        "pid": service.process.pid,
    }


def test_one_that_keeps_ending_is_given_up(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "RESTART_S", 0.01)
    service = start(
        services, "import sys; print('ready'); print('no such disk', file=sys.stderr); sys.exit(3)"
    )
    events: list[str] = []
    with pytest.raises(
        UnavailableError, match=r"part has ended 6 times in a row, now with 3: .*no such disk"
    ):
        look_until(services, lambda: False, events)
    pauses = [float(event.split()[-2]) for event in events]
    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16]
    assert service.log.read_text().count("no such disk") == 6


def test_one_that_lived_for_long_begins_to_count_anew(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "RESTART_S", 0.01)
    monkeypatch.setattr(supervise, "STABLE_S", 0.2)
    service = start(services, "print('ready', flush=True); import time; time.sleep(600)")

    def has_lived() -> bool:
        return service.restart_at is None and time.monotonic() - service.started_at > 0.3

    kills, events = supervise.MAX_RESTARTS + 2, list[str]()
    for number in range(kills):
        look_until(services, has_lived, events)
        os.kill(service.process.pid, 9)
        look_until(services, lambda: len(events) > number, events)  # noqa: B023  # called at once
    look_until(services, has_lived, events)
    assert len(events) == kills


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [pytest.param(INSISTED, 0, id="at the second"), pytest.param(STUBBORN, -9, id="never")],
)
def test_a_stop_takes_no_longer_than_its_wave(code: str, exit_code: int, tmp_path: Path) -> None:
    with Services(tmp_path, {}) as services:
        parts = [start(services, code), services.launch("other", ["-c", code])]
        started = time.monotonic()
    took = time.monotonic() - started
    assert took < 10
    assert parts[0].process.exit_code == exit_code
    assert not any(alive(part.process.pid) for part in parts)


def alive(group: int) -> bool:
    """Whether a process group has a member; those that were just killed are reaped within moments."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


def test_what_others_need_is_stopped_after_them(tmp_path: Path) -> None:
    order = tmp_path / "order"
    code = (
        "import signal, sys; from pathlib import Path\n"
        "def end(*_):\n open({order!r}, 'a').write({name!r}); sys.exit(0)\n"
        "signal.signal(15, end); print('ready', flush=True); signal.pause()"
    )
    with Services(tmp_path, {}) as services:
        for wave in (2, 0, 1):
            start(services, code.format(order=str(order), name=str(wave)), wave=wave)
            (tmp_path / "logs" / "part.log").write_text("")
    assert order.read_text() == "012"
