"""Secrets, addresses and names as their issuers publish them, planted in lines of code and settings.

Shares nothing with the scrubber: no pattern, no list, no import; not even `re`. Each kind is written
after the issuer's own page, so that a scrubber that forgets a format fails here.
"""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple

UPPER, LOWER, DIGITS = string.ascii_uppercase, string.ascii_lowercase, string.digits
ALNUM = UPPER + LOWER + DIGITS
BASE64, URL_SAFE, HEX = ALNUM + "+/", ALNUM + "-_", "0123456789abcdef"
BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"

Make = Callable[[Random], str]


class Planted(NamedTuple):
    """A small file with one thing in it that may not leave."""

    kind: str
    #: The parts of which none may be left.
    secret: str
    text: str


def _of(alphabet: str, *lengths: int) -> Make:
    return lambda rng: "".join(rng.choice(alphabet) for _ in range(rng.choice(lengths)))


def _joined(*parts: str | Make) -> Make:
    return lambda rng: "".join(part if isinstance(part, str) else part(rng) for part in parts)


def _either(*ways: Make) -> Make:
    return lambda rng: rng.choice(ways)(rng)


def _ending(names: str) -> Make:
    return lambda rng: rng.choice(names.split())


def word(rng: Random) -> str:
    """A word that nobody knows, of two to four syllables."""
    return "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4)))


def _password(rng: Random) -> str:
    return rng.choice(
        [
            word(rng) + str(rng.randint(10, 9999)),
            word(rng).title() + rng.choice("!#*?") + str(rng.randint(1, 99)),
            word(rng) + "-" + word(rng) + "-" + word(rng),
            _of(ALNUM, 12, 16, 20)(rng),
        ]
    )


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _jwt(rng: Random) -> str:
    head, body = {"alg": "HS256", "typ": "JWT"}, {"sub": _of(DIGITS, 8)(rng), "name": word(rng)}
    return ".".join([*(_encoded(json.dumps(part).encode()) for part in (head, body)), _of(URL_SAFE, 43)(rng)])


def _pem_body(rng: Random) -> str:
    return "\n".join([*(_of(BASE64, 64)(rng) for _ in range(3)), _of(BASE64, 20)(rng) + "=="])


#: Places for a token that stands by itself; `@@` is where.
TOKEN = (
    'client = connect("@@")', "client = connect('@@', retries=3)", "# old token: @@", "export API_TOKEN=@@",
    '    "token": "@@",', "token: @@", "curl -H 'Authorization: Bearer @@' $URL", "headers['X-Key'] = `@@`",
    'get(f"https://api.example.com/v1?key=@@&page=2")', "TOKENS = ['@@', fallback]",
)  # fmt: skip
NAMED = (
    'password = "@@"', "PASSWORD: Final = '@@'", '{"user": name, "password": "@@"}', "db_password: @@",
    "DB_PASSWORD=@@", "login(name, passwd='@@')", "config['SECRET_KEY'] = '@@'",
    "spring.datasource.password=@@",
    'secret := "@@"', "String clientSecret = \"@@\";", "$password = '@@';", "<password>@@</password>",
    'os.environ.setdefault("API_SECRET", "@@")', "mysql --user=app --password=@@ shop",
    "if password == '@@':",
)  # fmt: skip

#: Kind → (secret, places). The comment names the page that publishes the form.
SECRETS: Mapping[str, tuple[Make, tuple[str, ...]]] = {
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    "AWS access key id": (
        _joined(_either(lambda _: "AKIA", lambda _: "ASIA"), _of(UPPER + "234567", 16)),
        TOKEN,
    ),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html
    "AWS secret access key": (
        _of(BASE64, 40),
        (
            'aws_secret_access_key = "@@"',
            "AWS_SECRET_ACCESS_KEY=@@",
            'boto3.client("s3", key_id, "@@")',
            "aws_secret_access_key: @@",
        ),
    ),
    # https://github.blog/changelog/2021-03-31-authentication-token-format-updates-are-generally-available
    "GitHub token": (
        _joined(lambda r: r.choice(["ghp_", "gho_", "ghu_", "ghs_", "ghr_"]), _of(ALNUM, 36)),
        TOKEN,
    ),
    # https://github.blog/security/application-security/introducing-fine-grained-personal-access-tokens-for-github
    "GitHub fine-grained token": (_joined("github_pat_", _of(ALNUM, 22), "_", _of(ALNUM, 59)), TOKEN),
    # https://docs.gitlab.com/security/tokens/#token-prefixes
    "GitLab token": (
        _joined(lambda r: r.choice(["glpat-", "gldt-", "glrt-", "glptt-", "gloas-"]), _of(URL_SAFE, 20)),
        TOKEN,
    ),
    # https://docs.slack.dev/authentication/tokens
    "Slack token": (
        _either(
            _joined("xoxb-", _of(DIGITS, 12), "-", _of(DIGITS, 13), "-", _of(ALNUM, 24)),
            _joined("xoxp-", _of(DIGITS, 12), "-", _of(DIGITS, 12), "-", _of(HEX, 32)),
            _joined("xapp-1-A", _of(UPPER + DIGITS, 10), "-", _of(DIGITS, 13), "-", _of(HEX, 64)),
        ),
        TOKEN,
    ),
    # https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
    "Slack webhook": (
        _joined("T", _of(UPPER + DIGITS, 8), "/B", _of(UPPER + DIGITS, 8), "/", _of(ALNUM, 24)),
        (
            'post("https://hooks.slack.com/services/@@", body)',
            "SLACK_URL=https://hooks.slack.com/services/@@",
        ),
    ),
    # https://docs.stripe.com/keys and https://docs.stripe.com/webhooks
    "Stripe key": (
        _joined(lambda r: r.choice(["sk_live_", "sk_test_", "rk_live_", "whsec_"]), _of(ALNUM, 24, 32, 99)),
        TOKEN,
    ),
    # https://cloud.google.com/docs/authentication/api-keys and …/oauth2
    "Google key": (
        _either(
            _joined("AIza", _of(URL_SAFE, 35)),
            _joined("GOCSPX-", _of(URL_SAFE, 28)),
            _joined("ya29.", _of(URL_SAFE, 60)),
        ),
        TOKEN,
    ),
    # https://www.twilio.com/docs/sendgrid/ui/account-and-settings/api-keys
    "SendGrid key": (_joined("SG.", _of(URL_SAFE, 22), ".", _of(URL_SAFE, 43)), TOKEN),
    # https://github.blog/changelog/2021-09-23-npm-has-a-new-access-token-format/
    "npm token": (_joined("npm_", _of(ALNUM, 36)), (*TOKEN, "//npm.example.org/:_authToken=@@")),
    # A macaroon (https://research.google/pubs/pub41892/), its location encoded in front
    "PyPI token": (
        _joined("pypi-AgEIcHlwaS5vcmcC", _of(URL_SAFE, 120)),
        (*TOKEN, "password = @@"),
    ),
    # RFC 7519
    "JWT": (_jwt, (*TOKEN, 'cookies = {"session": "@@"}')),
    # RFC 7468
    "private key": (
        _pem_body,
        tuple(
            f"{before}-----BEGIN {kind}PRIVATE KEY-----\n@@\n-----END {kind}PRIVATE KEY-----{after}"
            for kind in ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ")
            for before, after in (("", ""), ('KEY = """', '"""'), ("key: |\n  ", ""))
        ),
    ),
    # RFC 3986, section 3.2.1
    "password in a URL": (
        _password,
        (
            'create_engine("postgresql://shop:@@@localhost:5432/x")',
            "REDIS_URL=redis://:@@@localhost:6379/0",
            "git clone https://robot:@@@localhost/a.git",
            "amqp://guest:@@@localhost//",
        ),
    ),
    # RFC 7617
    "HTTP Basic": (
        lambda rng: base64.b64encode(f"{word(rng)}:{_password(rng)}".encode()).decode(),
        (
            'headers = {"Authorization": "Basic @@"}',
            "curl -H 'Authorization: Basic @@' $URL",
            "req.setHeader('Authorization', 'Basic @@')",
        ),
    ),
    # https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
    "Azure storage key": (
        lambda rng: base64.b64encode(rng.randbytes(64)).decode(),
        (
            '"DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=@@;EndpointSuffix=core.windows.net"',
            "AccountKey=@@",
            'TableService(account_name, "@@")',
        ),
    ),
    # https://core.telegram.org/bots/api#authorizing-your-bot
    "Telegram bot token": (
        _joined(_of("123456789", 9, 10), ":AA", _of(URL_SAFE, 33)),
        (*TOKEN, 'get("https://api.telegram.org/bot@@/getMe")'),
    ),
    # https://platform.openai.com/docs/api-reference/authentication, https://docs.claude.com/en/api/overview
    "model provider key": (
        _either(
            _joined("sk-proj-", _of(URL_SAFE, 74), "T3BlbkFJ", _of(URL_SAFE, 74)),
            _joined("sk-", _of(ALNUM, 20), "T3BlbkFJ", _of(ALNUM, 20)),
            _joined("sk-ant-api03-", _of(URL_SAFE, 93), "AA"),
            _joined("hf_", _of(UPPER + LOWER, 34)),
        ),
        TOKEN,
    ),
    # https://developer.hashicorp.com/vault/docs/concepts/tokens#token-prefixes
    "Vault token": (_joined(lambda r: r.choice(["hvs.", "hvb."]), _of(URL_SAFE, 24, 90)), TOKEN),
    # https://discord.com/developers/docs/reference#authentication
    "Discord bot token": (
        _joined(
            lambda r: _encoded(_of("123456789", 18)(r).encode()),
            ".",
            _of(URL_SAFE, 6),
            ".",
            _of(URL_SAFE, 38),
        ),
        (*TOKEN, "bot.run('@@')"),
    ),
    # https://github.com/C2SP/C2SP/blob/main/age.md
    "age key": (_joined("AGE-SECRET-KEY-1", _of(BECH32, 58)), TOKEN),
    # https://www.twilio.com/docs/iam/api-keys
    "Twilio key": (_joined("SK", _of(HEX, 32)), TOKEN),
    "signing key in hex": (
        _of(HEX, 40, 64),
        ('SIGNING_KEY = "@@"', 'hmac.new(b"@@", body, sha256)', "SECRET_KEY=@@", 'key = "@@"'),
    ),
    "password": (_password, NAMED),
}

#: What names a person or a machine.
IDENTITIES: Mapping[str, tuple[Make, tuple[str, ...]]] = {
    # RFC 5321
    "e-mail address": (
        _joined(
            word, lambda r: r.choice([".", "_", "-", ""]), word, "@", word, _ending(".com .es .co.uk .io")
        ),
        ("# ask @@", 'send("@@", body)', "Author: X <@@>", "mailto:@@", "ADMINS = [('x', '@@')]"),
    ),
    # RFC 1123
    "hostname": (
        _joined(word, _of("123456789", 1), ".", word, _ending(".internal .corp .lan .com .es .net .io")),
        (
            'connect("@@", 5432)',
            'get("https://@@/orders")',
            "DB_HOST=@@",
            "# runs on @@ since May",
            "host: @@",
            "ALLOWED_HOSTS = ['@@']",
            "jdbc:postgresql://@@:5432/shop",
            "proxy_pass http://@@:8080;",
        ),
    ),
    # RFC 1918
    "IP address": (
        lambda rng: f"10.{rng.randint(1, 254)}.{rng.randint(1, 254)}.{rng.randint(1, 254)}",
        ('bind("@@")', "# @@ is the gateway", "http://@@:8000/x", "HOSTS = ['@@']", "host=@@"),
    ),
    "user name": (
        word,
        (
            'open("/home/@@/notes.txt")',
            "C:\\Users\\@@\\x",
            "ssh @@@localhost",
            '"/Users/@@/work"',
            "username = '@@'",
            "# TODO(@@): later",
            "@author @@",
            '{"login": "@@"}',
            "https://github.com/@@/shop",
            "cd ~@@/src",
            "DB_USER=@@",
            "chown @@:www-data x",
        ),
    ),
}


def planted(kinds: Mapping[str, tuple[Make, tuple[str, ...]]], seed: int, each: int) -> list[Planted]:
    """`each` small files of every kind, its places in turn."""
    found = []
    for number, (kind, (make, places)) in enumerate(kinds.items()):
        rng = Random(f"{seed}/{number}")
        first = rng.randrange(len(places))
        for turn in range(each):
            secret = make(rng)
            line = places[(first + turn) % len(places)].replace("@@", secret)
            found.append(Planted(kind, secret, f"def f(request):\n    x = 1\n{line}\nreturn x\n"))
    return found


def survivors(cases: list[Planted], scrub: Callable[[str], str]) -> list[Planted]:
    """The cases of which something is still there: the secret, or, of several lines, any of them."""
    return [
        case
        for case in cases
        if any(part in scrub(case.text) for part in case.secret.split("\n") if len(part) > 3)
    ]
