"""Unsafe functions that look guarded, to try the searcher on. Written for it, before its first run."""

# a table of functions

from __future__ import annotations

from benchmarks.oracle_audit.search import Case

_WORDS = ("alice", "bob")
_HOSTS = ("cdn.example.com", "api.example.com")
_PAGES = ("/home", "/cart")


def _write(*lines: str) -> str:
    body = ['v = request.args.get("v", "")', *lines]
    return "def view(request):\n" + "".join(f"    {line}\n" for line in body)


PLANTED: dict[str, Case] = {
    "shell, no guard": ("CWE-78", "v", _write('return os.system("ping -c1 " + v)'), ("db1",)),
    "shell, match without an end": (
        "CWE-78",
        "v",
        _write('if not re.match(r"[a-z0-9]+", v):', '    return ""', 'os.system("ping " + v)'),
        ("db1",),
    ),
    "shell, semicolons removed": (
        "CWE-78",
        "v",
        _write('v = v.replace(";", "")', 'os.system("ping " + v)'),
        ("db1",),
    ),
    "shell, a word in it": (
        "CWE-78",
        "v",
        _write('if "db1" in v:', '    os.system("ping " + v)', 'return ""'),
        ("db1",),
    ),
    "shell, $ matches before a line end": (
        "CWE-78",
        "v",
        _write('if re.search(r"^[a-z0-9]+$", v, re.M):', '    os.system("ping " + v)', 'return ""'),
        ("db1",),
    ),
    "shell, the last character": (
        "CWE-78",
        "v",
        _write("if v[-1:].isdigit():", '    os.system("ping " + v)', 'return ""'),
        ("db1",),
    ),
    "SQL, quotes kept": (
        "CWE-89",
        "v",
        _write('cur.execute("SELECT * FROM users WHERE name = \'" + v + "\'")'),
        _WORDS,
    ),
    "SQL, the word OR removed": (
        "CWE-89",
        "v",
        _write('v = v.replace(" OR ", "")', 'cur.execute("SELECT * FROM users WHERE name = \'" + v + "\'")'),
        _WORDS,
    ),
    "SQL, quotes doubled in a number": (
        "CWE-89",
        "v",
        _write('v = v.replace("\'", "\'\'")', 'cur.execute("SELECT * FROM users WHERE id = " + v)'),
        ("7", "42"),
    ),
    "SQL, starts with a digit": (
        "CWE-89",
        "v",
        _write("if v[:1].isdigit():", '    cur.execute("SELECT * FROM users WHERE id = " + v)', 'return ""'),
        ("7", "42"),
    ),
    "SQL, order by a column's prefix": (
        "CWE-89",
        "v",
        _write(
            'if v.startswith("name"):', '    cur.execute("SELECT * FROM users ORDER BY " + v)', 'return ""'
        ),
        ("name",),
    ),
    "page, script removed once": (
        "CWE-79",
        "v",
        _write('v = v.replace("<script>", "")', 'return make_response("<p>" + v + "</p>")'),
        _WORDS,
    ),
    "page, angle brackets removed in an attribute": (
        "CWE-79",
        "v",
        _write(
            'v = v.replace("<", "").replace(">", "")', "return make_response('<input value=\"' + v + '\">')"
        ),
        _WORDS,
    ),
    "page, escaped address": (
        "CWE-79",
        "v",
        _write("return make_response('<a href=\"' + html.escape(v) + '\">x</a>')"),
        _PAGES,
    ),
    "path, dots removed once": (
        "CWE-22",
        "v",
        _write('v = v.replace("../", "")', 'return open("/srv/files/" + v)'),
        ("a.txt", "b.txt"),
    ),
    "path, join": (
        "CWE-22",
        "v",
        _write('if ".." in v:', '    return ""', 'return open(os.path.join("/srv/files", v))'),
        ("a.txt",),
    ),
    "redirect, starts with a slash": (
        "CWE-601",
        "v",
        _write('if v.startswith("/"):', "    return redirect(v)", 'return ""'),
        _PAGES,
    ),
    "redirect, the host in it": (
        "CWE-601",
        "v",
        _write('if "shop.example.com" in v:', "    return redirect(v)", 'return ""'),
        ("https://shop.example.com/cart",),
    ),
    "fetch, the host begins it": (
        "CWE-918",
        "v",
        _write('if v.startswith("https://cdn.example.com"):', "    requests.get(v)", 'return ""'),
        ("https://cdn.example.com/a",),
    ),
    "fetch, the host ends with a name": (
        "CWE-918",
        "v",
        _write('if v.endswith("example.com"):', '    requests.get("https://" + v + "/x")', 'return ""'),
        _HOSTS,
    ),
}
