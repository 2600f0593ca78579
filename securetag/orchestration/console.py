"""A console logger that prints what a step said, without the run's and step's long names.

The Dagster UI has the whole record; a terminal needs the sentence.
"""

from __future__ import annotations

import logging
import sys

import dagster as dg


class Sentence(logging.Formatter):
    """The message as the asset wrote it."""

    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", None)
        original = meta.get("orig_message") if isinstance(meta, dict) else None
        return f"        {original or record.getMessage()}"


class Wanted(logging.Filter):
    """Whether shown. Dagster's own events are for the UI; a failure is raised, with its reason, by whoever
    started the run.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        meta = getattr(record, "dagster_meta", None)
        return not (isinstance(meta, dict) and meta.get("dagster_event"))


def _console(_: dg.InitLoggerContext) -> logging.Logger:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Sentence())
    handler.addFilter(Wanted())
    logger = logging.Logger("securetag", level=logging.INFO)
    logger.addHandler(handler)
    return logger


#: Messages of assets at INFO and above, on standard output.
console = dg.LoggerDefinition(_console, description="What steps say, one line each.")
