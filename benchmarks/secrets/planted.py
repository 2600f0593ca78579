"""Made-up secrets in the files that people write them into: what is planted, and where.

Values are drawn at run time and open nothing. The forms were written down before the first measurement;
`is_unread` says which half of them nobody looked at while the scanner was changed.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ALNUM = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits
UPPER = string.ascii_uppercase + string.digits
HEX = string.hexdigits[:16]
URLSAFE = ALNUM + "-_"
#: Of Django's own generator of keys.
DJANGO = "abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)"
JOINS, ENDS = ("", "-", "_"), ("", "!")
_WORDS = ("copper", "lantern", "winter", "harbor", "saddle", "pepper", "meadow", "rocket", "violet", "timber")


class Draw:
    """Values that look like those that services issue and people type."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def text(self, length: int, alphabet: str = ALNUM) -> str:
        """Return random characters, of which one is a digit where the alphabet has digits."""
        drawn = [self.rng.choice(alphabet) for _ in range(length)]
        if set(alphabet) & set(string.digits):
            drawn[length // 2] = self.rng.choice(string.digits[2:])
        return "".join(drawn)

    def hex(self, length: int) -> str:
        return self.text(length, HEX)

    def base64(self, length: int) -> str:
        """Return `length` characters of base64 without padding."""
        return base64.b64encode(self.rng.randbytes(length)).decode()[:length]

    def password(self) -> str:
        """Return what a person types: two words, a digit or two, perhaps a sign."""
        first, second = self.rng.sample(_WORDS, 2)
        return (
            f"{first.title()}{self.rng.choice(JOINS)}{second}{self.rng.randint(2, 98)}{self.rng.choice(ENDS)}"
        )

    def django(self) -> str:
        """Return a key of Django with a dollar sign in it, as a reference has one."""
        drawn = self.text(50, DJANGO.replace("#", ""))
        return f"{drawn[:20]}$x{drawn[22:]}"

    def uuid(self) -> str:
        drawn = self.hex(32)
        return "-".join([drawn[:8], drawn[8:12], drawn[12:16], drawn[16:20], drawn[20:]])

    def key(self, label: str) -> str:
        """Return a private key in PEM: random bytes, no key."""
        encoded = base64.b64encode(self.rng.randbytes(600)).decode()
        lines = [encoded[at : at + 64] for at in range(0, len(encoded), 64)]
        return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----"])


#: Returns (text of the file, value); the value's first line is the place.
Write = Callable[[Draw], tuple[str, str]]


@dataclass(frozen=True)
class Form:
    """One way of writing a secret down."""

    kind: str
    path: str
    write: Write
    is_unread: bool = False


def _line(template: str, value: Callable[[Draw], str], before: str = "") -> Write:
    """Return a writer of a file with one line, of which `@` is the value."""

    def write(draw: Draw) -> tuple[str, str]:
        drawn = value(draw)
        return before + template.replace("@", drawn, 1) + "\n", drawn

    return write


def _prefixed(prefix: str, length: int, alphabet: str = ALNUM, suffix: str = "") -> Callable[[Draw], str]:
    return lambda draw: prefix + draw.text(length, alphabet) + suffix


def _encoded(draw: Draw) -> str:
    return base64.b64encode(draw.password().encode()).decode()


def _login(draw: Draw) -> str:
    return base64.b64encode(f"ci:{draw.password()}".encode()).decode()


def _key64(draw: Draw) -> str:
    return base64.b64encode(draw.rng.randbytes(64)).decode()


def _jwt(draw: Draw) -> str:
    parts = (b'{"alg":"HS256","typ":"JWT"}', json.dumps({"sub": draw.text(8), "exp": 1}).encode())
    head = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts]
    return ".".join([*head, draw.text(43, URLSAFE)])


def _slack_hook(draw: Draw) -> str:
    return f"https://hooks.slack.com/services/T{draw.text(8, UPPER)}/B{draw.text(8, UPPER)}/{draw.text(24)}"


def _slack(kind: str, length: int) -> Callable[[Draw], str]:
    numbers = "123456789"
    return lambda draw: f"{kind}-{draw.text(12, numbers)}-{draw.text(12, numbers)}-{draw.text(length)}"


def _openai(kind: str) -> Callable[[Draw], str]:
    return lambda draw: f"sk-{kind}-{draw.text(60, URLSAFE)}T3BlbkFJ{draw.text(60, URLSAFE)}"


def _password(draw: Draw) -> str:
    return draw.password()


def _random32(draw: Draw) -> str:
    return draw.text(32)


def _base64_40(draw: Draw) -> str:
    return draw.base64(40)


def _hex64(draw: Draw) -> str:
    return draw.hex(64)


def _django(draw: Draw) -> str:
    return draw.django()


def _pem(path: str, label: str, wrap: Callable[[str], str]) -> Form:
    def write(draw: Draw) -> tuple[str, str]:
        key = draw.key(label)
        return wrap(key), key.split("\n")[0]

    return Form("PEM", path, write)


def _cell(line: str, value: Callable[[Draw], str]) -> Form:
    def write(draw: Draw) -> tuple[str, str]:
        drawn = value(draw)
        source = ["import os\n", line.replace("@", drawn, 1) + "\n"]
        cell = {"cell_type": "code", "source": source, "outputs": [], "metadata": {}}
        return json.dumps({"cells": [cell], "nbformat": 4, "nbformat_minor": 5}, indent=1), drawn

    return Form("notebook", "analysis.ipynb", write)


def _forms_of(kind: str, *entries: tuple[str, str, Callable[[Draw], str]]) -> list[Form]:
    return [Form(kind, path, _line(template, value)) for path, template, value in entries]


FILES = [
    *_forms_of(
        ".env",
        (".env", "DB_PASSWORD=@", _password),
        (".env", "SECRET_KEY=@", _django),
        (".env", 'API_KEY="@"', _random32),
        (".env.production", "export STRIPE_SECRET_KEY=@", _prefixed("sk_live_", 24)),
        (".env", "DATABASE_URL=postgres://shop:@@sql.internal:5432/shop", _password),
        (".env", "JWT_SECRET='@'", lambda draw: draw.base64(44)),
        (".env", "SMTP_PASS=@", _password),
        (".env", "AWS_SECRET_ACCESS_KEY=@", _base64_40),
        (".env", "REDIS_URL=redis://:@@cache.internal:6379/0", _password),
        (".env", "SENTRY_AUTH_TOKEN=@", _hex64),
        (".env", "ADMIN_PASSWORD = @  # of the first user", _password),
        (".flaskenv", "FLASK_SECRET=@", lambda draw: draw.hex(32)),
    ),
    *_forms_of(
        "YAML",
        ("k8s/secret.yaml", "stringData:\n  password: @", _password),
        ("k8s/secret.yaml", "kind: Secret\ndata:\n  password: @", _encoded),
        ("docker-compose.yml", "    environment:\n      - POSTGRES_PASSWORD=@", _password),
        ("docker-compose.yml", "    environment:\n      MYSQL_ROOT_PASSWORD: @", _password),
        ("chart/values.yaml", 'apiKey: "@"', _random32),
        (".github/workflows/ci.yml", "        env:\n          NPM_TOKEN: @", _prefixed("npm_", 36)),
        ("inventory/group_vars/all.yml", "ansible_ssh_pass: '@'", _password),
        ("config/secrets.yml", "production:\n  secret_key_base: @", lambda draw: draw.hex(128)),
        ("serverless.yml", "  environment:\n    JWT_SECRET: @", _random32),
        ("oauth.yaml", "client_secret: @", lambda draw: draw.text(40, URLSAFE)),
        ("app.yml", "spring:\n  datasource:\n    password: @", _password),
        ("app.yml", "mail: {user: info, password: '@'}", _password),
    ),
    *_forms_of(
        "JSON",
        ("appsettings.json", '{"Default": "Server=db1;Database=shop;User Id=sa;Password=@;"}', _password),
        ("config.json", '{\n  "clientSecret": "@"\n}', lambda draw: draw.text(40, URLSAFE)),
        ("config.json", '{"db": {"user": "x", "password": "@"}, "port": 3}', _password),
        ("google-services.json", '{"current_key": "@"}', _prefixed("AIza", 35, URLSAFE)),
        ("aws.json", '{"accessKeyId": "x", "secretAccessKey": "@"}', _base64_40),
        ("auth.json", '{"github-oauth": {"github.com": "@"}}', _prefixed("ghp_", 36)),
        ("docker/config.json", '{"auths": {"r.io": {"auth": "@"}}}', _login),
        ("launch.json", '{"env": {"API_TOKEN": "@"}}', _random32),
        ("settings.json", '{"passphrase" : "@"}', _password),
        ("app.json", '{"jwt": {"secret": "@"}}', _random32),
    ),
    _pem("id_rsa", "RSA PRIVATE KEY", lambda key: key + "\n"),
    _pem("server.pem", "PRIVATE KEY", lambda key: key + "\n"),
    _pem("ec.key", "EC PRIVATE KEY", lambda key: key + "\n"),
    _pem("id_ed25519", "OPENSSH PRIVATE KEY", lambda key: key + "\n"),
    _pem("backup.asc", "PGP PRIVATE KEY BLOCK", lambda key: key.replace("-\n", "-\nVersion: 2\n\n", 1)),
    _pem("keys.py", "RSA PRIVATE KEY", lambda key: f'KEY = """{key}"""\n'),
    _pem("keys.js", "PRIVATE KEY", lambda key: "const key = '" + key.replace("\n", "\\n") + "';\n"),
    _pem("tls.yaml", "PRIVATE KEY", lambda key: "key: |\n  " + key.replace("\n", "\n  ") + "\n"),
    _pem("account.json", "PRIVATE KEY", lambda key: json.dumps({"private_key": key + "\n"})),
    _pem("encrypted.pem", "ENCRYPTED PRIVATE KEY", lambda key: key + "\n"),
    _pem("Keys.java", "PRIVATE KEY", lambda key: 'String K = "' + key.replace("\n", '\\n" +\n"') + '";\n'),
    _cell("api_key = '@'", _random32),
    _cell("os.environ['OPENAI_API_KEY'] = '@'", _prefixed("sk-", 48)),
    _cell('engine = create_engine("mysql://root:@@10.0.0.5/shop")', _password),
    _cell("%env API_TOKEN=@", _random32),
    _cell('client = Client(token="@")', _random32),
    _cell("!curl -H 'Authorization: Bearer @' https://api.acme.io", lambda draw: draw.text(40)),
]

SETTINGS = [
    *_forms_of(
        "Django key",
        ("settings.py", "SECRET_KEY = '@'", _django),
        ("settings.py", 'SECRET_KEY = "@"', lambda draw: "django-insecure-" + draw.django()),
        ("settings.py", "SECRET_KEY: str = '@'", _django),
        ("settings.py", 'SECRET_KEY = os.environ.get("SECRET_KEY", "@")', _django),
        ("settings.py", "SECRET_KEY = env('SECRET_KEY', default='@')", _django),
        ("settings.py", "SECRET_KEY = config('DJANGO_SECRET', default='@')", _django),
        ("settings.py", "SECRET_KEY = (\n    '@'\n)", _django),
        ("settings.py", "    SECRET_KEY = r'@'", _django),
        ("settings.py", "SECRET_KEY = os.getenv('KEY') or '@'", _django),
        ("local_settings.py", "SECRET_KEY='@' # noqa", _django),
    ),
    *_forms_of(
        "environment default",
        ("app.py", 'token = os.environ.get("API_TOKEN", "@")', _random32),
        ("app.py", "PASSWORD = os.getenv('DB_PASSWORD', '@')", _password),
        ("app.py", "os.environ.setdefault('AWS_SECRET_ACCESS_KEY', '@')", _base64_40),
        ("app.py", "secret = os.environ.get('JWT_SECRET') or '@'", _random32),
        ("app.py", 'key = env.str("STRIPE_KEY", "@")', _random32),
        ("app.py", 'db_password: str = Field("@", env="DB_PASSWORD")', _password),
        ("app.js", "const secret = process.env.JWT_SECRET || '@';", _random32),
        ("app.ts", 'const key = process.env["API_KEY"] ?? "@";', _random32),
        ("app.mjs", "const { DB_PASSWORD = '@' } = process.env;", _password),
        ("run.sh", 'DB_PASSWORD="${DB_PASSWORD:-@}"', _password),
        ("docker-compose.yml", "      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:-@}", _password),
        ("config.rb", "password = ENV.fetch('DB_PASSWORD', '@')", _password),
        ("application.yml", "    password: ${DB_PASSWORD:@}", _password),
        ("app.php", "'key' => env('APP_SECRET', '@'),", _random32),
    ),
    *_forms_of(
        "connection string",
        ("db.py", "URL = 'postgresql://shop:@@db1.internal/shop'", _password),
        ("db.py", "engine = create_engine('mysql+pymysql://shop:@@10.1.2.3:3306/shop')", _password),
        ("db.js", "mongoose.connect('mongodb+srv://admin:@@cluster0.abcde.mongodb.net/shop')", _password),
        ("celery.py", "broker_url = 'amqp://worker:@@mq.internal:5672//'", _password),
        ("cache.py", 'redis.from_url("redis://:@@cache.internal:6379/1")', _password),
        ("Db.cs", 'var c = "Server=db1;Database=shop;User Id=sa;Password=@;";', _password),
        ("Db.java", 'String u = "jdbc:mysql://db1:3306/shop?user=shop&password=@";', _password),
        ("db.py", 'pyodbc.connect("DRIVER={ODBC};SERVER=db1;UID=sa;PWD=@")', _password),
        ("blob.py", 'C = "EndpointsProtocol=https;AccountName=a;AccountKey=@;EndpointSuffix=x"', _key64),
        ("mail.py", "URL = 'smtp://info:@@mail.acme.io:587'", _password),
        ("install.sh", "git clone https://deploy:@@git.acme.io/shop.git", _prefixed("", 30)),
        ("db.py", "conn = psycopg.connect('host=db1 user=shop password=@ dbname=shop')", _password),
        ("db.go", 'dsn := "shop:@@tcp(db1:3306)/shop"', _password),
        ("bus.cs", '"Endpoint=sb://x.net/;SharedAccessKeyName=Root;SharedAccessKey=@"', _key64),
    ),
]

_TOKENS: list[tuple[str, Callable[[Draw], str]]] = [
    ("aws_id", _prefixed("AKIA", 16, string.ascii_uppercase + "234567")),
    ("github", _prefixed("ghp_", 36)),
    ("github_fine", lambda d: f"github_pat_{d.text(22)}_{d.text(59)}"),
    ("gitlab", _prefixed("glpat-", 20)),
    ("slack", _slack("xoxb", 24)),
    ("slack_hook", _slack_hook),
    ("stripe", _prefixed("sk_live_", 24)),
    ("stripe_restricted", _prefixed("rk_live_", 24)),
    ("twilio", _prefixed("SK", 32, HEX)),
    ("sendgrid", lambda d: f"SG.{d.text(22, URLSAFE)}.{d.text(43, URLSAFE)}"),
    ("npm", _prefixed("npm_", 36)),
    ("pypi", lambda d: "pypi-AgEIcHlwaS5vcmc" + d.text(80, URLSAFE)),
    ("google", _prefixed("AIza", 35, URLSAFE)),
    ("google_oauth", _prefixed("GOCSPX-", 28, URLSAFE)),
    ("openai", lambda d: f"sk-{d.text(20)}T3BlbkFJ{d.text(20)}"),
    ("openai_project", _openai("proj")),
    ("anthropic", lambda d: f"sk-ant-api03-{d.text(93, URLSAFE)}AA"),
    ("hugging_face", _prefixed("hf_", 34, string.ascii_letters)),
    ("digitalocean", _prefixed("dop_v1_", 64, HEX)),
    ("discord", lambda d: f"M{d.text(23)}.{d.text(6)}.{d.text(27, URLSAFE)}"),
    ("telegram", lambda d: f"{d.text(10, '123456789')}:AA{d.text(33, URLSAFE)}"),
    ("mailgun", _prefixed("key-", 32, HEX)),
    ("mailchimp", _prefixed("", 32, HEX, "-us14")),
    ("square", _prefixed("sq0csp-", 43, URLSAFE)),
    ("shopify", _prefixed("shpat_", 32, HEX)),
    ("databricks", _prefixed("dapi", 32, HEX)),
    ("atlassian", _prefixed("ATATT3xFfGF0", 180, URLSAFE)),
    ("new_relic", _prefixed("NRAK-", 27, UPPER)),
    ("vault", _prefixed("hvs.", 90, URLSAFE)),
    ("grafana", lambda d: f"glsa_{d.text(32)}_{d.hex(8)}"),
    ("linear", _prefixed("lin_api_", 40)),
    ("postman", lambda d: f"PMAK-{d.hex(24)}-{d.hex(34)}"),
    ("terraform", lambda d: f"{d.text(14)}.atlasv1.{d.text(67, URLSAFE)}"),
    ("docker", _prefixed("dckr_pat_", 27, URLSAFE)),
    ("supabase", _prefixed("sbp_", 40, HEX)),
    ("notion", _prefixed("ntn_", 46)),
    ("figma", _prefixed("figd_", 40, URLSAFE)),
    ("planetscale", _prefixed("pscale_tkn_", 43, URLSAFE)),
    ("age", _prefixed("AGE-SECRET-KEY-1", 58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L")),
    ("jwt", _jwt),
    ("doppler", _prefixed("dp.pt.", 43)),
    ("sentry", lambda d: f"sntryu_{d.hex(64)}"),
    ("heroku", lambda d: f"HRKU-{d.uuid()}"),
]

#: A token tells itself what it is, so nothing around it does.
TOKENS = [Form("provider token", f"src/{name}.py", _line("call('@')", value)) for name, value in _TOKENS]

CODE = _forms_of(
    "assigned in code or settings",
    ("a.py", '    "password": "@",', _password),
    ("a.py", "connect(host, password='@')", _password),
    ("a.py", "class C:\n    api_secret = '@'", _random32),
    ("a.py", "HEADERS = {'X-Api-Key': '@'}", _random32),
    ("a.py", "headers = {'Authorization': 'Bearer @'}", lambda draw: draw.text(40)),
    ("a.py", "headers['Authorization'] = 'Basic @'", _login),
    ("a.py", "if form['password'] == '@':", _password),
    ("a.py", "app.secret_key = b'@'", _random32),
    ("a.py", "jwt.encode(payload, '@', algorithm='HS256')", _random32),
    ("a.py", "HEROKU_API_KEY = '@'", lambda draw: draw.uuid()),
    ("a.js", "const config = { dbPassword: '@' };", _password),
    ("a.ts", "const apiKey: string = `@`;", _random32),
    ("a.js", "app.use(session({ secret: '@', resave: false }));", _password),
    ("A.java", 'private static final String PASSWORD = "@";', _password),
    ("a.go", 'password := "@"', _password),
    ("wp-config.php", "define('DB_PASSWORD', '@');", _password),
    ("wp-config.php", "define( 'AUTH_KEY', '@' );", lambda draw: draw.text(64, DJANGO)),
    ("a.php", "'password' => '@',", _password),
    ("a.rb", "config.secret_token = '@'", lambda draw: draw.hex(64)),
    ("main.tf", '  master_password = "@"', _password),
    ("prod.tfvars", 'db_password = "@"', _password),
    ("application.properties", "spring.datasource.password=@", _password),
    (".npmrc", "//registry.acme.io/:_authToken=@", lambda draw: draw.uuid()),
    (".netrc", "machine acme.io login ci password @", _password),
    (".pgpass", "db1:5432:shop:shop:@", _password),
    (".pypirc", "password = @", _password),
    ("web.config", '<add key="ApiKey" value="@" />', _random32),
    ("settings.xml", "<password>@</password>", _password),
    ("deploy.sh", "curl -u ci:@ https://acme.io/deploy", _password),
    ("deploy.sh", "sshpass -p '@' ssh root@10.0.0.4", _password),
    ("deploy.sh", "mysql -u root -p@ shop", _password),
    ("Dockerfile", "ENV API_TOKEN=@", _random32),
    ("Dockerfile", "ENV DB_PASSWORD @", _password),
    ("my.cnf", "password=@", _password),
    ("alembic.ini", "sqlalchemy.url = postgresql://shop:@@db1/shop", _password),
    ("README.md", "Log in as `admin` with password: `@`", _password),
)


#: Written after the scanner had been changed for all of the above, and measured once before it was read.
LATE = _forms_of(
    "late",
    (".env", "TWILIO_AUTH_TOKEN=@", lambda draw: draw.hex(32)),
    (".env", "APP_KEY=base64:@", _key64),
    ("ci.yaml", 'token: "@"', lambda draw: draw.text(40)),
    ("k8s/deployment.yaml", "        - name: DB_PASSWORD\n          value: '@'", _password),
    ("config.toml", '[database]\npassword = "@"', _password),
    ("mail.ini", "[smtp]\npassword: @", _password),
    ("task.json", '{"name": "API_KEY", "value": "@"}', _random32),
    ("A.kt", 'val apiKey = "@"', _random32),
    ("A.swift", 'let clientSecret = "@"', _random32),
    ("a.rs", 'const API_KEY: &str = "@";', _random32),
    ("A.cs", 'client.DefaultRequestHeaders.Add("X-Api-Key", "@");', _random32),
    ("a.py", 'requests.get(url, auth=("admin", "@"))', _password),
    ("a.py", "smtp.login('info', '@')", _password),
    ("a.py", "s3 = boto3.client('s3', aws_secret_access_key='@')", _base64_40),
    ("a.py", "API_TOKENS = ['@']", _random32),
    ("a.js", 'fetch(url, { headers: { "x-api-key": "@" } });', _random32),
    ("a.js", "const pool = new Pool({ user: 'x', password: '@' });", _password),
    ("run.sh", 'export TOKEN="@"', _random32),
    ("run.sh", "kubectl create secret generic db --from-literal=password=@", _password),
    ("run.sh", "helm install db chart --set auth.rootPassword=@", _password),
    ("run.sh", "docker login -u ci -p @ registry.acme.io", _password),
    ("run.ps1", '$password = ConvertTo-SecureString "@" -AsPlainText -Force', _password),
    ("a.py", "URL = 'https://api.acme.io/v1/items?api_key=@'", _random32),
    ("a.html", '<input type="hidden" name="api_key" value="@">', _random32),
    ("A.java", '@Value("${db.password:%}") String password;'.replace("@V", "V").replace("%", "@"), _password),
    ("vars.tf", 'variable "db_password" {\n  type = string\n  default = "@"\n}', _password),
    ("src/airtable.py", "call('@')", lambda draw: f"pat{draw.text(14)}.{draw.hex(64)}"),
    ("src/openai.py", "call('@')", _openai("svcacct")),
    ("src/github.py", "call('@')", _prefixed("ghs_", 36)),
    ("src/slack.py", "call('@')", _slack("xoxp", 32)),
    ("src/digitalocean.py", "call('@')", _prefixed("dor_v1_", 64, HEX)),
    ("src/buildkite.py", "call('@')", _prefixed("bkua_", 40, HEX)),
)


def list_forms(seed: int) -> list[Form]:
    """Return all forms but the late ones; of each kind every second, in a seeded order, is unread."""
    forms: list[Form] = []
    everything = [*FILES, *SETTINGS, *TOKENS, *CODE]
    for kind in dict.fromkeys(form.kind for form in everything):
        group = [form for form in everything if form.kind == kind]
        random.Random(f"{seed}/{kind}").shuffle(group)
        forms += [
            Form(form.kind, form.path, form.write, is_unread=bool(number % 2))
            for number, form in enumerate(group)
        ]
    return forms


def write_each(form: Form, seed: int, count: int) -> Iterator[tuple[str, str, int]]:
    """Yield (text, value, line of the value from 1) of `count` files in this form."""
    for number in range(count):
        draw = Draw(random.Random(f"{seed}/{form.kind}/{form.path}/{number}"))
        text, value = form.write(draw)
        at = text.index(value if value in text else value.split("\n")[0])
        yield text, value, text.count("\n", 0, at) + 1
