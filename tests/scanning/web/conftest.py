"""Where Wapiti is, for the tests that run it."""

from __future__ import annotations

import pytest

from securetag.errors import SettingsError
from securetag.scanning.locate import wapiti_executable
from securetag.settings.sections import WebSettings


@pytest.fixture(scope="session")
def wapiti() -> str:
    """The executable; what needs it is skipped, visibly, without it."""
    try:
        return str(wapiti_executable(WebSettings()))
    except SettingsError as error:
        pytest.skip(f"{error}: `make wapiti` installs it")
