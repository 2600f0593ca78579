"""Where the api of a home is, and with which key: what `securetag up` wrote there."""

from __future__ import annotations

from pathlib import Path

from securetag.errors import AuthenticationError, UnavailableError
from securetag.settings import get_settings
from securetag.system.services import read_published, read_services


def find_api(api: str | None = None, key: str | None = None, *, home: Path | None = None) -> tuple[str, str]:
    """Return address and key: as given, else those that `securetag up` wrote for the home.

    `home` is by default SECURETAG_HOME. Raises UnavailableError where no api runs, AuthenticationError
    where there is no key.
    """
    run_dir = get_settings().run_dir if home is None else home / "run"
    url = api or read_services(run_dir).get("api", {}).get("url")
    if not url:
        raise UnavailableError(
            "no api is running for this home", hint="Start one with `securetag up`, or name one with --api."
        )
    secret = key or read_published(run_dir, "local-key").get("key")
    if not secret:
        raise AuthenticationError(
            "no API key was given", hint="Set SECURETAG_API_KEY, or make one with `securetag key create`."
        )
    return str(url), str(secret)
