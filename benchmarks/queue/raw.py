"""Claim and completion in plain SQL: one statement each, which writes the rows that our queue writes."""

from __future__ import annotations

import asyncio
import time

import psycopg
from psycopg_pool import AsyncConnectionPool

#: Tables like ours with their indexes, and nothing that acts on them.
_TABLES = """
DROP SCHEMA IF EXISTS raw CASCADE;
CREATE SCHEMA raw;
CREATE SEQUENCE raw.fence;
CREATE TABLE raw.task (LIKE securetag.task INCLUDING ALL);
CREATE TABLE raw.task_event (LIKE securetag.task_event INCLUDING ALL);
CREATE TABLE raw.worker_heartbeat (LIKE securetag.worker_heartbeat INCLUDING ALL);
"""
_QUEUE = """
INSERT INTO raw.task (id, tenant_id, project_id, kind)
SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'codeaudit' FROM generate_series(1, %s)
"""
_CLAIM = """
WITH due AS (
    SELECT id FROM raw.task WHERE state = 'queued' AND not_before <= clock_timestamp()
    ORDER BY priority DESC, not_before, id LIMIT 1 FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE raw.task SET state = 'running', attempt = attempt + 1, worker_id = %(worker)s,
        fence = nextval('raw.fence'), claimed_at = clock_timestamp(), started_at = clock_timestamp(),
        lease_until = clock_timestamp() + interval '30 s', stage = '', process_group = NULL, reason = ''
    FROM due WHERE task.id = due.id RETURNING task.*
), history AS (
    INSERT INTO raw.task_event (tenant_id, task_id, from_state, to_state, attempt, fence, worker_id)
    SELECT tenant_id, id, 'queued', state, attempt, fence, worker_id FROM claimed
), seen AS (
    INSERT INTO raw.worker_heartbeat (worker_id, task_id) SELECT %(worker)s, (SELECT id FROM claimed)
    ON CONFLICT (worker_id) DO UPDATE SET task_id = excluded.task_id, seen_at = clock_timestamp()
)
SELECT id, fence, kind, project_id, attempt, max_attempts, time_limit_s, params, lease_until FROM claimed
"""
_COMPLETE = """
WITH ended AS (
    UPDATE raw.task SET state = 'completed', finished_at = clock_timestamp(), reason = '',
        not_before = clock_timestamp()
    WHERE id = %(task)s AND worker_id = %(worker)s AND fence = %(fence)s AND state = 'running'
    RETURNING *
)
INSERT INTO raw.task_event (tenant_id, task_id, from_state, to_state, attempt, fence, worker_id)
SELECT tenant_id, id, 'running', state, attempt, fence, worker_id FROM ended
"""


async def measure_raw(dsn: str, tasks: int, workers: int) -> float:
    """Tasks a second. `dsn` is a superuser's."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_TABLES)
        connection.execute(_QUEUE, [tasks])
    options = {"autocommit": True}
    async with AsyncConnectionPool(dsn, min_size=workers, max_size=workers, kwargs=options) as pool:

        async def work(name: str) -> int:
            done = 0
            while True:
                async with pool.connection() as connection:
                    claimed = await (await connection.execute(_CLAIM, {"worker": name})).fetchone()
                if claimed is None:
                    return done
                async with pool.connection() as connection:
                    values = {"task": claimed[0], "worker": name, "fence": claimed[1]}
                    await connection.execute(_COMPLETE, values)
                done += 1

        began = time.perf_counter()
        done = await asyncio.gather(*(work(f"worker {number}") for number in range(workers)))
        seconds = time.perf_counter() - began
    assert sum(done) == tasks
    return tasks / seconds
