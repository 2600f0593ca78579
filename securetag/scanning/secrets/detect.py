"""Find secrets in the text of one file, whatever its format.

detect-secrets knows the formats of issued tokens. Its detectors by keyword and by entropy are left out: they
report names, hashes and messages; what is assigned to a telling name is judged in `judge` instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Literal

from securetag.records import Confidence
from securetag.scanning.secrets.judge import Judgment, is_placeholder, judge

Kind = Literal["private-key", "provider-token", "connection-string", "environment-default", "assigned"]

#: Characters of a line in which assignments are looked for; a longer one is data or minified.
MAX_LINE = 5_000

TELLING = (
    r"(?:pass(?:word|wd|phrase)|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?key"
    r"|signing[_-]?key|encryption[_-]?key|account[_-]?key|license[_-]?key|credentials?|pepper|salt)"
)
#: What a longer name says about the secret without holding it.
_ABOUT = (
    r"(?![\w-]{0,40}(?:type|mode|method|scheme|field|header|label|class|ur[il]|path|file(?:name)?|dir|length|name"
    r"|expir\w+|ttl|policy|regex|pattern|algorithm|hasher|backend|form|page|view|template|prefix|text|id|help|chars|alphabet"
    r"|message|error|limit|size|count|env|var|validators?|placeholder)[\"'\\]{0,2}\]?\s*[:=,])"
)
_HINT = re.compile(TELLING, re.IGNORECASE)
_NAME = rf"(?P<name>[\w.-]{{0,64}}{TELLING}{_ABOUT}[\w-]{{0,64}})"
#: `\\"` is a quote inside a notebook or another JSON string.
_QUOTED = r"[rbuf]{0,2}(?P<quote>\\?[\"'`])(?P<value>(?:(?!(?P=quote))[^\n\\]){3,500})(?P=quote)"
_ASSIGNED = re.compile(
    rf"(?i)(?<![\w-]){_NAME}"
    rf"(?:\\?[\"']?\]?[ \t]*(?::[ \t]*[\w.\[\]| ]{{1,40}}=|[:=]|=>))[ \t]*{_QUOTED}"
)
#: A value that counts where the environment has none: `os.environ.get("KEY", "…")`, `process.env.KEY || "…"`.
_DEFAULT = re.compile(
    rf"(?i)(?:environ\.get|getenv|env(?:\.\w+)?|config)\(\s*\\?[\"'](?P<name>[\w.-]{{0,64}}{TELLING}[\w.-]{{0,64}})"
    rf"\\?[\"']\s*,\s*(?:default\s*=\s*)?{_QUOTED}"
    rf"|process\.env(?:\.|\[\\?[\"'])(?P<name_js>\w{{0,64}}{TELLING}\w{{0,64}})(?:\\?[\"']\])?\s*(?:\|\||\?\?)\s*"
    r"(?P<quote_js>\\?[\"'`])(?P<value_js>(?:(?!(?P=quote_js))[^\n\\]){3,500})(?P=quote_js)"
)
#: A setting of a file that needs no quotes.
_SETTING = re.compile(
    rf"(?i)^[ \t]*(?:export[ \t]+|set[ \t]+|-[ \t]+)?{_NAME}[ \t]*(?:=|:[ \t])[ \t]*"
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
)
#: Of a developer's machine or of a compose file, whose passwords are often of no use elsewhere.
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "db", "postgres", "mysql", "redis", "mongo", "rabbitmq"})
KEY_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
KEY_END = re.compile(r"-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
#: Characters of a key's base64 below which it is a stump, as tests have it.
_MIN_KEY_CHARS = 100
_MORE_TOKENS = re.compile(
    r"\b(?:AIza[\w-]{35}|hf_[A-Za-z0-9]{30,}|dop_v1_[a-f0-9]{64}|sk-ant-[\w-]{30,}|GOCSPX-[\w-]{28}|xapp-\d-[\w-]{20,}"
    r"|shp(?:at|ss|ca)_[a-f0-9]{32}|gl(?:pat|rt|dt)-[\w-]{20,}|github_pat_\w{60,}|whsec_\w{24,}|SG\.[\w-]{22}\.[\w-]{43}"
    r"|npm_[A-Za-z0-9]{36}|stk_[A-Za-z0-9]{12}_[A-Za-z0-9]{43})"
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
    | {".pypirc", ".dockerfile", ".service", ".cnf"}
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
    return (
        pure.suffix in _SETTING_SUFFIXES or pure.name.startswith((".env", "dockerfile")) or pure.stem == "env"
    )


def find_secrets(text: str, path: str) -> list[Secret]:
    """Return the secrets in a file's text, in order, at most one for each place."""
    secrets: list[Secret] = []
    lines = text.split("\n")
    secrets += _find_keys(lines)
    settings = has_settings(path)
    for number, line in enumerate(lines, 1):
        if len(line) < 8:
            continue
        short = len(line) <= MAX_LINE
        if short and _HINT.search(line):
            secrets += _find_assigned(line, number, settings)
        if short and ("://" in line or ";" in line):
            secrets += _find_logins(line, number)
    secrets += _find_tokens(text)
    return list(_without_overlaps(secrets))


def _find_assigned(line: str, number: int, settings: bool) -> Iterator[Secret]:
    if (match := _DJANGO.match(line)) and not is_placeholder(match["value"]):
        # Django's own keys begin so, and say that they aren't for production: they are secrets all the same.
        yield _secret(number, match.span("value"), "assigned", "high")
    for match in _DEFAULT.finditer(line):
        group = "value" if match["value"] is not None else "value_js"
        judgment = judge(match[group], match["name"] or match["name_js"])
        if judgment != "no":
            yield _secret(number, match.span(group), "environment-default", _confidence(judgment))
    for pattern in (_ASSIGNED, *((_SETTING,) if settings else ())):
        for match in pattern.finditer(line):
            if (judgment := judge(match["value"], match["name"])) != "no":
                yield _secret(number, match.span("value"), "assigned", _confidence(judgment))


def _find_logins(line: str, number: int) -> Iterator[Secret]:
    for match in _URL_LOGIN.finditer(line):
        host = match["host"].lower()
        is_local = host.partition(":")[0] in _LOCAL_HOSTS or "example" in host
        if (judgment := judge(match["value"], "password")) != "no":
            confidence: Confidence = "low" if is_local else _confidence(judgment)
            yield _secret(number, match.span("value"), "connection-string", confidence)
    for match in _CONNECTION.finditer(line):
        if (judgment := judge(match["value"], "password")) != "no":
            yield _secret(number, match.span("value"), "connection-string", _confidence(judgment))


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


def _find_tokens(text: str) -> Iterator[Secret]:
    starts: list[int] | None = None
    for pattern in _token_patterns():
        for match in pattern.finditer(text):
            group = next((n for n in range(1, (pattern.groups or 0) + 1) if match[n]), 0)
            value = match[group]
            if len(value) < 12 or is_placeholder(value) or not any(c.isdigit() for c in value):
                continue
            if starts is None:
                starts = [0, *(newline.end() for newline in re.finditer("\n", text))]
            yield _at(starts, match.span(group), _token_confidence(value))


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
