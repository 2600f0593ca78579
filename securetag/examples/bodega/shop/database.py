"""One SQLite connection a request."""

import sqlite3

from flask import current_app, g


def cursor():
    if "connection" not in g:
        g.connection = sqlite3.connect(current_app.config["DATABASE"])
        g.connection.row_factory = sqlite3.Row
    return g.connection.cursor()


def rows(found):
    return [dict(row) for row in found.fetchall()]
