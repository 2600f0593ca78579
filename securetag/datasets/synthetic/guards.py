"""The guards between a source and a sink: about a hundred guards in families.

A *check* is an expression that is true of text that may pass; a *transform* is an expression whose
value is used instead; a *flow* is statements that give the sink another value than the request's. `{x}` is the variable, `{a}` and `{b}` the sink's first two honest values.
`weak` holds look-alikes: spellings that a reader may take for the sound one. Nothing here says
which of them are effective: the oracle finds out, sink by sink.

A guard with `classes` is only tried there; one without is tried everywhere, since the wrong guard
for a sink is a mistake that people make.
"""

# ruff: noqa: E501  # a table: one entry a line reads better than one word a line

from __future__ import annotations

from typing import Literal

import msgspec

from securetag.datasets.synthetic import flows
from securetag.datasets.synthetic.routes import ROUTE_PAIRS


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """One idea of a guard, its sound spelling and its look-alikes."""

    name: str
    family: str
    kind: Literal["check", "transform", "flow"]
    #: An expression; of a flow its statements (`flows`), in which the mistakes are marked.
    sound: str
    weak: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    #: Appears in test rows only.
    unseen: bool = False


#: A family that appears in test rows only, whole.
UNSEEN_FAMILY = "filter"

_Row = tuple[str, str] | tuple[str, str, tuple[str, ...]]


def _family(
    family: str,
    kind: Literal["check", "transform"],
    rows: list[_Row],
    *,
    classes: tuple[str, ...] = (),
    unseen: tuple[str, ...] = (),
) -> list[Guard]:
    return [
        Guard(
            name=row[0], family=family, kind=kind, sound=row[1], weak=row[2] if len(row) > 2 else (),
            classes=classes, unseen=row[0] in unseen or family == UNSEEN_FAMILY,
        )
        for row in rows
    ]  # fmt: skip


_PATTERNS = _family("pattern", "check", [
    ("fullmatch-word", r're.fullmatch(r"\w+", {x})', (r're.match(r"\w+", {x})', r're.search(r"\w+", {x})')),
    ("fullmatch-alnum", r're.fullmatch("[A-Za-z0-9]+", {x})',
     (r're.match("[A-Za-z0-9]+", {x})', r're.search("[A-Za-z0-9]+$", {x})')),
    ("fullmatch-lower", r're.fullmatch("[a-z]+[0-9]*", {x})', (r're.match("[a-z]+[0-9]*", {x})',)),
    ("fullmatch-bounded", r're.fullmatch("[a-z0-9_]{{1,32}}", {x})', (r're.match("[a-z0-9_]{{1,32}}", {x})',)),
    ("fullmatch-digits", r're.fullmatch(r"\d+", {x})', (r're.match(r"\d+", {x})', r're.search(r"\d", {x})')),
    ("fullmatch-dotted", r're.fullmatch(r"\w+(\.\w+)*", {x})', (r're.match(r"\w+(\.\w+)*", {x})',)),
    ("match-end", r're.match(r"\w+\Z", {x})', (r're.match(r"\w+$", {x}, re.M)', r're.match(r"\w+\b", {x})')),
    ("match-both", r're.match(r"^[a-z0-9.]+\Z", {x})', (r're.search(r"^[a-z0-9.]+$", {x}, re.M)',)),
    ("compiled", r're.compile("[a-z0-9]+").fullmatch({x})', (r're.compile("[a-z0-9]+").match({x})',)),
    ("no-outsider", r'not re.search(r"[^\w.]", {x})', (r'not re.match(r"[^\w.]", {x})',)),
    ("no-nonword", r'not re.findall(r"\W", {x})', (r'not re.fullmatch(r"\W+", {x})',)),
], unseen=("match-both", "fullmatch-lower"))  # fmt: skip

_TYPES = _family("character-class", "check", [
    ("isalnum", "{x}.isalnum()", ("{x}[:1].isalnum()", "{x}.isascii()")),
    ("isalpha", "{x}.isalpha()", ("{x}[:1].isalpha()", "{x}.isprintable()")),
    ("isdigit", "{x}.isdigit()", ("{x}[:1].isdigit()", "{x}[-1:].isdigit()")),
    ("isdecimal", "{x}.isdecimal()", ("{x}[0].isdecimal()",)),
    ("isidentifier", "{x}.isidentifier()", ("{x}[:1].isidentifier()",)),
    ("ascii-alnum", "{x}.isascii() and {x}.isalnum()", ("{x}.isascii() or {x}.isalnum()",)),
    ("underscored", '{x}.replace("_", "").isalnum()', ('{x}.split("_")[0] and {x}.isascii()',)),
    ("all-alnum", "all(c.isalnum() for c in {x})", ("any(c.isalnum() for c in {x})",)),
    ("all-listed", 'all(c in "abcdefghijklmnopqrstuvwxyz0123456789." for c in {x})',
     ('any(c in "abcdefghijklmnopqrstuvwxyz0123456789." for c in {x})',)),
    ("subset", "set({x}) <= set(string.ascii_letters + string.digits)",
     ("set({x}) & set(string.ascii_letters + string.digits)",)),
    ("difference", "not set({x}) - set(string.ascii_letters)", ("set({x}) - set(string.punctuation)",)),
], unseen=("subset", "underscored"))  # fmt: skip

_LISTS = _family("allow-list", "check", [
    ("in-tuple", '{x} in ("{a}", "{b}")', ('{x}.startswith(("{a}", "{b}"))', 'any(v in {x} for v in ("{a}", "{b}"))')),
    ("in-set", '{x} in {{"{a}", "{b}"}}', ('"{a}" in {x}',)),
    ("in-list", '{x} in ["{a}", "{b}"]', ('any({x}.startswith(v) for v in ["{a}", "{b}"])',)),
    ("in-dict", '{x} in {{"{a}": 1, "{b}": 2}}', ('{x}[:4] in "{a} {b}"',)),
    ("equals-either", '{x} == "{a}" or {x} == "{b}"', ('{x} >= "{a}" or {x} == "{b}"',)),
    ("any-equals", 'any({x} == v for v in ("{a}", "{b}"))', ('any({x} != v for v in ("{a}", "{b}"))',)),
    ("split-words", '{x} in "{a} {b}".split()', ('"{a}" in {x}.split() or "{a}" in {x}',)),
    ("count", '("{a}", "{b}").count({x}) == 1', ('{x}.count("{a}") < 2',)),
], unseen=("any-equals",))  # fmt: skip

_MAPS = _family("map", "transform", [
    ("dict-get", '{{"1": "{a}", "2": "{b}"}}.get({x}, "{a}")', ('{{"1": "{a}", "2": "{b}"}}.get({x}, {x})',)),
    ("dict-index", '{{"{a}": "{a}", "{b}": "{b}"}}[{x}]', ('{{"{a}": "{a}"}}.get({x}) or {x}',)),
    ("either", '"{b}" if {x} == "{b}" else "{a}"', ('"{b}" if {x} == "{b}" else {x}', '{x} if "{b}" in {x} else "{a}"')),
    ("tuple-index", '("{a}", "{b}")[{x} == "{b}"]', ('("{a}", {x})[{x} != "{b}"]',)),
    ("next-equal", 'next((v for v in ("{a}", "{b}") if v == {x}), "{a}")',
     ('next(({x} for v in ("{a}", "{b}") if v in {x}), "{a}")',)),
    ("list-position", '["{a}", "{b}"][["{a}", "{b}"].index({x})]', ()),
    ("enum", 'Enum("Kind", ["{a}", "{b}"])[{x}].name', ()),
    ("prefix-map", '("{a}" if {x}.startswith("{a}") else "{b}")', ('({x} if {x}.startswith("{a}") else "{b}")',)),
], unseen=("tuple-index", "next-equal"))  # fmt: skip

_CASTS = _family("cast", "transform", [
    ("int", "int({x})", ("{x} if {x}[:1].isdigit() else int({x})", "{x} or int({x})")),
    ("float", "float({x})", ("{x} if {x} else float({x})",)),
    ("decimal", "Decimal({x})", ()),
    ("abs-int", "abs(int({x}))", ()),
    ("int-base", "int({x}, 10)", ()),
    ("format-int", "'%d' % int({x})", ("'%s' % {x}",)),
    ("fstring-int", 'f"{{int({x}):d}}"', ('f"{{{x}:s}}"',)),
    ("round", "round(float({x}))", ()),
    ("clamp", "min(int({x}), 99)", ("min({x}, 'zzz')", "max({x}, '0')")),
    ("length", "len({x})", ("{x}[:len({x})]",)),
    ("truth", "bool({x})", ("bool({x}) and {x}",)),
    ("uuid", "uuid.uuid5(uuid.NAMESPACE_DNS, {x})", ()),
    ("date", "date(2024, 1, int({x}))", ()),
], unseen=("decimal", "clamp"))  # fmt: skip

_DIGESTS = _family("digest", "transform", [
    ("sha256", "hashlib.sha256({x}.encode()).hexdigest()", ("hashlib.sha256(b'').hexdigest() and {x}",)),
    ("hex", "{x}.encode().hex()", ("bytes.fromhex({x}.encode().hex()).decode()",)),
    ("base32", 'base64.b32encode({x}.encode()).decode().strip("=")', ()),
    ("crc", "zlib.crc32({x}.encode())", ()),
], classes=("CWE-89", "CWE-78", "CWE-22", "CWE-79"), unseen=("base32",))  # fmt: skip

_ESCAPES = _family("escape", "transform", [
    ("html-escape", "html.escape({x})", ("html.escape({x}, quote=False)", "html.unescape(html.escape({x}))")),
    ("markup-escape", "markupsafe.escape({x})", ("Markup({x})",)),
    ("saxutils", "saxutils.escape({x}, {{'\"': '&quot;'}})", ("saxutils.unescape({x})",)),
    ("replace-angle", '{x}.replace("<", "&lt;").replace(\'"\', "&#34;")',
     ('{x}.replace("<script>", "")', '{x}.replace("&", "&amp;")')),
    ("shlex-quote", "shlex.quote({x})", ("shlex.quote({x})[1:-1] or {x}", '" ".join(shlex.split({x}))')),
    ("double-quote", '{x}.replace("\'", "\'\'")', ('{x}.replace("--", "")', '{x}.replace(";", "")')),
    ("url-quote", 'quote({x}, safe="")', ("unquote(quote({x}))", 'quote({x}, safe="\'; /()|&$<>\\"")')),
    ("url-plus", "quote_plus({x})", ("unquote_plus(quote_plus({x}))",)),
    ("json-dumps", "json.dumps({x})[1:-1]", ("json.loads(json.dumps({x}))",)),
    ("re-escape", "re.escape({x})", ()),
    ("repr", "repr({x})[1:-1]", ()),
], unseen=("saxutils", "url-plus"))  # fmt: skip

_FILTERS = _family(UNSEEN_FAMILY, "transform", [
    ("sub-nonword", r're.sub(r"\W", "", {x})', (r're.sub(r"\s", "", {x})', r're.sub(r"\W$", "", {x})')),
    ("sub-keep", r're.sub("[^a-z0-9]", "", {x})', (r're.sub("^[^a-z0-9]", "", {x})',)),
    ("join-alnum", '"".join(c for c in {x} if c.isalnum())', ('"".join(c for c in {x} if c.isprintable())',)),
    ("filter-alnum", '"".join(filter(str.isalnum, {x}))', ('"".join(filter(str.isascii, {x}))',)),
    ("findall-join", r'"".join(re.findall("[a-z0-9]", {x}))', (r'"".join(re.findall("[ -~]", {x}))',)),
    ("split-first", r're.split(r"\W", {x})[0]', (r're.split(r"\W", {x})[0] and {x}',)),
    ("match-group", r're.search(r"\w*", {x}).group()', (r're.search(r".*", {x}).group()',)),
    ("translate", '{x}.translate(dict.fromkeys(map(ord, string.punctuation + " \\n")))',
     ('{x}.translate(dict.fromkeys(map(ord, string.digits)))',)),
])  # fmt: skip

_BASE = '"/srv/files"'
_PATH_CHECKS = _family("path", "check", [
    ("realpath", f'os.path.realpath(os.path.join({_BASE}, {{x}})).startswith("/srv/files/")',
     (f'os.path.realpath(os.path.join({_BASE}, {{x}})).startswith("/srv/files")',
      f'os.path.join({_BASE}, {{x}}).startswith("/srv/files/")')),
    ("relative-to", f'Path({_BASE}, {{x}}).resolve().is_relative_to({_BASE})',
     (f'Path({_BASE}, {{x}}).is_relative_to({_BASE})',)),
    ("commonpath", f'os.path.commonpath([{_BASE}, os.path.abspath(f"/srv/files/{{{{{{x}}}}}}")]) == {_BASE}',
     (f'os.path.commonprefix([{_BASE}, os.path.abspath(f"/srv/files/{{{{{{x}}}}}}")]) == {_BASE}',)),
    ("normpath", 'os.path.normpath("/srv/files/" + {x}).startswith("/srv/files/")',
     ('os.path.normpath("/srv/files/" + {x}).startswith("/srv")',)),
    ("no-dots", '".." not in {x} and not {x}.startswith("/")', ('"../.." not in {x}', 'not {x}.startswith("..")')),
    ("no-separator", '"/" not in {x} and {x} != ".."', ('"\\\\" not in {x}', 'not {x}.startswith("/")')),
    ("is-basename", "os.path.basename({x}) == {x} != '..'", ("os.path.basename({x}) != '..'",)),
    ("parts", 'not {{"..", "/"}} & set(Path({x}).parts)', ('Path({x}).parts[:1] != ("/",)',)),
    ("safe-join", f"safe_join({_BASE}, {{x}})", (f"os.path.join({_BASE}, {{x}})",)),
], classes=("CWE-22",), unseen=("commonpath", "no-separator"))  # fmt: skip
_PATH_TRANSFORMS = _family("path", "transform", [
    ("basename", "os.path.basename('/' + {x}).strip('.') + '.txt'", ("os.path.dirname({x}) + '/a.txt'",)),
    ("path-stem", "Path({x}).stem.strip('.')", ("str(Path({x}))", "Path({x}).as_posix()")),
    ("secure-filename", "secure_filename({x})", ("os.path.normpath({x})",)),
    ("last-part", '{x}.split("/")[-1].replace("..", "")', ('{x}.replace("../", "")', '{x}.lstrip("./") or {x}')),
    ("root-normpath", "os.path.normpath('/' + {x}).lstrip('/')", ("os.path.normpath({x}).lstrip('/')",)),
], classes=("CWE-22",), unseen=("root-normpath",))  # fmt: skip

_URL = ("CWE-918", "CWE-601")
_URL_CHECKS = _family("url", "check", [
    ("host-in", 'urlparse({x}).hostname in ("cdn.example.com", "api.example.com")',
     ('"cdn.example.com" in {x}', 'urlparse({x}).hostname not in ("localhost", "127.0.0.1")')),
    ("netloc-equals", 'urlsplit({x}).netloc == "cdn.example.com"',
     ('urlsplit({x}).netloc.startswith("cdn.example.com")', 'urlsplit({x}).path != "cdn.example.com"')),
    ("prefix", '{x}.startswith("https://cdn.example.com/")',
     ('{x}.startswith("https://cdn.example.com")', '{x}.startswith("https://")')),
    ("subdomain", '(urlparse({x}).hostname or "").endswith(".example.com")',
     ('(urlparse({x}).hostname or "").endswith("example.com")', '{x}.endswith("example.com")')),
    ("url-fullmatch", r're.fullmatch(r"https://cdn\.example\.com/[\w.]*", {x})',
     (r're.match(r"https://cdn.example.com", {x})', r're.search(r"https://cdn\.example\.com", {x})')),
    ("scheme-host", 'urlparse({x})[:2] == ("https", "cdn.example.com")', ('urlparse({x})[0] == "https"',)),
    ("split-host", '{x}.split("/")[2:3] == ["cdn.example.com"]', ('"cdn.example.com" in {x}.split("/")',)),
], classes=_URL, unseen=("split-host",))  # fmt: skip
_URL_TRANSFORMS = _family("url", "transform", [
    ("rebuild", '"https://cdn.example.com" + urlparse({x}).path', ('urlparse({x}).geturl()',)),
    ("replace-host", 'urlparse({x})._replace(scheme="https", netloc="cdn.example.com").geturl()',
     ('urlparse({x})._replace(scheme="https").geturl()',)),
    ("fixed-base", '"https://cdn.example.com/" + {x}', ('urljoin("https://cdn.example.com/", {x})',)),
], classes=_URL, unseen=("replace-host",))  # fmt: skip
_HOSTS = _family("host", "check", [
    ("host-equals", '{x} == "{a}"', ('{x}.startswith("{a}")', '{x} != "localhost"')),
    ("host-suffix", r're.fullmatch(r"\w+\.example\.com", {x})',
     (r're.match(r"\w+\.example\.com", {x})', r're.fullmatch(r"\S+example\.com", {x})')),
    ("path-fullmatch", r're.fullmatch(r"/\w*", {x})', (r're.match(r"/?\w*", {x})', r're.search(r"/\w*", {x})')),
    ("slash-word", '{x}[:1] == "/" and {x}[1:].isalnum()', ('{x}[-1:].isalnum()',)),
], classes=_URL, unseen=("slash-word",))  # fmt: skip

_LOCAL_CHECKS = _family("local-redirect", "check", [
    ("helper-same-host", 'url_has_allowed_host_and_scheme({x}, "shop.example.com")', ('iri_to_uri({x})',)),
    ("single-slash", '{x}[:1] == "/" and {x}[1:2] not in ("/", "\\\\", "\\t")',
     ('{x}[:1] == "/" and {x}[1:2] != "/"', '{x}.startswith("/")')),
    ("local-path", r're.fullmatch(r"/[a-z]+", {x})', (r're.match(r"/[a-z]*", {x})',)),
    ("joined-host", 'urlparse(urljoin("https://shop.example.com/", {x})).hostname == "shop.example.com" and "\\\\" not in {x} and {x} == {x}.strip()',
     ('not urlparse({x}).netloc', 'not urlparse({x}).scheme')),
], classes=("CWE-601",), unseen=("joined-host",))  # fmt: skip
_LOCAL_TRANSFORMS = _family("local-redirect", "transform", [
    ("strip-slashes", '"/" + {x}.lstrip("/\\\\ \\t")', ('"/" + {x}.lstrip("/")', '{x}.replace("https://", "")')),
    ("path-only", '"/" + urlparse({x}).path.strip("/\\\\ \\t")', ('urlparse({x}).path or {x}',)),
    ("safe-or-home", '{x} if url_has_allowed_host_and_scheme({x}, "shop.example.com") else "/"',
     ('{x} if {x} else "/"', '{x} if "shop.example.com" in {x} else "/"')),
], classes=("CWE-601",), unseen=("path-only",))  # fmt: skip

_MARKUP = _family("markup", "transform", [
    ("django-escape", "escape({x})", ("mark_safe({x})", "strip_spaces_between_tags({x})")),
    ("format-html", 'format_html("{{}}", {x})', ('mark_safe("%s" % {x})',)),
    ("markup-percent", 'Markup("%s") % {x}', ('Markup("%s" % {x})',)),
    ("striptags", "escape(strip_tags({x}))", ("Markup({x}).unescape()",)),
], classes=("CWE-79",), unseen=("markup-percent",))  # fmt: skip

_NEUTRAL = _family("neutral", "transform", [
    ("strip", "{x}.strip()"),
    ("lower", "{x}.lower()"),
    ("cut", "{x}[:64]"),
    ("reencode", "{x}.encode().decode()"),
    ("normalise", 'unicodedata.normalize("NFC", {x})'),
    ("default", '{x} or "{a}"'),
    ("first-line", "{x}.rstrip()"),
], unseen=("normalise",))  # fmt: skip

_FLOWS = [
    Guard(name=name, family="data-flow", kind="flow", sound=text, unseen=name in flows.UNSEEN)
    for name, text in flows.FLOWS.items()
] + [
    Guard(
        name=name,
        family="autoescape",
        kind="flow",
        sound=text,
        classes=("CWE-79",),
        unseen=name in flows.UNSEEN,
    )
    for name, text in flows.TEMPLATES.items()
]
#: What a framework makes of a part of the route; `routes` has the spellings.
_ROUTES = [
    Guard(name=name, family="route", kind="flow", sound=meant, weak=mistakes, unseen=name == "slug-part")
    for name, (meant, mistakes) in ROUTE_PAIRS.items()
]

GUARDS: tuple[Guard, ...] = tuple(
    _PATTERNS + _TYPES + _LISTS + _MAPS + _CASTS + _DIGESTS + _ESCAPES + _FILTERS
    + _PATH_CHECKS + _PATH_TRANSFORMS + _URL_CHECKS + _URL_TRANSFORMS + _HOSTS
    + _LOCAL_CHECKS + _LOCAL_TRANSFORMS + _MARKUP + _NEUTRAL + _FLOWS + _ROUTES
)  # fmt: skip


def guards_of(cwe: str) -> list[Guard]:
    """The guards that are tried for a class, in a fixed order."""
    return [guard for guard in GUARDS if not guard.classes or cwe in guard.classes]
