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


class Store:
    def by_keys(self, keys, field):
        placeholders = ", ".join("?" for key in keys)
        # ok: securetag.python.sql-text
        text = f"SELECT id FROM {self.TABLE} WHERE id IN ({placeholders})"
        # ok: securetag.python.sql-text
        text = f"DELETE FROM store WHERE id IN ({','.join(['?'] * len(keys))})"
        # ok: securetag.python.sql-text
        text = "SELECT id FROM %s" % TABLE
        # A name beside the placeholders is a value.
        # ruleid: securetag.python.sql-text
        return f"INSERT INTO {field} VALUES ({placeholders})"


def quoted(connection, table, name):
    # ok: securetag.python.sql-text
    text = f"DROP TABLE {connection.ops.quote_name(table)}"
    # ok: securetag.python.sql-text
    text = "TRUNCATE TABLE " + quote_ident(table)
    # Quoted as a value: reported all the same.
    # ruleid: securetag.python.sql-text
    return f"SELECT {quote_literal(name)} FROM users"


def numbers(cursor, ident, name):
    # ok: securetag.python.sql-text
    text = "DELETE FROM messages WHERE id = '%d'" % (ident)
    # ok: securetag.python.sql-text
    text = "SELECT id FROM users WHERE a = %(a)d AND share > %.2f AND b LIKE '10%%'" % ident
    # One text beside a number is enough.
    # ruleid: securetag.python.sql-text
    text = "SELECT %d FROM users ORDER BY %s" % (ident, name)
    # ruleid: securetag.python.sql-text
    text = """SELECT id FROM users
        ORDER BY %s""" % name
    # ruleid: securetag.python.sql-text
    return "SELECT id FROM users " "ORDER BY %s" % name
