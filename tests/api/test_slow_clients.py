"""Clients that send too much, too slowly or nothing at all, while another one is answered."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from api_process import running
from postgres import Database

from securetag.api.connection import LINGER_S

pytestmark = [pytest.mark.sockets, pytest.mark.system]

MIB = 2**20
#: What one attacker sends.
FLOOD = 100 * MIB
#: MiB by which the api may grow under an attack: far below what the attacker sends.
MAX_GROWTH_MIB = 48
SLOW_CLIENTS = 300
#: Seconds within which another client is answered, on a machine that does other things too.
PATIENCE_S = 10.0
HEAD_TIMEOUT_S = 2.0


class Server:
    """A running api, and what it costs."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = psutil.Process(process.pid)
        parts = urlsplit(url)
        self.address = (str(parts.hostname), int(parts.port or 0))
        self.client = httpx.Client(base_url=url, timeout=PATIENCE_S)
        assert self.healthy()
        self.rest()

    def rest(self) -> None:
        """Take the present memory as that of an api at rest."""
        self._resting = self._rss()

    def _rss(self) -> int:
        return int(self.process.memory_info().rss)

    def healthy(self) -> bool:
        """True when a well-behaved client is answered on a new connection, within `PATIENCE_S`."""
        answer = self.client.get("/healthz", headers={"Connection": "close"})
        return answer.status_code == 200

    def growth_mib(self) -> float:
        return (self._rss() - self._resting) / MIB

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=PATIENCE_S)

    def connections(self) -> int:
        """Clients that the api holds at the moment."""
        return sum(
            connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == self.address[1]
            for connection in self.process.net_connections("tcp")
        )


@pytest.fixture(scope="module")
def impatient_server(pg_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("impatient")
    limits = {"head_timeout_s": str(HEAD_TIMEOUT_S), "body_timeout_s": "2"}
    with running(home, pg_database.dsn_api, **limits) as (process, url):
        server = Server(process, url)
        yield server
        server.client.close()


@pytest.fixture
def server(impatient_server: Server) -> Server:
    """One api for all tests of this module: what an attack leaves behind, the next test meets."""
    impatient_server.rest()
    return impatient_server


def status_of(answer: bytes) -> int | None:
    """None where the connection was closed without an answer."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


def read_to_end(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while piece := connection.recv(65_536):
            answer += piece
    except ConnectionError:
        pass
    return answer


def flood(server: Server, beginning: bytes, piece: bytes) -> tuple[int | None, int]:
    """Send `beginning`, then `piece` until `FLOOD` bytes or a closed connection: (status, bytes sent)."""
    sent = 0
    with server.connect() as connection:
        try:
            connection.sendall(beginning)
            while sent < FLOOD:
                connection.sendall(piece)
                sent += len(piece)
        except (ConnectionError, TimeoutError):
            pass
        return status_of(read_to_end(connection)), sent


@pytest.mark.parametrize(
    ("beginning", "piece", "status"),
    [
        pytest.param(b"GET /", b"a" * 65_536, 414, id="request line"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ", b"a" * 65_536, 431, id="one header"),
        pytest.param(b"GET /healthz HTTP/1.1\r\n", b"X-A: b\r\n" * 8_192, 431, id="many headers"),
    ],
)
def test_a_flood_is_refused_while_another_client_is_answered(
    server: Server, beginning: bytes, piece: bytes, status: int
) -> None:
    seen: list[tuple[int | None, int]] = []
    attackers = [
        threading.Thread(target=lambda: seen.append(flood(server, beginning, piece))) for _ in range(2)
    ]
    spent = sum(server.process.cpu_times()[:2])
    for attacker in attackers:
        attacker.start()
    grown = 0.0
    while any(attacker.is_alive() for attacker in attackers):
        assert server.healthy()
        grown = max(grown, server.growth_mib())
    assert {code for code, _ in seen} <= {status, None}
    assert status in {code for code, _ in seen} or all(sent < FLOOD for _, sent in seen)
    assert grown < MAX_GROWTH_MIB
    # Joining 100 MB piece by piece took minutes.
    assert sum(server.process.cpu_times()[:2]) - spent < 20


def test_a_refusal_is_a_problem_that_a_client_can_read(server: Server) -> None:
    answer = server.client.get("/" + "a" * 60_000)
    assert (answer.status_code, answer.headers["content-type"]) == (414, "application/problem+json")
    assert (answer.json()["type"], answer.headers["connection"]) == (
        "urn:securetag:problem:too-large",
        "close",
    )
    assert server.client.get("/healthz", headers={"X-A": "a" * 100_000}).status_code == 431
    assert server.client.get("/healthz", headers={"X-A": "a" * 20_000}).status_code == 200
    with server.connect() as connection:
        connection.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
        assert status_of(read_to_end(connection)) == 400


def trickling_head(connection: socket.socket) -> None:
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ")
    while True:
        connection.sendall(b"a")
        time.sleep(0.5)


def trickling_body(connection: socket.socket) -> None:
    connection.sendall(
        b"POST /projects HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
        b"Content-Type: application/json\r\n\r\n{"
    )
    while True:
        connection.sendall(b" ")
        time.sleep(0.5)


def silent(connection: socket.socket) -> None:
    """Nothing more is sent."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behave", "status"),
    [
        pytest.param(trickling_head, 408, id="headers trickle"),
        pytest.param(trickling_body, 408, id="bodies trickle"),
        pytest.param(silent, None, id="nothing is sent"),
    ],
)
def test_slow_clients_are_let_go_while_another_is_answered(
    server: Server, behave: Callable[[socket.socket], None], status: int | None
) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(SLOW_CLIENTS)]
        for connection in slow:
            threading.Thread(target=_until_closed, args=(behave, connection), daemon=True).start()
        began = time.monotonic()
        while server.connections() > 1:
            assert server.healthy()
            assert server.growth_mib() < MAX_GROWTH_MIB
            assert time.monotonic() - began < HEAD_TIMEOUT_S + LINGER_S + 60, "slow clients stay"
            time.sleep(0.2)
        assert {status_of(read_to_end(connection)) for connection in slow} == {status}
        assert server.healthy()


def _until_closed(behave: Callable[[socket.socket], None], connection: socket.socket) -> None:
    try:
        behave(connection)
    except OSError:
        return


def test_silent_clients_give_way_where_all_places_are_taken(pg_database: Database, tmp_path: Path) -> None:
    limits = {"max_connections": "20", "head_timeout_s": "600"}
    with running(tmp_path / "home", pg_database.dsn_api, **limits) as (process, url):
        server = Server(process, url)
        with ExitStack() as stack:
            silent_ones = [stack.enter_context(server.connect()) for _ in range(60)]
            for _ in range(5):
                assert server.healthy()
            assert server.connections() <= 20
            # The oldest went first.
            assert read_to_end(silent_ones[0]) == b""
            silent_ones[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert status_of(read_to_end(silent_ones[-1])) == 200
        server.client.close()


def test_an_answer_that_is_not_read_is_given_up(server: Server) -> None:
    with server.connect() as connection:
        # Thirty times a file of over a megabyte: more than the kernel buffers.
        connection.sendall(b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 30)
        deadline = time.monotonic() + 60
        while server.connections() > 0:
            assert server.healthy()
            assert server.growth_mib() < MAX_GROWTH_MIB
            assert time.monotonic() < deadline, "the connection stays"
            time.sleep(0.2)


def test_a_body_of_tiny_chunks_lets_others_in_between(server: Server) -> None:
    chunks = b"1\r\na\r\n" * 10_000
    beginning = b"POST /projects HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    seen: list[tuple[int | None, int]] = []
    attacker = threading.Thread(target=lambda: seen.append(flood(server, beginning, chunks)))
    spent = sum(server.process.cpu_times()[:2])
    attacker.start()
    while attacker.is_alive():
        assert server.healthy()
        assert server.growth_mib() < MAX_GROWTH_MIB
    assert seen[0][1] < FLOOD
    assert sum(server.process.cpu_times()[:2]) - spent < 30
