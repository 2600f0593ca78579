"""Secrets in any file are found, placeholders aren't, and no value is in anything that leaves a scan."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securetag import triage
from securetag.records import Finding
from securetag.scanning.evidence import combine_evidence
from securetag.scanning.sarif.reported import Reported
from securetag.scanning.sarif.write import RunInfo, write_sarif
from securetag.scanning.scanner import Match, ScanRequest, findings_of
from securetag.scanning.secrets.__main__ import scan_folder
from securetag.scanning.secrets.detect import find_secrets
from securetag.scanning.secrets.mask import mask
from securetag.scanning.secrets.scanner import SecretsScanner
from securetag.scrubbing.scrub import MASK
from securetag.settings import Settings

KEY = "\n".join(["-----BEGIN RSA PRIVATE KEY-----", *["Mv4" * 21 + "x"] * 4, "-----END RSA PRIVATE KEY-----"])


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("settings.py", "SECRET_KEY = 'django-insecure-$3n0*w%u1x7$hd^#8q&2lf5@z!'", "assigned"),
        ("settings.py", 'SECRET_KEY = "a$b"  # short' + "", None),
        ("settings.py", 'SECRET_KEY = "s(e)c$ret w1th bl@nks"', "assigned"),
        ("a.py", 'key = os.environ.get("SECRET_KEY", "kJ8s7dhf7sGHs8d")', "environment-default"),
        ("a.py", 'config("API_KEY", default="kJ8s7dhf7sGHs8d")', "environment-default"),
        ("a.js", "const k = process.env.JWT_SECRET || 'sup3rs3cretkey';", "environment-default"),
        ("a.py", 'DB = "postgresql://shop:s3cr3tPw@sql.internal/shop"', "connection-string"),
        ("a.config", 'value="Server=x;User Id=sa;Password=Tr0ub4dor&3;"', "connection-string"),
        (".env", "DB_PASSWORD=correcthorse9battery", "assigned"),
        ("deploy/values.yaml", "  password: hunter2hunter", "assigned"),
        ("a.json", '{"clientSecret": "q9X8w7V6u5T4s3R2"}', "assigned"),
        ("n.ipynb", '["api_key = \\"q9X8w7V6u5T4s3R2q1P0\\"\\n"]', "assigned"),
        ("a.py", 'connect(password="S3cure!pw")', "assigned"),
        ("a.ts", "const apiKey: string = 'q9X8w7V6u5T4s3R2';", "assigned"),
        ("a.txt", "use AKIA" + "2E0A8F3B244C9986", "provider-token"),
        ("id_rsa", KEY, "private-key"),
        # GitHub's own pattern has a group of the prefix alone.
        ("a.py", "use('ghp_" + "a18CZ8cM0nF76uUVP52FP3C2KJkDoN0C1LoZ')", "provider-token"),
        ("a.py", "use('hf_" + "ZYoByiNxRFYpNmmTIafxnCjQXhIEXhCGmH')", "provider-token"),
        ("a.py", "use('acme_pat_" + "k3Jd8Hs7Wq2Zx9Lm4Vb6Nc1Rt5Yp0Gf8')", "provider-token"),
        (".env", "AWS_SECRET_ACCESS_KEY=wJa8rXUt/FEMI/K7MDENG+bPx2fiCYkLq9Zs", "assigned"),
        (".env", "SMTP_PASS=Harbor_meadow25!", "assigned"),
        (".npmrc", "//r.io/:_authToken=26929c16-1ffa-7233-84ca-97c3795f30a9", "assigned"),
        ("settings.py", "SECRET_KEY = (\n    'a5p1jhbb6kh^uxi5w8!g$x%yn32o$ozl'\n)", "assigned"),
        ("settings.py", "SECRET_KEY = os.getenv('K') or 'a5p1jhbb6kh^uxi5w8!g'", "environment-default"),
        ("run.sh", 'P="${DB_PASSWORD:-Pepper_saddle11!}"', "environment-default"),
        ("a.go", 'password := "Harborsaddle33"', "assigned"),
        ("a.go", 'dsn := "shop:Rocket_saddle84@tcp(db1:3306)/shop"', "connection-string"),
        ("k8s.yaml", "- name: DB_PASSWORD\n  value: 'Copper_pepper78'", "assigned"),
        ("a.php", "define('AUTH_KEY', '=48b%(n20o%*fy@(c7(nd8v_r1pa4uo*8%i&ie4j3w7z');", "assigned"),
        ("a.py", "get(url, auth=('admin', 'Copper-winter18!'))", "assigned"),
        ("run.sh", "curl -u ci:Saddle_rocket37 https://acme.io/", "assigned"),
        ("Dockerfile", "ENV DB_PASSWORD Pepper_harbor63!", "assigned"),
        ("a.xml", "<password>Saddle-winter29!</password>", "assigned"),
        (
            "vars.tf",
            'variable "db_password" {\n  validation {\n  }\n  default = "Copper-winter18!"\n}',
            "assigned",
        ),
        ("vars.tf", 'variable "api_token" { default = "b8Kq27LmX0pWvR5t" }', "assigned"),
        ("prod.tfvars", 'db_password = "Copper-winter18!"', "assigned"),
        ("main.tf", '  administrator_login_password = "Copper-winter18!"', "assigned"),
        ("db.java", '"jdbc:mysql://db1/shop?user=shop&password=Lanternwinter75"', "connection-string"),
    ],
)
def test_each_form_is_found_once(path: str, text: str, kind: str | None) -> None:
    assert [secret.kind for secret in find_secrets(text, path)] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", 'password = "changeme"'),
        ("a.py", 'api_key = "<your-key>"'),
        ("a.py", 'token = "xxxxxxxxxxxxxxxxxxxx"'),
        ("a.py", 'API_KEY = "YOUR_API_KEY_HERE"'),
        ("a.py", 'password_field = "password1"'),
        ("a.py", 'token_url = "https://example.org/oauth/token"'),
        ("a.py", 'PASSWORD_MESSAGE = "at least 8 characters"'),
        ("a.py", 'secret = f"{prefix}-{name}"'),
        ("a.py", 'DB = "postgresql://user:password@localhost/db"'),
        ("a.py", 'DB = f"postgresql://{user}:{password}@{host}/db"'),
        ("a.py", 'fields = ("username", "usable_password", "password1")'),
        ("a.py", 'SALT_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789"'),
        ("a.py", "aws = 'AKIAIOSFODNN7EXAMPLE'"),
        (".env.example", "DB_PASSWORD=${DB_PASSWORD}"),
        (".env", "API_TOKEN="),
        ("a.yaml", "secretName: my-secret-name"),
        ("a.yaml", "password: {{ .Values.password }}"),
        ("a.pem", "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"),
        ("settings.py", "    SECRET_KEY = 'development key'"),
        ("a.py", 'qtoken = \'(?:"[^"]+"|[A-Za-z0-9_]+?)\''),
        ("a.py", "if token == 'endif2':"),
        ("a.py", "CACHE_KEY = 'shop-items-2'"),
        ("a.yaml", "- name: DB_PASSWORD\n  value: ${DB_PASSWORD}"),
        ("a.html", "<script integrity='sha512-k3Jd8Hs7Wq2Zx9Lm4Vb6Nc1Rt5Yp0Gf8k3Jd8Hs7Wq2Zx9Lm4Vb6'>"),
        ("run.sh", "curl -u $USER:$PASSWORD https://acme.io/"),
        ("run.sh", "docker login -u ci -p ${TOKEN}"),
        ("a.py", "get(url, params={'next_page': 'https://acme.io/?page_token=first'})"),
        ("a.py", "key_id = 'db150360-a16f-d7ed-8c37-420bc9067ca4'"),
        ("vars.tf", 'variable "password_length" {\n  default = "Copper-winter18!"\n}'),
        ("vars.tf", 'variable "db_password" {\n}\n\nvariable "region" {\n  default = "Copper-winter18!"\n}'),
        ("vars.tf", 'variable "db_password" {}\nlocals {\n  default = "Copper-winter18!"\n}'),
        ("main.tf", '  password = var.db_password\n  secret = "${data.vault.shop.value}"'),
        ("a.pem", KEY.replace("RSA PRIVATE KEY", "CERTIFICATE")),
    ],
)
def test_what_only_looks_like_one_is_not_reported(path: str, text: str) -> None:
    assert find_secrets(text, path) == []


def test_in_tests_and_examples_the_confidence_is_low(tmp_path: Path) -> None:
    for name in ("app.py", "tests/app.py", "examples/app.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('password = "hunter2hunter2"\n')
    entries = {entry.path: entry.confidence for entry in scan_folder(tmp_path) if entry.path}
    assert entries == {"app.py": "medium", "tests/app.py": "low", "examples/app.py": "low"}


FORMS: list[tuple[str, Callable[[str], str]]] = [
    ("app/settings.py", lambda value: f"def f(db):\n    password = '{value}'\n    db.open(password)\n"),
    ("app/env.py", lambda value: f"import os\nKEY = os.environ.get('API_SECRET', \"{value}\")\n"),
    ("app/db.py", lambda value: f"URL = 'postgresql://shop:{value}@sql.internal/shop'\n"),
    (".env", lambda value: f"NAME=x\nDB_PASSWORD={value}\n"),
    ("values.yaml", lambda value: f"db:\n  password: {value}\n"),
    ("app.json", lambda value: f'{{"apiKey": "{value}"}}\n'),
    ("n.ipynb", lambda value: f'["api_key = \\"{value}\\"\\n"]\n'),
    ("web.js", lambda value: f"const t = process.env.API_TOKEN || '{value}';\n"),
    ("key.pem", lambda value: KEY.replace("Mv4", value[:3], 1).replace("x\n", value + "\n", 1) + "\n"),
]
VALUES = st.text(alphabet=string.ascii_letters + string.digits, min_size=20, max_size=40).filter(
    lambda text: len(set(text)) > 10 and any(c.isdigit() for c in text) and any(c.isalpha() for c in text)
)


def outputs(findings: list[Finding]) -> str:
    """Everything that a scan stores, shows or sends of its findings."""
    prompts = [
        triage.render(finding, profile=profile).messages
        for finding in findings
        for profile in ("full", "compact")
    ]  # type: ignore[arg-type]
    sarif = write_sarif(
        [Reported(finding=finding) for finding in findings], RunInfo(project="p", version="1")
    )
    return msgspec.json.encode([findings, prompts]).decode() + sarif.decode()


@settings(max_examples=40, deadline=None)
@given(value=VALUES, form=st.sampled_from(FORMS))
def test_no_value_is_in_any_output(
    tmp_path_factory: pytest.TempPathFactory, value: str, form: tuple[str, Callable[[str], str]]
) -> None:
    project = tmp_path_factory.mktemp("project")
    path, write = form
    (project / path).parent.mkdir(exist_ok=True)
    (project / path).write_text(write(value))
    report = b"".join(msgspec.json.encode(entry) + b"\n" for entry in scan_folder(project))
    findings = SecretsScanner(Settings()).parse(report, project)
    if not findings:
        return  # judged to be none, for a word that it happens to hold
    # Two more engines flag the line and a line beside it, and one of them quotes the value.
    line = findings[0].start_line
    for tool, cwe, message in (
        ("bandit", "CWE-259", f"Possible password: '{value}'"),
        ("other", "CWE-89", "SQL"),
    ):
        match = Match("R1", path, line, line, "title", message, "low", cwe)
        findings += findings_of([match], project, tool=tool)
    combined = combine_evidence(findings, project)
    assert combined[0].matches
    text = outputs(combined) + report.decode()
    assert value not in text
    assert MASK in text


def test_what_is_masked_stays_masked() -> None:
    once = mask('password = "hunter2hunter2"\nother = 1', "a.py")
    assert once == f'password = "{MASK}"\nother = 1'
    assert mask(once, "a.py") == once


def test_the_scanner_runs_as_a_process_and_writes_no_value(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    values = []
    for number, (path, write) in enumerate(FORMS):
        values.append(f"q9X8w7V6u5T4s3R2q1P{number}")
        (project / path).parent.mkdir(exist_ok=True)
        (project / path).write_text(write(values[-1]))
    (project / "large.txt").write_bytes(b"x" * 2_000_001)
    (project / "large.bin").write_bytes(b"\0" * 2_000_001)
    (project / "binary.env").write_bytes(b"\0DB_PASSWORD=correcthorse9battery\n")
    (project / "odd\xff name.env").write_text("DB_PASSWORD=correcthorse9battery\n")
    run = SecretsScanner(Settings(home=tmp_path / "home")).scan(
        ScanRequest(project, tmp_path / "out", lang="es")
    )
    # Without a coverage nobody could say that a secret is gone; and no file of code counts as scanned.
    coverage = run.metrics.coverage
    assert coverage is not None
    assert [(file.path, file.reason, file.bytes) for file in coverage.skipped] == [
        ("large.txt", "too_large", 2_000_001)
    ]
    assert (coverage.files, run.metrics.files) == ({}, len(FORMS) + 1)
    findings = combine_evidence(run.check().findings, project)
    assert {item.path for item in findings} == {*(path for path, _ in FORMS), "odd\xff name.env"}
    assert {(item.cwe, item.matches[0].kind) for item in findings} == {("CWE-798", "secret")}
    assert "credencial" in findings[0].message
    text = outputs(findings) + run.stdout_path.read_text() + run.stderr_path.read_text()
    assert [value for value in values if value in text] == []


@pytest.mark.hostile
@pytest.mark.parametrize(
    "line",
    [
        "password" * 20_000,
        "a://" * 40_000,
        'token="' * 20_000,
        "-----BEGIN PRIVATE KEY-----" * 5_000,
        "ey" * 80_000,
    ],
    ids=["names", "schemes", "quotes", "keys", "tokens"],
)
def test_a_hostile_line_takes_little_time(line: str) -> None:
    find_secrets(line, ".env")
    find_secrets("\n".join([line[:4_999]] * 30), ".env")
