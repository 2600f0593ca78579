def rows(cursor, where, name):
    # ruleid: securetag.python.sql-formatted
    cursor.execute(f"{where} LIMIT 1")
    query = "SAVEPOINT " + name
    # ruleid: securetag.python.sql-formatted
    cursor.execute(query)
    # ruleid: securetag.python.sql-formatted
    session.execute(text("id = %s" % name))
    # ruleid: securetag.python.sql-formatted
    cursor.execute(self._sql_show.format(name))
    # Guarded code is reported all the same.
    if name.isidentifier():
        # ruleid: securetag.python.sql-formatted
        cursor.execute(f"SAVEPOINT {name}")


def near(cursor, query, name):
    # ok: securetag.python.sql-formatted
    cursor.execute(query)
    # ok: securetag.python.sql-formatted
    cursor.execute("SELECT 1", (f"{name}",))
    # ok: securetag.python.sql-formatted
    cursor.execute(f"VACUUM {self.TABLE_NAME}")
    # ok: securetag.python.sql-formatted
    cursor.execute(f"VALUES ({', '.join('?' for each in name)})", name)
    # ruleid: securetag.python.sql-formatted
    cursor.execute(f"{PREFIX} {', '.join(name)}")
    # ok: securetag.python.sql-formatted
    cursor.execute(f"SAVEPOINT {quote_identifier(name)}")


def numbers(cursor, ident, name):
    # ok: securetag.python.sql-formatted
    cursor.execute("id = %d;" % ident)
    # ruleid: securetag.python.sql-formatted
    cursor.execute("id = %d AND name = '%s'" % (ident, name))
    # ruleid: securetag.python.sql-formatted
    cursor.execute("id = 1 " "AND name = '%s'" % name)
