"""A DNS server on loopback that answers for TXT records: what dnspython asks is really sent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


@contextmanager
def serve_txt(records: dict[str, list[str]]) -> Iterator[str]:
    """The server's `address:port`; `records` (name → texts) may change while it runs."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(0.1)
    done = threading.Event()

    def run() -> None:
        while not done.is_set():
            try:
                data, sender = sock.recvfrom(4_096)
            except TimeoutError:
                continue
            sock.sendto(_answer(data, records), sender)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{sock.getsockname()[1]}"
    finally:
        done.set()
        thread.join()
        sock.close()


def _answer(data: bytes, records: dict[str, list[str]]) -> bytes:
    query = dns.message.from_wire(data)
    question = query.question[0]
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.AA
    texts = records.get(question.name.to_text(omit_final_dot=True))
    if texts is None:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    else:
        quoted = [f'"{text}"' for text in texts]
        answer.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", "TXT", quoted))
    return answer.to_wire()
