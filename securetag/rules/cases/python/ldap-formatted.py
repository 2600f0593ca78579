def people(connection, name):
    # ruleid: securetag.python.ldap-formatted
    query = f"(uid={name})"
    # ruleid: securetag.python.ldap-formatted
    other = "(&(cn=%s)(active=1))" % name
    # Guarded code is reported all the same.
    # ruleid: securetag.python.ldap-formatted
    return "(mail=" + escape_filter_chars(name) + ")"


def near(name):
    # ok: securetag.python.ldap-formatted
    print(f"(name={name})")
    # ok: securetag.python.ldap-formatted
    return "(uid=admin)"
