"""Planted secrets, from generators that share no pattern with the scrubber, and clean code."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.datasets.compose.guards import GUARDS
from securetag.datasets.compose.sample import _plans
from securetag.datasets.compose.shapes import write
from securetag.datasets.scrub import EMAIL, HOST, SECRET, scrub

ALNUM = string.ascii_letters + string.digits


def some(rng: Random, alphabet: str, length: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(length))


def word(rng: Random) -> str:
    return "".join(rng.choice("bdfgklmnprst") + rng.choice("aeiou") for _ in range(rng.randint(2, 4)))


def jwt(rng: Random) -> str:
    parts = ['{"alg":"HS256","typ":"JWT"}', '{"sub":"' + some(rng, string.digits, 8) + '"}']
    head = ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
    return f"{head}.{some(rng, ALNUM, 43)}"


#: Kind → (secret, the line that it stands in with `@@` for it).
KINDS: dict[str, tuple[Callable[[Random], str], list[str]]] = {
    "aws key id": (
        lambda r: "AKIA" + some(r, string.ascii_uppercase + "234567", 16),
        ['client("@@")', "id: @@"],
    ),
    "aws secret": (
        lambda r: some(r, ALNUM + "/+", 40),
        ['s3 = connect(key, "@@")', 'aws_secret_access_key = "@@"'],
    ),
    "github": (lambda r: "ghp_" + some(r, ALNUM, 36), ['git("@@")', "# token @@ of the robot"]),
    "gitlab": (lambda r: "glpat-" + some(r, ALNUM, 20), ["curl -H 'PRIVATE-TOKEN: @@'"]),
    "slack": (lambda r: f"xoxb-{some(r, string.digits, 11)}-{some(r, ALNUM, 24)}", ['post("@@", "hello")']),
    "stripe": (lambda r: "sk_live_" + some(r, ALNUM, 24), ["stripe.api_key = '@@'", 'charge("@@")']),
    "google": (lambda r: "AIza" + some(r, ALNUM + "_-", 35), ["maps?key=@@", 'k = "@@"']),
    "openai": (lambda r: "sk-proj-" + some(r, ALNUM, 40), ['OpenAI("@@")']),
    "sendgrid": (lambda r: f"SG.{some(r, ALNUM, 22)}.{some(r, ALNUM, 43)}", ['mail("@@")']),
    "npm": (lambda r: "npm_" + some(r, ALNUM, 36), ["//registry.example/:_authToken=@@"]),
    "pypi": (lambda r: "pypi-AgEIcHlwaS5vcmc" + some(r, ALNUM, 60), ["password = @@", 'upload("@@")']),
    "jwt": (jwt, ['headers = {"Authorization": "Bearer @@"}', "cookie = '@@'"]),
    "password": (
        lambda r: word(r) + some(r, string.digits, 3) + "!",
        ['password = "@@"', "login(user, pwd='@@')", '{"db_password": "@@"}', 'Passwd: str = "@@"'],
    ),
    "plain password": (word, ['PASSWORD = "@@"', 'os.environ.get("SECRET_TOKEN", "@@")']),
    "environment": (lambda r: some(r, ALNUM, 18), ["export API_TOKEN=@@", "DB_PASSWORD=@@"]),
    "database url": (
        lambda r: some(r, ALNUM, 12),
        ['"postgresql://shop:@@@localhost/x"', "redis://:@@@localhost:6379"],
    ),
    "hex key": (lambda r: some(r, "0123456789abcdef", 64), ['SIGNING_KEY = "@@"', 'hmac.new(b"@@", x)']),
    "private key": (
        lambda r: "\n".join(some(r, ALNUM + "+/", 64) for _ in range(4)),
        ["-----BEGIN RSA PRIVATE KEY-----\n@@\n-----END RSA PRIVATE KEY-----"],
    ),
    "url parameter": (lambda r: some(r, ALNUM, 16), ['get("https://cdn.example.com/a?access_token=@@&x=1")']),
    "telegram": (lambda r: f"{some(r, string.digits, 9)}:AA{some(r, ALNUM + '_-', 33)}", ['Bot("@@")']),
    "e-mail": (lambda r: f"{word(r)}.{word(r)}@{word(r)}.com", ["# ask @@ about it", 'send("@@")']),
    "host": (
        lambda r: f"{word(r)}.{word(r)}.internal",
        ['connect("@@")', "# runs on @@", 'get("https://@@/x")'],
    ),
    "company host": (
        lambda r: f"{word(r)}{word(r)}-{word(r)}.com",
        ['fetch("https://www.@@/a")', "'@@:8080'"],
    ),
    "ip": (
        lambda r: f"10.{r.randint(1, 254)}.{r.randint(1, 254)}.{r.randint(1, 254)}",
        ['bind("@@")', "# @@ is the gateway"],
    ),
    "user": (word, ['open("/home/@@/notes.txt")', "C:\\Users\\@@\\x", 'username = "@@"', "ssh @@@localhost"]),
}


def planted(seed: int, n: int) -> list[tuple[str, str, str]]:
    """(kind, secret, text) of a small file around the secret."""
    rng = Random(seed)
    found = []
    for number in range(n):
        kind = list(KINDS)[number % len(KINDS)]
        make, places = KINDS[kind]
        secret, place = make(rng), rng.choice(places)
        found.append((kind, secret, f"def f(request):\n    x = 1\n{place.replace('@@', secret)}\n"))
    return found


def test_no_planted_secret_survives() -> None:
    missed = [(kind, text) for kind, secret, text in planted(1, 500) if secret in scrub(text).text]
    assert missed == []


def test_lines_keep_their_numbers() -> None:
    for _, _, text in planted(2, 100):
        assert scrub(text).text.count("\n") == text.count("\n")


def test_clean_code_is_left_alone() -> None:
    stream = _plans("train", 5)
    clean = [write(next(stream), "sound").code for _ in range(300)]
    altered = [code for code in clean if scrub(code).text != code]
    assert len(altered) <= 0.02 * len(clean), altered[0]
    assert GUARDS


CODE = [
    'token = request.form["token"]',
    "password = get_password(user)",
    'path = os.path.join(BASE, "report.txt")',
    "flask.request.args.get('q')",
    "xs[1:2], ys[::2], zs[10:20:3]",
    'if urlparse(url).hostname in ("cdn.example.com", "127.0.0.1"):',
    'requests.get("http://169.254.169.254/latest/meta-data")',
    'app.run(host="0.0.0.0", port=8080)',
    "version = (1, 2, 3)  # 1.2.3",
    "at = datetime(2024, 1, 2, 12, 30, 45)  # 12:30:45",
    "digest = hashlib.sha256(data).hexdigest()",
    "self.render_very_long_template_name_for_customers_page(request, context)",
    "import a_module_with_quite_a_long_name.and_another_part_of_it",
    "<input type='password' name='password'>",
]


@pytest.mark.parametrize("line", CODE)
def test_what_only_looks_like_a_secret_stays(line: str) -> None:
    assert scrub(line).text == line


@given(st.text())
def test_scrubbing_twice_changes_nothing_more(text: str) -> None:
    once = scrub(text).text
    assert scrub(once).text == once


@given(st.lists(st.sampled_from([text for _, _, text in planted(3, 60)] + CODE), max_size=4))
def test_scrubbing_planted_files_twice_changes_nothing_more(parts: list[str]) -> None:
    once = scrub("\n".join(parts)).text
    assert scrub(once).text == once


def test_placeholders_are_stable_and_counted() -> None:
    found = scrub('a = "mara@corp-x.com"\nb = "mara@corp-x.com"\npassword = "abc123"')
    assert found.text == f'a = "{EMAIL}"\nb = "{EMAIL}"\npassword = "{SECRET}"'
    assert found.counts == {"email": 2, "secret": 1}
    assert scrub('"db7.intra"').text == f'"{HOST}"'
