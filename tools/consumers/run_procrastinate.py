"""Tasks a second of procrastinate, with a database of its own on the server of a URL.

`python run_procrastinate.py URL DATABASE TASKS WORKERS`, in an environment of its own. Prints
`{"worker": …, "fetch and finish": …}`: procrastinate's worker as a user runs it, and the two calls
that it claims and ends a job with, without the worker.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from urllib.parse import urlsplit, urlunsplit

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Status


async def run(url: str, tasks: int, workers: int) -> dict[str, float]:
    """What is measured → tasks a second."""
    app = App(connector=PsycopgConnector(conninfo=url, min_size=workers, max_size=workers + 1))

    @app.task(name="nothing")
    async def do_nothing() -> None:
        """A task without work."""

    async def fetch_and_finish(worker_id: int) -> None:
        while job := await app.job_manager.fetch_job(queues=None, worker_id=worker_id):
            await app.job_manager.finish_job(job, Status.SUCCEEDED, delete_job=False)

    rates = {}
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await do_nothing.batch_defer_async(*({} for _ in range(tasks)))
        began = time.perf_counter()
        await app.run_worker_async(wait=False, concurrency=workers, install_signal_handlers=False)
        rates["worker"] = tasks / (time.perf_counter() - began)
        await do_nothing.batch_defer_async(*({} for _ in range(tasks)))
        worker_id = await app.job_manager.register_worker()
        began = time.perf_counter()
        await asyncio.gather(*(fetch_and_finish(worker_id) for _ in range(workers)))
        rates["fetch and finish"] = tasks / (time.perf_counter() - began)
    return rates


def main(url: str, database: str, tasks: int, workers: int) -> None:
    """Make the database, print what is measured, drop the database."""
    logging.disable(logging.WARNING)
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {database}")
        try:
            database_url = urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
            print(json.dumps(asyncio.run(run(database_url, tasks, workers))))
        finally:
            server.execute(f"DROP DATABASE {database} WITH (FORCE)")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
