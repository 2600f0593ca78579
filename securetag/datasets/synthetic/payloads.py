"""What an attacker sends: at least eight payloads a class, each with a reason to exist.

A guard that looks at a part of the text is defeated by a payload beside honest text. So each payload
is also combined with every honest value of the sink: before it, after it, between two of them, on a
line of its own, behind a digit, and quoted for a guard that unquotes. Payloads stay under 64
characters, the length that neutral guards cut at; combinations may be longer.
"""

# a table: one entry a line reads better than one word a line

from __future__ import annotations

import shlex
from functools import cache

from securetag.datasets.synthetic.sinks import Sink

_BASE: dict[str, tuple[str, ...]] = {
    "CWE-89": (
        "' OR '1'='1",
        "1 OR 1=1",
        "'; DROP TABLE users--",
        "x' UNION SELECT 1--",
        "name DESC, 1",
        "(SELECT 1)",
        "1--",
        "id",
        "1;DELETE FROM users",
        "''' OR 1=1--",
        "\\' OR 1=1--",
        "'OR''='",
        "1/**/OR/**/1",
        "'/**/OR/**/1=1--",
        "CASE WHEN 1 THEN 1 END",
    ),
    "CWE-78": (
        "x; id",
        "x && id",
        "x | id",
        "$(id)",
        "`id`",
        "x\nid",
        "';id;'",
        '";id;"',
        "x&id",
        "x > /tmp/o",
        "'\nid\n'",
        "$IFS",
        "a b",
        "x;id",
        "'$(id)'",
        "||id",
    ),
    "CWE-22": (
        "../../etc/passwd",
        "/etc/passwd",
        "....//....//etc/passwd",
        "..",
        "../files-old/a.txt",
        "a/../../../etc/passwd",
        "..\n/../etc/passwd",
        "../",
        "./../../x",
        "..%2f..%2fetc/passwd",
        "/srv/files/../../etc/passwd",
        "..././..././etc/passwd",
        "../report.txt",
        "../../report.txt",
        "//etc/passwd",
        # Inside as an absolute path, outside where it is appended to the folder.
        "/../srv/files/report.txt",
    ),
    "CWE-918": (
        "http://169.254.169.254/",
        "http://evil.net/",
        "https://cdn.example.com.evil.net/",
        "https://cdn.example.com@evil.net/",
        "http://127.0.0.1:8080/",
        "https://evil.net/cdn.example.com",
        "https://evil.net/?cdn.example.com",
        "https://evilexample.com/",
        "evil.net",
        "evil.net/",
        "evil.net#cdn.example.com",
        "x@evil.net/",
        "@evil.net",
        ".evil.net",
        "evil.net:80/cdn.example.com",
        "https://evil.net/#https://cdn.example.com/",
        "evilexample.com",
        "http://[::1]/",
        "evil.net?example.com",
        "https://evil.net/.png",
        "https://api.example.com.evil.net/v1",
        "https://evil.net/v1",
        "evil.net/v1",
        "localhost",
        "2",
        "https://evil.net\\@cdn.example.com/",
        "https://evil.net\\.example.com/",
        "evil.net\\",
        "\\@evil.net/",
        "https://evil.net#@cdn.example.com/",
    ),
    "CWE-79": (
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '"><svg onload=alert(1)>',
        '" onfocus=alert(1) x="',
        "x onerror=alert(1)",
        "</script><script>alert(1)</script>",
        '";alert(1);//',
        "<SCRIPT>alert(1)</SCRIPT>",
        "<scr<script>ipt>alert(1)</script>",
        "' onerror='alert(1)",
        '"-alert(1)-"',
        "<svg/onload=alert(1)>",
        "<b>x</b>",
        "x\tonerror=alert(1)",
        '\\";alert(1)//',
        "&lt;script&gt;",
        "x/onerror=alert(1)",
        "x\nonerror=alert(1)",
        "x\\",
    ),
    "CWE-601": (
        "https://evil.net/",
        "//evil.net/",
        "/\\evil.net",
        "\\\\evil.net",
        "/evil.net",
        "https:evil.net",
        "///evil.net",
        "javascript:alert(1)",
        "https://shop.example.com.evil.net/",
        " //evil.net",
        "https://shop.example.com@evil.net/",
        "@evil.net",
        ".evil.net",
        "evil.net",
        "/\t/evil.net",
        "https://evil.net/shop.example.com",
        "\\evil.net",
        "https://evilexample.com/",
        "evil.net/home",
        "evil.net#shop.example.com",
        "evilexample.com",
        "https://evil.net/home",
        "https://evil.net/?/cart",
        "//evil.net/home",
        "HTTPS://EVIL.NET/",
        "/shop.example.com.evil.net",
        "evil",
        "/evil",
        "/\t//evil.net",
        "/\n//evil.net",
        "/\r//evil.net",
        "\x00//evil.net",
        "\x01//evil.net",
        "/\\/evil.net",
        "https://evil.net\\@shop.example.com/",
        "https://evil.net\t@shop.example.com/",
    ),
    "CWE-94": (
        "__import__('os').system('id')",
        "open('/etc/passwd').read()",
        "exit()",
        "(lambda: 1)()",
        "1 + len(secrets)",
        "[].__class__",
        "secrets",
        "7 if exit() else 1",
        "1 or exit()",
        "print(7)",
        "1); exit(",
        "7\nexit()",
        "exit() or 7",
        "1 # x\nexit()",
        "7 and exit()",
    ),
}

#: Length under which a payload passes every guard that cuts, or that runs on long texts only.
MAX_LENGTH = 64
#: What another parameter may hold so that a guard on it lets the request through, or doesn't look:
#: the kinds of text that the guards ask for, which a sink's honest values needn't be.
OPENERS = (
    "7",
    "a",
    "A1",
    "",
    "!",
    "/home",
    "/",
    "report.txt",
    "https://cdn.example.com/a.png",
    "cdn.example.com",
    "shop.example.com",
)
#: What a guard on the first or last character may ask for.
_EDGES = ("7", "a")


@cache
def list_payloads(sink: Sink) -> tuple[str, ...]:
    """Return the class's payloads, then each joined to the sink's first honest value."""
    base, honest = _BASE[sink.cwe], sink.benign[0]
    texts = list(base)
    texts += [f"{honest}{text}" for text in base]
    texts += [f"{text}{honest}" for text in base]
    texts += [f"{honest}\n{text}" for text in base[:4]]
    texts += [f"{text}\n{honest}" for text in base[:4]]
    return tuple(text for text in dict.fromkeys(texts) if len(text) < MAX_LENGTH)


@cache
def list_combinations(sink: Sink) -> tuple[str, ...]:
    """Return each payload combined with every honest value on both sides; `payloads` left out."""
    texts: list[str] = []
    for text in _BASE[sink.cwe]:
        texts += [f"{before}{text}{after}" for before in sink.benign for after in sink.benign]
        for honest in sink.benign:
            texts += [f"{honest}{text}", f"{text}{honest}", f"{honest}\n{text}", f"{text}\n{honest}"]
        texts += [each for edge in _EDGES for each in (f"{edge}{text}", f"{text}{edge}")]
        texts.append(shlex.quote(text))
    listed = set(list_payloads(sink))
    return tuple(text for text in dict.fromkeys(texts) if text not in listed)
