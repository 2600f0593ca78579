"""Runs a file of SQL statements, as a migration does."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

FOLDER = Path(__file__).with_name("sql")


def run(connection: Connection, name: str) -> None:
    """Execute `sql/<name>` in the open transaction; a lock that isn't had in 5 s ends it."""
    connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
    # Past SQLAlchemy, which hands psycopg an empty tuple of parameters and so makes every % special.
    driver = connection.connection.driver_connection
    assert driver is not None, "a migration runs on an open connection"
    driver.execute((FOLDER / name).read_bytes())
