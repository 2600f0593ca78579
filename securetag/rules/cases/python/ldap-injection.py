def python_ldap():
    # ruleid: securetag.python.ldap-injection
    connection.search_s(BASE, SCOPE, "(uid=%s)" % request.args["user"])


def ldap3(request):
    name = request.POST["name"]
    # ruleid: securetag.python.ldap-injection
    conn.search("dc=shop", f"(cn={name})")


def escaped_is_reported_too():
    # ruleid: securetag.python.ldap-injection
    conn.search("dc=shop", search_filter="(uid=" + escape_filter_chars(request.args["user"]) + ")")


def constant():
    # ok: securetag.python.ldap-injection
    conn.search("dc=shop", "(objectClass=person)")


def regular_expression():
    # ok: securetag.python.ldap-injection
    re.search("a", request.args["user"])
