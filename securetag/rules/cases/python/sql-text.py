def rows(cursor, table, name):
    # ruleid: securetag.python.sql-text
    text = f"SELECT id FROM {table}"
    # ruleid: securetag.python.sql-text
    more = "DELETE FROM %s" % table
    # ruleid: securetag.python.sql-text
    other = "insert into {} values (1)".format(table)
    # ruleid: securetag.python.sql-text
    last = "UPDATE users SET name = '" + name + "'"
    # Guarded code is reported all the same.
    if table in {"users", "orders"}:
        # ruleid: securetag.python.sql-text
        text = f"DROP TABLE {table}"
    return text, more, other, last


def near(name):
    # ok: securetag.python.sql-text
    log(f"Select one of {name}")
    # ok: securetag.python.sql-text
    return "SELECT id FROM users WHERE name = ?"
