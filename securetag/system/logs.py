"""Log lines of the services: one JSON object a line, on stderr.

Modules log with the standard library's `logging`; structlog formats. A line has `timestamp`, `level`,
`logger` and `event`, the fields of a record's `extra` that FIELDS names, and what was bound to the context:
the id of a request, its tenant, a worker's task. What isn't named in FIELDS is left out, so that no key,
query or body comes in by an `extra` of another library.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import msgspec
import structlog
from structlog.contextvars import merge_contextvars

#: Fields of a record's `extra` that a line has.
FIELDS = ("method", "route", "status", "duration_ms")
#: The header that carries a request's id, to the api and back.
REQUEST_ID_HEADER = "X-Request-ID"


def configure_logs(stream: TextIO | None = None) -> None:
    """Write what every logger of this process says to `stream`, stderr by default.

    Changes nothing where logging is configured already.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(allow=FIELDS),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(serializer=_encode),
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # Their lines would name addresses with queries, and each migration.
    for name in ("httpx", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def read_request_id() -> str:
    """Return the id that is bound to this context; "" where none is."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def _encode(line: object, **_: object) -> str:
    return msgspec.json.encode(line, enc_hook=str).decode()
