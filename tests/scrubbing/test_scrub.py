"""Planted secrets and identities, clean code, hostile text."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import IDENTITIES, SECRETS, planted, survivors

from securetag.datasets.synthetic.guards import GUARDS
from securetag.datasets.synthetic.sample import _plans
from securetag.datasets.synthetic.shapes import write_function
from securetag.scrubbing.scrub import EMAIL, HOST, SECRET, scrub

#: Share of planted names and addresses that may be missed. Measured: 1 of 960.
MISSED_ALLOWED = 0.02
#: Allowed share of altered rows of real code without a name. Measured: 0.0047.
ALTERED_ALLOWED = 0.02


def cleaned(text: str) -> str:
    return scrub(text).text


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_planted_secret_is_removed(seed: int) -> None:
    cases = planted(SECRETS, seed, each=20)
    assert (len(cases), len(SECRETS)) == (500, 25)
    assert survivors(cases, cleaned) == []


def test_misses_of_names_and_addresses_are_few_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    cases = [case for seed in range(4) for case in planted(IDENTITIES, seed, each=60)]
    missed = Counter(case.kind for case in survivors(cases, cleaned))
    with capsys.disabled():
        print("\nscrub, planted and missed:", {k: f"{missed[k]} of {len(cases) // 4}" for k in IDENTITIES})
    assert missed.total() <= MISSED_ALLOWED * len(cases), missed


def test_lines_keep_their_numbers() -> None:
    for case in planted(SECRETS, 2, each=4):
        assert cleaned(case.text).count("\n") == case.text.count("\n")


def test_clean_code_is_unchanged() -> None:
    stream = _plans("train", 5)
    clean = [write_function(next(stream), "sound").code for _ in range(300)]
    altered = [code for code in clean if scrub(code).text != code]
    assert len(altered) <= 0.02 * len(clean), altered[0]
    assert GUARDS


@pytest.mark.mirror
def test_real_code_is_unchanged(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SafeCoder's functions. Those with an address or a signed note may name someone, the others don't."""
    rows = {
        row[side]
        for path in sorted(mirror.glob("hf/safecoder/**/*.jsonl"))
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())
        for side in ("func_src_before", "func_src_after")
    }
    altered = {row for row in rows if cleaned(row) != row}
    clean = {row for row in rows if not any(mark in row for mark in ("://", "@", "TODO("))}
    with capsys.disabled():
        print(
            f"\nscrub: {len(altered & clean)} of {len(clean)} clean functions altered,"
            f" {len(altered)} of all {len(rows)}"
        )
    assert len(clean) > 500
    assert len(altered & clean) <= ALTERED_ALLOWED * len(clean)


HOSTILE = {
    "one word": "a" * 200_000,
    "dots": "a." * 100_000,
    "telling": "password" * 20_000,
    "urls": "a://" * 40_000,
    "keys": "-----BEGIN PRIVATE KEY-----" * 5_000,
    "quotes": '"' * 100_000,
    "ats": "a@" * 100_000,
    "hex": "ab1:" * 40_000,
    "options": "chown -a " * 20_000,
    "connections": '" password= ' * 15_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_time_is_linear_in_the_text(name: str) -> None:
    def seconds(text: str) -> float:
        started = time.process_time()
        scrub(text)
        return time.process_time() - started

    text = HOSTILE[name]
    assert seconds(text) < 8 * seconds(text[: len(text) // 4]) + 0.5


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
    "user.password = hashed_password(form)\ntoken = atoken\natoken = new_token()",
    '{"auth_type": "basic", "token_url": "/oauth/token"}',
    "new_password2 = request.form['password2']",
    'memcmp(plist, "bplist00", 8) == 0 && encode("UTF-16LE")',
    "unzGetCurrentFileInfo64(zfile, &info, CDF_LENGTH32_WSTRING)",
    "# see https://docs.python.org/3/library/gzip.html and https://www.w3.org/TR/html401/",
    "@app.route('/users/edit/<name>', methods=['GET'])",
    "# fixed in commit 749e076fceedeb708a624933726e7989f2302f6a",
    'db.execute("UPDATE users SET passwd=MD5(:p)", p=p)',
    "cookies = [token, 'session=' + value]",
    'parser.add_argument("--password", help="the new one")',
]


@pytest.mark.parametrize("line", CODE)
def test_code_that_resembles_a_secret_is_kept(line: str) -> None:
    assert scrub(line).text == line


@given(st.text())
def test_scrubbing_twice_changes_nothing_more(text: str) -> None:
    once = scrub(text).text
    assert scrub(once).text == once


_PLANTED = [case.text for case in (*planted(SECRETS, 3, each=3), *planted(IDENTITIES, 3, each=12))]


@given(st.lists(st.sampled_from([*_PLANTED, *CODE]), max_size=4))
def test_scrubbing_planted_files_twice_changes_nothing_more(parts: list[str]) -> None:
    once = scrub("\n".join(parts)).text
    assert scrub(once).text == once


def test_placeholders_are_stable_and_counted() -> None:
    scrubbed = scrub('a = "mara@corp-x.com"\nb = "mara@corp-x.com"\npassword = "abc123"')
    assert scrubbed.text == f'a = "{EMAIL}"\nb = "{EMAIL}"\npassword = "{SECRET}"'
    assert scrubbed.counts == {"email": 2, "secret": 1}
    assert scrub('"db7.intra"').text == f'"{HOST}"'
