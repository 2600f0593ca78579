"""Find secrets in the text of one file, whatever its format.

detect-secrets knows the formats of issued tokens. Its detectors by keyword and by entropy are left out: they
report names, hashes and messages; what is assigned to a telling name is judged in `judge` instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Literal

from securetag.records import Confidence
from securetag.scanning.secrets.judge import (
    Judgment,
    is_login,
    is_placeholder,
    is_prose,
    is_random_hex,
    is_random_mix,
    is_token,
    judge,
)

Kind = Literal["private-key", "provider-token", "connection-string", "environment-default", "assigned"]

#: Characters of a line in which assignments are looked for; a longer one is data or minified.
MAX_LINE = 5_000

TELLING = (
    r"(?:pass(?:word|wd|phrase)|(?<![A-Za-z])pass(?![A-Za-z])|(?-i:(?<=[a-z])Pass(?![a-z]))|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?key"
    r"|signing[_-]?key|encryption[_-]?key|account[_-]?key|license[_-]?key|credentials?|pepper|salt)"
)
#: What a longer name says about the secret without holding it.
_ABOUT = (
    r"(?![\w-]{0,40}(?:type|mode|method|scheme|field|header|label|class|ur[il]|path|file(?:name)?|dir|length|name"
    r"|expir\w+|ttl|policy|regex|pattern|algorithm|hasher|backend|form|page|view|template|prefix|text|id|help|chars|alphabet"
    r"|message|error|limit|size|count|env|var|validators?|placeholder)[\"'\\]{0,2}\]?\s*[:=,])"
)
_HINT = re.compile(TELLING, re.IGNORECASE)
#: One of them is in each telling name; looking for words is several times as fast as for the pattern.
_HINT_WORDS = ("pass", "pwd", "secret", "token", "key", "credential", "pepper", "salt")
_NAME = rf"(?P<name>[\w.-]{{0,64}}{TELLING}{_ABOUT}[\w-]{{0,64}})"
#: `\\"` is a quote inside a notebook or another JSON string.
_QUOTED = r"[rbuf]{0,2}(?P<quote>\\?[\"'`])(?P<value>(?:(?!(?P=quote))[^\n\\]){3,500})(?P=quote)"
#: What makes a secret of a string: `Field("…")`, `SecretStr("…")`, `Buffer.from("…")`.
_WRAPPED = (
    r"(?:\[[ \t]*|ConvertTo-SecureString[ ]+|(?:\w{1,40}\.)?"
    r"(?:Field|SecretStr|SecretBytes|bytes|b64decode|from|fromBase64String)\([ \t]*)?"
)
_ASSIGNED = re.compile(
    rf"(?i)(?<![\w-]){_NAME}"
    rf"(?:\\?[\"']?\]?[ \t]*(?::[ \t]*[\w.\[\]|&<> ]{{1,40}}=|:?=>?|:))[ \t]*{_WRAPPED}{_QUOTED}"
)
#: A value that counts where the environment has none: `os.environ.get("KEY", "…")`, `process.env.KEY || "…"`.
_DEFAULT = re.compile(
    rf"(?i)(?:environ\.get|getenv|env(?:\.\w+)?|config)\(\s*\\?[\"'](?P<name>[\w.-]{{0,64}}{TELLING}[\w.-]{{0,64}})"
    rf"\\?[\"']\s*,\s*(?:default\s*=\s*)?{_QUOTED}"
    rf"|process\.env(?:\.|\[\\?[\"'])(?P<name_js>\w{{0,64}}{TELLING}\w{{0,64}})(?:\\?[\"']\])?\s*(?:\|\||\?\?)\s*"
    r"(?P<quote_js>\\?[\"'`])(?P<value_js>(?:(?!(?P=quote_js))[^\n\\]){3,500})(?P=quote_js)"
)
#: The same where the variable's name tells: `SECRET_KEY = getenv("KEY") or "…"`.
_FALLBACK = re.compile(
    rf"(?i)(?<![\w-]){_NAME}[^=\n]{{0,40}}=[^=\n]{{1,100}}?(?:\bor\b|\|\||\?\?)\s*{_QUOTED}"
)
#: `${DB_PASSWORD:-…}` of a shell and of Compose, `${DB_PASSWORD:…}` of Spring.
_EXPANSION = re.compile(
    rf"(?i)\$\{{(?P<name>[\w.-]{{0,64}}{TELLING}[\w.-]{{0,64}}?)(?::-|:|-)"
    r"(?P<value>[^}\s\"'?+=-][^}\s\"']{2,200})\}"
)
#: A pair of two strings: `define("DB_PASSWORD", "…")`, `<add key="ApiKey" value="…"/>`.
_PAIR = re.compile(
    rf"(?i)(?:\b(?:define|putenv|set\w*|add|append|header)\(\s*|\b(?:key|name)\\?[\"']?\s*[:=]\s*)"
    rf"\\?[\"'](?P<name>[\w.-]{{0,64}}(?:{TELLING}|_KEY|_SALT)[\w.-]{{0,64}})\\?[\"']"
    rf"\s*(?:,\s*\\?[\"']?value\\?[\"']?\s*:|,|\bvalue=)\s*{_QUOTED}"
)
#: An assignment whose value is on the next line.
_OPEN = re.compile(rf"(?i)^[ \t]*{_NAME}[ \t]*(?::[ \t]*\w+[ \t]*)?=[ \t]*[(\\][ \t]*$")
_ALONE = re.compile(rf"^[ \t]*{_QUOTED}[ \t]*[),]*[ \t]*$")
#: The same of a list of variables: `name: DB_PASSWORD`, then `value: …`.
_LISTED = re.compile(
    rf"(?i)^[ \t]*(?:-[ \t]+)?[\"']?(?:name|key)[\"']?[ \t]*:[ \t]*[\"']?{_NAME}[\"']?,?[ \t]*$"
)
_VALUE = re.compile(
    r"^[ \t]*[\"']?value[\"']?[ \t]*:[ \t]*(?P<quote>[\"']?)(?P<value>[^\s\"']{3,500})(?P=quote),?[ \t]*$"
)
#: A variable of Terraform; its `default` is further down in the block.
_HCL_VARIABLE = re.compile(
    rf"(?i)^[ \t]*variable[ \t]+\"(?P<name>[\w.-]{{0,64}}{TELLING}[\w-]{{0,64}})\"[ \t]*\{{"
)
_HCL_DEFAULT = re.compile(rf"(?<![\w-])default[ \t]*=[ \t]*{_QUOTED}")
_HCL_SUFFIXES = frozenset({".tf", ".hcl"})
#: Lines of such a block that are read.
_HCL_LINES = 60
_TELLING_NAME = re.compile(rf"(?i)^{_NAME}=$")
#: The header of a request, wherever one is written down.
_HEADER = re.compile(
    r"(?i)\bauthorization\\?[\"']?\]?[ \t]*[:=,][ \t]*\\?[\"'`]?(?:bearer|basic|token)[ ]+"
    r"(?P<value>[\w.~+/=-]{12,500})"
)
#: Logins in commands: `curl -u user:…`, `mysql -p…`.
_OPTION = re.compile(
    r"\b(?:curl|wget)\b[^\n]{0,200}?\s(?:-u|--user)[ =][\"']?[^\s:\"']{1,60}:(?P<value>[^\s\"']{3,200})"
    r"|\bdocker[ ]+login\b[^\n]{0,200}?\s(?:-p|--password)[ =][\"']?(?P<value_docker>[^\s\"']{3,200})"
    r"|\bmysql(?:dump|admin)?\b[^\n]{0,200}?\s(?:-p|--password=)(?P<value_mysql>[^\s\"'-][^\s\"']{3,200})"
)
#: A variable that an option sets: `--set db.password=…`, `--from-literal=password=…`, `-e PASSWORD=…`.
_FLAG = re.compile(
    rf"(?i)(?:\s--[\w-]{{2,40}}[ =]|\s-e[ ]?)[\"']?(?P<name>[\w.-]{{0,64}}{TELLING}[\w-]{{0,20}})"
    r"=(?P<value>[^\s\"'`]{3,200})"
)
#: Name and password as two arguments: `auth=("admin", "…")`, `smtp.login("info", "…")`.
_LOGIN_CALL = re.compile(
    r"(?i)(?:\bauth[ ]?=[ ]?\(|\blogin\(|\b(?:HTTP)?Basic_?Auth\()"
    rf"[ \t]*[\"'][^\"'\n]{{1,60}}[\"'],[ \t]*{_QUOTED}"
)
#: A parameter of an address; only a random value is more than a name.
_PARAMETER = re.compile(rf"(?i)[?&](?P<name>[\w.-]{{0,40}}{TELLING})=(?P<value>[\w.~+/=-]{{12,500}})")
#: Logins of protocols: `login ci password …` of a .netrc, `user:…@tcp(` of Go's MySQL, `user=… password=…`.
_PROTOCOL = re.compile(
    r"\bsshpass[ ]+-p[ ]*[\"']?(?P<value>[^\s\"']{3,200})"
    r"|\blogin[ ]+\S{1,60}[ ]+password[ ]+(?P<value_netrc>\S{3,200})"
    r"|[\"'`][\w.-]{1,60}:(?P<value_go>[^\s@:/\"'`]{3,200})@(?:tcp|unix)\("
    r"|\b(?:host|user|dbname)=\S+[ ](?:[^\n\"']{0,200}[ ])?password=(?P<value_dsn>[^\s\"'{}%]{3,200})"
)
_PROTOCOL_WORDS = ("sshpass", "password", "@tcp(", "@unix(")
#: In lower case; without one of them `_find_options` finds nothing on a line, a password file's apart.
_OPTION_WORDS = (" -", "_key", "auth", "createhmac(", "jwt.", "login(", *_PROTOCOL_WORDS)
#: A line that sets a variable of a notebook or an image: `%env TOKEN=…`, `ENV TOKEN …`.
_VARIABLE = re.compile(
    rf"(?i)(?:%(?:set_)?env|^[ \t]*(?:ENV|ARG|setx))[ \t]+{_NAME}(?:=|[ \t]+)(?P<value>[^\s\"'\\]{{3,500}})"
)
#: `<password>…</password>`.
_ELEMENT = re.compile(rf"(?i)<{_NAME}>(?P<value>[^<>\s]{{3,500}})</")
#: `if form["password"] == "…"`: only of passwords, since much is called a token that is compared.
_COMPARED = re.compile(
    rf"(?i)(?<![\w-])(?P<name>[\w.-]{{0,64}}pass(?:word|wd|phrase))\\?[\"']?\]?[ \t]*[=!]==?[ \t]*{_QUOTED}"
)
#: A name that a random value alone makes a secret's: `STRIPE_KEY`.
_KEY = re.compile(
    rf"(?<![\w-])(?P<name>[A-Z][A-Z0-9_]{{1,60}}_KEY)\\?[\"']?\]?[ \t]*(?:[=:,]|:=)[ \t]*{_QUOTED}"
)
_KEY_SETTING = re.compile(
    r"^[ \t]*(?:export[ \t]+)?[A-Z][A-Z0-9_]{1,60}_KEY=(?P<value>[^\s\"'`#]{16,500})[ \t]*$"
)
#: The argument of a signature that is its key.
_SIGNED = re.compile(rf"\b(?:jwt\.(?:encode|decode|sign|verify)|createHmac)\([^,\n]{{1,100}},[ \t]*{_QUOTED}")
#: A login of a registry in base64, as Docker stores it.
_AUTH = re.compile(r"\"auth\"\s*:\s*\"(?P<value>[A-Za-z0-9+/]{12,500}={0,2})\"")
#: A line of PostgreSQL's password file: host, port, database, user, password.
_PGPASS = re.compile(r"^(?!#)[^:\s]+:(?:\d+|\*):[^:\s]+:[^:\s]+:(?P<value>\S{3,200})$")
#: A setting of a file that needs no quotes.
_SETTING = re.compile(
    rf"(?i)^[ \t]*(?:export[ \t]+|set[ \t]+|-[ \t]+|//\S{{1,200}}:)?{_NAME}[ \t]*(?:=|:[ \t])[ \t]*"
    r"(?P<value>[^\s\"'`#][^\s#]{2,499})"
    r"[ \t]*(?:#.*)?$"
)
_DJANGO = re.compile(
    r"^\s*SECRET_KEY\s*(?::\s*str\s*)?=\s*[rbuf]{0,2}(?P<quote>[\"'])(?P<value>.{8,500}?)(?P=quote)\s*(?:#.*)?$"
)
_URL_LOGIN = re.compile(
    r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,30}://[^\s/:@\"'<>{}$]{0,100}:(?P<value>[^\s/@\"'<>]{3,200})@(?P<host>[\w.\[-]+)"
)
_CONNECTION = re.compile(
    r"(?i)\b(?:password|pwd|accountkey|sharedaccesskey)[ ]?=[ ]?(?P<value>[^\s;\"',(){}]{6,200})(?=;)"
    r"|(?:;[ ]?|[?&])(?:password|pwd|accountkey|sharedaccesskey)="
    r"(?P<value_last>[^\s;\"'&,(){}]{6,200})(?=[\"'`&]|$)"
)
#: Of a developer's machine or of a compose file, whose passwords are often of no use elsewhere.
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "db", "postgres", "mysql", "redis", "mongo", "rabbitmq"})
KEY_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
KEY_END = re.compile(r"-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
#: Characters of a key's base64 below which it is a stump, as tests have it.
_MIN_KEY_CHARS = 100
_MORE_TOKENS = re.compile(
    r"\b(?:AIza[\w-]{35}|hf_[A-Za-z0-9]{30,}|do[por]_v1_[a-f0-9]{64}|sk-ant-[\w-]{30,}|GOCSPX-[\w-]{28}|xapp-\d-[\w-]{20,}"
    r"|shp(?:at|ss|ca)_[a-f0-9]{32}|gl(?:pat|rt|dt)-[\w-]{20,}|github_pat_\w{60,}|whsec_\w{24,}|SG\.[\w-]{22}\.[\w-]{43}"
    r"|npm_[A-Za-z0-9]{36}|stk_[A-Za-z0-9]{12}_[A-Za-z0-9]{43}|sk-(?:proj|svcacct|admin)-[\w-]{40,}|PMAK-[a-f0-9]{24}-[a-f0-9]{34}"
    r"|NRAK-[A-Z0-9]{27}|ntn_[A-Za-z0-9]{40,}|hv[sb]\.[\w-]{24,}|[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,}"
    r"|dckr_pat_[\w-]{27}|AGE-SECRET-KEY-1[A-Z0-9]{58}|HRKU-[\w-]{36}|ATATT3[\w=-]{100,}"
    r"|dapi[a-f0-9]{32}|key-[a-f0-9]{32}|sbp_[a-f0-9]{40}|sntry[us]_[\w+/=-]{40,}|glsa_\w{32}_[a-f0-9]{8}"
    r"|pat[A-Za-z0-9]{14}\.[a-f0-9]{64}|figd_[\w-]{36,}|pscale_\w{2,8}_[\w.=-]{32,})"
)
#: A whole string of a vendor's prefix and random characters: a token, whoever has issued it.
_PREFIXED = re.compile(
    r"(?<=[\"'`])(?!sha|md5|rev|commit|hash|digest|etag)[A-Za-z]{2,12}(?:[_.-][a-z]{2,6}\d{0,2}){0,2}[_.-](?P<random>[A-Za-z0-9]{32,120})(?=[\"'`])"
)
#: detect-secrets' detectors of formats. That of npm takes quadratic time: its tokens are above.
_DETECTORS = (
    "aws.AWSKeyDetector",
    "azure_storage_key.AzureStorageKeyDetector",
    "discord.DiscordBotTokenDetector",
    "github_token.GitHubTokenDetector",
    "gitlab_token.GitLabTokenDetector",
    "jwt.JwtTokenDetector",
    "mailchimp.MailchimpDetector",
    "openai.OpenAIDetector",
    "pypi_token.PypiTokenDetector",
    "sendgrid.SendGridDetector",
    "slack.SlackDetector",
    "square_oauth.SquareOAuthDetector",
    "stripe.StripeDetector",
    "telegram_token.TelegramBotTokenDetector",
    "twilio.TwilioKeyDetector",
)
_SETTING_SUFFIXES = frozenset(
    {
        ".env",
        ".ini",
        ".cfg",
        ".conf",
        ".properties",
        ".yaml",
        ".yml",
        ".toml",
        ".tfvars",
        ".sh",
        ".envrc",
        ".npmrc",
    }
    | {".pypirc", ".dockerfile", ".service", ".cnf", ".flaskenv"}
)


@dataclass(frozen=True, order=True)
class Secret:
    """Where a secret is in a text. Its value isn't here."""

    #: From 1.
    line: int
    #: Characters of the line, from 0; the last is exclusive.
    start: int
    end: int
    kind: Kind
    confidence: Confidence
    #: Last line of a key that has several.
    end_line: int


def has_settings(path: str) -> bool:
    """Return whether the file may hold settings without quotes, `KEY=value` or `key: value`."""
    pure = PurePosixPath(path.lower())
    # `.npmrc` has no suffix, but is one.
    is_setting = pure.suffix in _SETTING_SUFFIXES or pure.name in _SETTING_SUFFIXES
    return is_setting or pure.name.startswith((".env", "dockerfile")) or pure.stem == "env"


def find_secrets(text: str, path: str) -> list[Secret]:
    """Return the secrets in a file's text, in order, at most one for each place."""
    secrets: list[Secret] = []
    lines = text.split("\n")
    secrets += _find_keys(lines)
    settings, is_pgpass = has_settings(path), PurePosixPath(path).name.endswith("pgpass")
    before = ""
    # A word that the text lacks no line has: most of them are looked for once.
    lower_text = text.lower()
    hint_words = [word for word in _HINT_WORDS if word in lower_text]
    option_words = [word for word in _OPTION_WORDS if word in lower_text]
    for number, line in enumerate(lines, 1):
        if not 8 <= len(line) <= MAX_LINE:
            before = ""
            continue
        lower = line.lower()
        has_hint = _has_one(hint_words, lower) and _HINT.search(line) is not None
        if has_hint:
            secrets += _find_assigned(line, number, settings)
        if "://" in line or ";" in line:
            secrets += _find_logins(line, number)
        if is_pgpass or _has_one(option_words, lower):
            secrets += _find_options(line, lower, number, is_pgpass)
        for opening, rest in ((_OPEN, _ALONE), (_LISTED, _VALUE)):
            if before and (start := opening.match(before)) and (match := rest.match(line)):
                secrets += _judged(match, "value", start["name"], number, "assigned")
        before = line if has_hint else ""
    if PurePosixPath(path.lower()).suffix in _HCL_SUFFIXES:
        secrets += _find_hcl_defaults(lines)
    secrets += _find_tokens(text)
    return list(_without_overlaps(secrets))


def _has_one(words: Sequence[str], text: str) -> bool:
    for word in words:  # noqa: SIM110  # `any` takes three times as long, for each line of each file
        if word in text:
            return True
    return False


def _find_assigned(line: str, number: int, settings: bool) -> Iterator[Secret]:
    if (match := _DJANGO.match(line)) and not is_placeholder(match["value"]) and not is_prose(match["value"]):
        # Django's own keys begin so, and say that they aren't for production: they are secrets all the same.
        yield _secret(number, match.span("value"), "assigned", "high")
    for match in _DEFAULT.finditer(line):
        group = "value" if match["value"] is not None else "value_js"
        judgment = judge(match[group], match["name"] or match["name_js"])
        if judgment != "no":
            yield _secret(number, match.span(group), "environment-default", _confidence(judgment))
    for pattern in (_FALLBACK, _EXPANSION):
        for match in pattern.finditer(line):
            yield from _judged(match, "value", match["name"], number, "environment-default")
    for pattern in (_ASSIGNED, _PAIR, _VARIABLE, _ELEMENT, _COMPARED, *((_SETTING,) if settings else ())):
        for match in pattern.finditer(line):
            yield from _judged(match, "value", match["name"], number, "assigned")


def _judged(match: re.Match[str], group: str, name: str, number: int, kind: Kind) -> Iterator[Secret]:
    """Yield the group of a match as a secret where its value is judged to be one."""
    if match[group] is not None and (judgment := judge(match[group], name)) != "no":
        yield _secret(number, match.span(group), kind, _confidence(judgment))


def _find_options(line: str, lower: str, number: int, is_pgpass: bool) -> Iterator[Secret]:
    """Yield secrets that no name tells: of headers, of commands, of a password file."""
    if "authorization" in lower:
        for match in _HEADER.finditer(line):
            yield from _judged(match, "value", "authorization", number, "assigned")
    if " -" in line:
        for match in _OPTION.finditer(line):
            for group in match.groupdict():
                yield from _judged(match, group, "password", number, "assigned")
        for match in _FLAG.finditer(line):
            yield from _judged(match, "value", match["name"], number, "assigned")
    if any(word in line for word in _PROTOCOL_WORDS):
        for match in _PROTOCOL.finditer(line):
            for group in match.groupdict():
                yield from _judged(match, group, "password", number, "connection-string")
    if "_KEY" in line:
        keys = [*_KEY.finditer(line), *_KEY_SETTING.finditer(line)]
        yield from (_strong(match, number) for match in keys if _is_strong(match))
    if "jwt." in line or "createHmac(" in line:
        yield from (_strong(match, number) for match in _SIGNED.finditer(line) if _is_strong(match))
    if "auth" in lower or "login(" in line:
        for match in _LOGIN_CALL.finditer(line):
            yield from _judged(match, "value", "password", number, "assigned")
    if '"auth"' in line:
        for match in _AUTH.finditer(line):
            if is_login(match["value"]):
                yield _secret(number, match.span("value"), "assigned", "high")
    if is_pgpass and (entry := _PGPASS.match(line)):
        yield from _judged(entry, "value", "password", number, "assigned")


def _is_strong(match: re.Match[str]) -> bool:
    return judge(match["value"]) == "strong"


def _strong(match: re.Match[str], number: int) -> Secret:
    return _secret(number, match.span("value"), "assigned", "high")


def _find_logins(line: str, number: int) -> Iterator[Secret]:
    for match in _URL_LOGIN.finditer(line):
        host = match["host"].lower()
        is_local = host.partition(":")[0] in _LOCAL_HOSTS or "example" in host
        if (judgment := judge(match["value"], "password")) != "no":
            confidence: Confidence = "low" if is_local else _confidence(judgment)
            yield _secret(number, match.span("value"), "connection-string", confidence)
    yield from (_strong(match, number) for match in _PARAMETER.finditer(line) if _is_strong(match))
    for match in _CONNECTION.finditer(line):
        for group in ("value", "value_last"):
            yield from _judged(match, group, "password", number, "connection-string")


def _find_keys(lines: list[str]) -> Iterator[Secret]:
    """Yield private keys in PEM, on lines of their own or inside one string."""
    begin: int | None = None
    for number, line in enumerate(lines, 1):
        if "-----" not in line:
            continue
        if start := KEY_BEGIN.search(line):
            begin = number
            if end := KEY_END.search(line, start.end()):
                if end.start() - start.end() >= _MIN_KEY_CHARS:
                    yield _secret(number, (start.end(), end.start()), "private-key", "high")
                begin = None
        elif KEY_END.search(line) and begin is not None:
            if sum(map(len, lines[begin : number - 1])) >= _MIN_KEY_CHARS:
                yield Secret(begin, 0, len(lines[begin - 1]), "private-key", "high", number)
            begin = None


def _find_hcl_defaults(lines: list[str]) -> Iterator[Secret]:
    """Yield the default values of Terraform's variables whose name tells that they are secrets."""
    for first, line in enumerate(lines, 1):
        variable = _HCL_VARIABLE.match(line) if len(line) <= MAX_LINE else None
        if variable is None or not _TELLING_NAME.match(f"{variable['name']}="):
            continue
        for number, inner in enumerate(lines[first - 1 : first - 1 + _HCL_LINES], first):
            if len(inner) <= MAX_LINE and (match := _HCL_DEFAULT.search(inner)):
                yield from _judged(match, "value", variable["name"], number, "assigned")
            # A block within, as `validation`, is indented.
            if inner.startswith("}") or (number == first and inner.rstrip().endswith("}")):
                break


def _find_tokens(text: str) -> Iterator[Secret]:
    starts: list[int] | None = None
    for pattern in _token_patterns():
        for match in pattern.finditer(text):
            # A group may be the value without what is around it, or no more than its prefix.
            groups = (number for number in range(1, pattern.groups + 1) if len(match[number] or "") >= 12)
            group = next(groups, 0)
            value = match[group]
            if len(value) < 12 or is_placeholder(value) or not is_token(value):
                continue
            if starts is None:
                starts = [0, *(newline.end() for newline in re.finditer("\n", text))]
            yield _at(starts, match.span(group), _token_confidence(value))
    for match in _PREFIXED.finditer(text):
        if is_random_mix(match["random"]) or is_random_hex(match["random"]):
            starts = starts or [0, *(newline.end() for newline in re.finditer("\n", text))]
            yield _at(starts, match.span(), "medium")


def _token_confidence(value: str) -> Confidence:
    # A JSON web token may be an expired one of a document.
    return "medium" if value.startswith("ey") else "high"


def _at(starts: list[int], span: tuple[int, int], confidence: Confidence) -> Secret:
    from bisect import bisect_right

    line = bisect_right(starts, span[0])
    offset = starts[line - 1]
    return _secret(line, (span[0] - offset, span[1] - offset), "provider-token", confidence)


@lru_cache(maxsize=1)
def _token_patterns() -> tuple[re.Pattern[str], ...]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    wanted = {name.rpartition(".")[2] for name in _DETECTORS}
    mapping: dict[str, Any] = get_mapping_from_secret_type_to_class()
    kinds = {str(kind.__name__): kind for kind in mapping.values()}
    patterns = [pattern for name in sorted(wanted & kinds.keys()) for pattern in kinds[name].denylist]
    return (*patterns, _MORE_TOKENS)


def _confidence(judgment: Judgment) -> Confidence:
    return "high" if judgment == "strong" else "medium"


def _secret(line: int, span: tuple[int, int], kind: Kind, confidence: Confidence) -> Secret:
    return Secret(line, *span, kind, confidence, line)


def _without_overlaps(secrets: list[Secret]) -> Iterator[Secret]:
    """Yield the secrets in order; of two that overlap, the one that begins first and is the longer."""
    last: Secret | None = None
    for secret in sorted(secrets, key=lambda item: (item.line, item.start, -item.end, item.kind)):
        if (
            last is not None
            and secret.line <= last.end_line
            and (secret.line != last.line or secret.start < last.end)
        ):
            continue
        yield secret
        last = secret
