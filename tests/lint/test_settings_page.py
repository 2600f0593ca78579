"""docs/settings.md says what securetag/settings/ says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel

from securetag.settings import Settings

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "settings.md"


def test_the_page_is_what_the_tool_writes() -> None:
    tool = CHECKOUT / "tools" / "document_settings.py"
    found = subprocess.run(
        [sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False, cwd=CHECKOUT
    )
    assert found.returncode == 0, found.stderr


def test_every_setting_has_a_row() -> None:
    """Holds without the tool: a bug of its own mustn't hide a setting."""
    text = PAGE.read_text("utf-8")
    for name, info in Settings.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for inner in kind.model_fields:
                assert f"| `SECURETAG_{name.upper()}__{inner.upper()}` | `{name}.{inner}` |" in text
        else:
            assert f"| `{name}` |" in text


def test_every_row_says_what_the_setting_is() -> None:
    """A field without a `#:` comment in settings.py has an empty last cell here."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert [row for row in rows if row.endswith("|  |")] == []


def test_a_file_and_the_environment_are_read_as_the_page_says(tmp_path: Path) -> None:
    """In a process of its own, since settings are read once a process."""
    (tmp_path / "securetag.toml").write_text('[api]\nport = 9000\n[triage]\naliases = ["a"]\n')
    code = (
        "from securetag.settings import get_settings as s;"
        "print(s().api.port, s().api.host, s().triage.aliases, s().database_url.get_secret_value())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={
            "SECURETAG_API__HOST": "::1",
            "SECURETAG_TRIAGE__ALIASES": '["b","c"]',
            "DATABASE_URL": "postgresql://x/y",
            "PATH": "/usr/bin:/bin",
        },
    )
    assert found.stdout.strip() == "9000 ::1 ['b', 'c'] postgresql://x/y"
